#!/usr/bin/env python3
"""In which order does vLLM's all-reduce add? Probed inside its workers, kept as a profile for shardrift.

  scripts/python/probe_vllm.py --model DIR --tensor-parallel 4 --tokens 1,17,1400 --save-profile vllm.json

Starts vLLM with the model, as record_vllm.py does, and has its workers sum what probe_collective.py plays, by vLLM's own choice of
custom kernel, symmetric memory or library: messages of --tokens rows (a prompt's length in prefill, 1 in decode) times the model's
hidden size, or of --count elements. Then, on one device:

  shardrift-run run --model DIR --prompts prompts.jsonl --output predicted.h5 --shards 4 --reduction profile --collective-profile vllm.json
  shardrift profile diff vllm.json engine:vllm

What a server's own flags choose is asked of it by --option (disable_custom_all_reduce=true).

Exit codes: 0 done; 64 usage; 65 a file that cannot be used; 70 failure; 75 stopped by a signal.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from record_program import DTYPES, Parser, Refused, at_least, end_on_signals, ended
from vllm_engine import check_heads, option, set_environment, start

PROGRAM = "probe_vllm"
NEEDS = "vllm, torch, numpy and h5py"


class AllReduce:
    """What vLLM adds to each of its workers (worker_extension_cls)."""

    def probe_all_reduce(self, counts: list[int], dtypes: list[str], repeats: int, save: str | None, quiet: bool) -> list[str]:
        """Called on all workers alike; rank 0 says what was found, and writes the profile."""
        import vllm
        from probe_collective import Ranks, described, probe
        from vllm.distributed import get_tp_group, tensor_model_parallel_all_reduce

        ranks = Ranks.of_torch(get_tp_group().cpu_group)
        found = probe(tensor_model_parallel_all_reduce, counts, dtypes, str(self.device), "vLLM all-reduce", vllm.__version__,  # type: ignore[attr-defined]
                      save, repeats=repeats, ranks=ranks, quiet=quiet)
        return [described(one) for one in found] if ranks.rank == 0 else []


def numbers(text: str) -> list[int]:
    return [at_least(1)(part) for part in text.split(",")]


def parse() -> argparse.Namespace:
    parser = Parser(PROGRAM, __doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="a Hugging Face directory")
    parser.add_argument("--tensor-parallel", type=at_least(2), required=True, metavar="N", help="ranks, which vLLM starts")
    parser.add_argument("--tokens", type=numbers, default=[], metavar="N[,N…]", help="rows of the passes")
    parser.add_argument("--count", type=numbers, default=[], metavar="N[,N…]", help="instead or as well: elements of the messages")
    parser.add_argument("--dtype", choices=DTYPES[1:], default="bfloat16", help="of model and messages (default: bfloat16)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=at_least(1), default=1, metavar="N", help="CPU threads of a rank (default: 1)")
    parser.add_argument("--repeats", type=at_least(2), default=5, metavar="N", help="calls with the same random numbers (default: 5)")
    parser.add_argument("--save-profile", type=Path, metavar="FILE.json", help="to make, or to add these probes to")
    parser.add_argument("--option", type=option, action="append", default=[], metavar="NAME=VALUE",
                        help="an argument of vllm.LLM; may be given several times")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser.parse_args()


def run(a: argparse.Namespace) -> None:
    from record_inputs import check_packages, check_weights, read_config

    variables = set_environment(a)
    from probe_collective import LARGEST, REPEATS, file_fault
    from sum_order import MOST_RANKS

    config = read_config(a.model)
    hidden = config.get("hidden_size")
    if a.tokens and not hidden:
        raise Refused(f"--tokens: {a.model / 'config.json'} has no hidden_size: give --count", 64)
    counts = sorted({*a.count, *(tokens * hidden for tokens in a.tokens)})
    if not counts:
        raise Refused("give --tokens N[,N…] or --count N[,N…]", 64)
    check_weights(a.model)
    if max(counts) > LARGEST or a.repeats not in REPEATS or a.tensor_parallel > MOST_RANKS:
        raise Refused(f"{max(counts)} elements, {a.repeats} repeats, {a.tensor_parallel} ranks: at most {LARGEST}, {REPEATS[-1]} and {MOST_RANKS} "
                      "can be probed", 64)
    check_heads(config, a.tensor_parallel)
    if a.save_profile and (fault := file_fault(str(a.save_profile))):
        raise Refused(fault, 64)
    if a.save_profile and a.save_profile.exists() and "shardrift collective profile" not in a.save_profile.read_bytes()[:4096].decode(errors="replace"):
        raise Refused(f"--save-profile {a.save_profile}: is no collective profile: name another file")
    check_packages("vllm")
    end_on_signals(PROGRAM, None)
    os.environ.setdefault("TORCH_SYMM_MEM_DISABLE_MULTICAST", "1")  # multicast adds by no binary tree
    settings = {"max_model_len": 16, "max_num_seqs": 1, "enforce_eager": True, "worker_extension_cls": "probe_vllm.AllReduce"}
    llm = start(a, settings, variables).llm
    save = str(a.save_profile.absolute()) if a.save_profile else None
    for texts in llm.collective_rpc("probe_all_reduce", args=(counts, [a.dtype], a.repeats, save, a.quiet)):
        for text in texts:
            print(text, end="")


if __name__ == "__main__":
    options = parse()
    code = ended(PROGRAM, NEEDS, lambda: run(options))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # vLLM's threads and its ranks' queues are not waited for
