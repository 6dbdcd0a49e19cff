#!/usr/bin/env python3
"""Runs a Hugging Face model by transformers and records every logit, as shardrift-run does (docs/file-format.md).

  scripts/python/record_transformers.py --model DIR --prompts prompts.jsonl --output eager.h5 --attention eager
  scripts/python/record_transformers.py --model DIR --follow one.h5 --output sdpa.h5 --attention sdpa --dtype bfloat16
  torchrun --nproc-per-node 2 scripts/python/record_transformers.py --model DIR --prompts prompts.jsonl \\
      --output tp2.h5 --tensor-parallel --device cuda

then: shardrift compare one.h5 eager.h5. Needs torch, transformers, NumPy and h5py in the Python that runs it; scripts/setup
installs none of the first two.

One prompt at a time: a prefill pass over its tokens, then one pass a token over the dynamic cache, each row's most likely token
(lowest id at ties) fed next: the passes that model.generate(do_sample=False) makes, but that generate's prefill computes the logits
of its last row alone, whose last bits may be others on a CPU. --follow REF.h5 feeds another record's tokens instead, so that rows
stay comparable after a flip; --mode score makes one pass over each prompt and records all its rows.
--tensor-parallel is transformers' own plan (tp_plan="auto") over torch.distributed's ranks; rank 0 writes.

--record hidden adds the residual stream after the embedding and after each decoder layer, of every recorded row, by which
shardrift diagnose names the layer, and finds much that moves the logits too little to be seen in them; give shardrift-run the
same flag. A model of which it cannot be said which modules the layers are is refused.

What is given is checked before the model is loaded; --check does no more than that, and looks for the packages and the device.
Asked by a study (SHARDRIFT_STUDY is set) it takes for granted what the study makes: the output's folder, the record to follow.
The record appears when it is whole: nothing is kept of a run that failed (a full disk, say) or was stopped (SIGTERM, SIGINT), and its
command is to be repeated.

Exit codes: 0 done, 64 usage, 65 a file that cannot be used, 70 failure, 75 stopped by a signal.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import os
import platform
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

try:
    import numpy as np

    from record_file import DTYPES, RecordFile, Row, model_identity, temporary_of
    from record_inputs import (LARGEST, Prompt, Refused, check_followed, check_output, check_prompts, check_weights, positions_of, read_config,
                               read_followed, read_prompts)
    from record_streams import Streams, whole, words_of
except ImportError as missing:
    if not {"-h", "--help"} & set(sys.argv[1:]):
        print(f"record_transformers: {missing}: use a Python that has torch, transformers, numpy and h5py", file=sys.stderr)
        sys.exit(70)
    DTYPES = ("float64", "float32", "float16", "bfloat16")  # --help ends before any other of them is used

VARIABLES = ("CUDA_", "CUBLAS_", "NCCL_", "OMP_", "MKL_", "ONEDNN_", "DNNL_", "TORCH_", "PYTORCH_", "ATEN_", "NVIDIA_TF32")


def end_on_signals(temporary: Path) -> None:
    """At once, wherever it is: what is half written is removed, and neither HDF5 nor other threads are asked to finish."""

    def end(number: int, frame: object) -> NoReturn:
        temporary.unlink(missing_ok=True)
        if os.environ.get("RANK", "0") == "0":
            print(f"record_transformers: stopped by {signal.Signals(number).name}: nothing half written is left: run it again",
                  file=sys.stderr, flush=True)
        os._exit(75)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


class Engine:
    """The model, and how its passes are made."""

    def __init__(self, a: argparse.Namespace, positions: int | None) -> None:
        import torch
        import transformers

        self.torch, self.transformers, self.a = torch, transformers, a
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        torch.set_num_threads(a.threads)
        dtype = a.dtype if a.dtype == "auto" else getattr(torch, a.dtype)
        options: dict[str, Any] = {"dtype": dtype, "attn_implementation": a.attention, "local_files_only": True}
        if a.tensor_parallel:
            options["tp_plan"] = "auto"
        self.model = transformers.AutoModelForCausalLM.from_pretrained(a.model, **options).eval()
        if not a.tensor_parallel:
            self.model.to(a.device)
        self.ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        self.rank = torch.distributed.get_rank() if self.ranks > 1 else 0
        self.device = next(self.model.parameters()).device
        self.dtype = str(self.model.dtype).removeprefix("torch.")
        named = inspect.signature(self.model.forward).parameters
        self.cache = "past_key_values" if "past_key_values" in named else "cache"  # newer versions call it so
        self.vocabulary = int(self.model.config.get_text_config().vocab_size)
        self.positions = positions
        self.eos = self.end_tokens()
        self.calls = 0
        layers = self.model.config.get_text_config().num_hidden_layers
        self.streams = Streams(self.model, layers) if a.record == "hidden" else None

    def end_tokens(self) -> set[int]:
        ends: set[int] = set()
        for config in (self.model.config, getattr(self.model, "generation_config", None)):
            given = getattr(config, "eos_token_id", None)
            ends |= set(given if isinstance(given, list) else [] if given is None else [given])
        return ends

    def describe(self) -> str:
        """For the record's plan, and for people."""
        parts = [f"transformers {self.transformers.__version__} {self.a.attention}", f"torch {self.torch.__version__}"]
        if self.ranks > 1:
            parts.append(f"TP={self.ranks}")
        return ", ".join([*parts, self.dtype, self.device.type])

    def tokenizer(self) -> Any:
        try:
            return self.transformers.AutoTokenizer.from_pretrained(self.a.model, local_files_only=True)
        except (OSError, ValueError) as error:
            raise Refused(f'{self.a.model}: its tokenizer, which prompts of "text" need, cannot be loaded: give "tokens": '
                          f"{' '.join(str(error).split())}")

    def step(self, tokens: list[int], begin: int, cache: Any, last: bool = True) -> tuple[list[Row], Any]:
        """One pass over tokens at positions begin, …: the rows of all its tokens, or of the last alone, and the cache."""
        torch = self.torch
        ids = torch.tensor([tokens], device=self.device)
        positions = torch.arange(begin, begin + len(tokens), device=self.device)[None]
        first = len(tokens) - 1 if last else 0
        started = time.perf_counter()
        with torch.no_grad():
            out = self.model(input_ids=ids, position_ids=positions, use_cache=True, **{self.cache: cache})
        logits = words_of(whole(out.logits[0])[first:])
        seconds = time.perf_counter() - started
        hidden = [None] * len(logits)
        if self.streams:
            streams = np.stack([words_of(stream[first:]) for stream in self.streams.take(len(tokens))])
            hidden = [streams[:, row] for row in range(len(logits))]
        rows = [Row(tokens[first + i], begin + first + i, logits[i], seconds, self.calls, len(tokens), begin == 0, hidden[i])
                for i in range(len(logits))]
        self.calls += 1
        cache = out.get("past_key_values") if out.get("past_key_values") is not None else out.get("cache")
        return rows, cache

    def chosen(self, words: np.ndarray) -> int:
        """Of one row; what rank 0 sees, on every rank."""
        values = (words.astype(np.uint32) << 16).view(np.float32) if words.dtype == np.uint16 else words
        token = int(values.argmax())
        if self.ranks > 1:
            shared = self.torch.tensor([token], device=self.device)
            self.torch.distributed.broadcast(shared, 0)
            token = int(shared)
        return token

    def score(self, prompt: Prompt) -> tuple[list[Row], str]:
        return self.step(prompt.tokens, 0, None, last=False)[0], "given"

    def generate(self, prompt: Prompt, follow: bool) -> tuple[list[Row], str]:
        """Rows from the prompt's last token on."""
        length = len(prompt.tokens)
        rows, cache = self.step(prompt.tokens, 0, None)
        steps = len(prompt.fed) if follow else self.a.max_new_tokens - 1
        for i in range(steps):
            token = prompt.fed[i] if follow else self.chosen(rows[-1].logits)
            if not follow and not self.a.ignore_eos and token in self.eos:
                return rows, "eos"
            if self.positions is not None and length + i >= self.positions:
                return rows, "context"
            more, cache = self.step([token], length + i, cache)
            rows += more
        if follow:
            return rows, "given"
        ended = not self.a.ignore_eos and self.chosen(rows[-1].logits) in self.eos
        return rows, "eos" if ended else "length"


def device_of(engine: Engine) -> dict[str, str]:
    """This rank's, as shardrift-run names it."""
    device = {"host": platform.node(), "name": processor_name()}
    if engine.device.type != "cuda":
        return device
    about = engine.torch.cuda.get_device_properties(engine.device)
    uuid = str(getattr(about, "uuid", ""))
    return device | {"name": about.name, "compute_capability": f"{about.major}.{about.minor}",
                     "uuid": f"GPU-{uuid}" if uuid and not uuid.startswith("GPU-") else uuid}


def devices_of(engine: Engine) -> list[dict[str, str]]:
    """Of all ranks; every rank calls it."""
    devices = [device_of(engine)] * engine.ranks
    if engine.ranks > 1:
        engine.torch.distributed.all_gather_object(devices, device_of(engine))
    return devices


def environment_of(engine: Engine, devices: list[dict[str, str]]) -> dict[str, Any]:
    torch = engine.torch
    libraries = {"torch": torch.__version__, "transformers": engine.transformers.__version__, "numpy": np.__version__}
    if engine.device.type == "cuda":
        libraries["cuda runtime"] = torch.version.cuda or ""
        libraries["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
    settings = {"attention": engine.a.attention, "threads": str(torch.get_num_threads()),
                "cpu_capability": torch.backends.cpu.get_cpu_capability(),
                "float32_matmul_precision": torch.get_float32_matmul_precision()}
    variables = {name: value for name, value in os.environ.items() if name.startswith(VARIABLES)}
    return {"devices": devices, "libraries": libraries, "settings": settings, "variables": variables}


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "CPU"


def encode(engine: Engine, prompts: list[Prompt]) -> list[str]:
    """Fills the tokens of texts; the vocabulary's texts, where a prompt has one."""
    if not any(prompt.text for prompt in prompts):
        return []
    tokenizer = engine.tokenizer()
    for prompt in prompts:
        if prompt.text and not prompt.tokens:
            prompt.tokens = list(tokenizer(prompt.text, add_special_tokens=prompt.special_tokens)["input_ids"])
    return [tokenizer.decode([token]) if token < len(tokenizer) else "" for token in range(engine.vocabulary)]


def recorded(engine: Engine, prompts: list[Prompt], mode: str) -> Iterator[tuple[Prompt, list[Row], str]]:
    for number, prompt in enumerate(prompts, 1):
        rows, stop = engine.score(prompt) if mode == "score" else engine.generate(prompt, mode == "follow")
        if engine.rank == 0 and not engine.a.quiet:
            print(f"{number} of {len(prompts)}: {prompt.name}, {len(rows)} rows", file=sys.stderr)
        yield prompt, rows, stop


def check_ranks(config: dict[str, Any]) -> None:
    if "RANK" not in os.environ:
        raise Refused("--tensor-parallel: start it by torchrun --nproc-per-node N", 64)
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    for key in ("num_attention_heads", "num_key_value_heads"):
        heads = config.get(key) or config.get("num_attention_heads") or ranks
        if heads % ranks != 0:
            raise Refused(f"--tensor-parallel: {ranks} ranks, {heads} {key}: transformers' plan cuts heads evenly: use as many "
                          "ranks as divide them, or another model", 64)


def check_packages() -> None:
    """Without importing them, which takes many seconds."""
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"{sys.executable} has no {' and no '.join(missing)}")


def check_device(device: str) -> None:
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise Refused(f"--device cuda: torch {torch.__version__} sees no GPU here: nvidia-smi says whether there is one; a torch "
                          "built for CPUs sees none", 70)


def run(a: argparse.Namespace) -> None:
    if bool(a.prompts) == bool(a.follow):
        raise Refused("give either --prompts FILE or --follow REF.h5", 64)
    mode = a.mode or ("follow" if a.follow else "greedy")
    if (mode == "follow" and not a.follow) or (mode == "greedy" and a.follow):
        raise Refused(f"--mode {mode} goes {'with' if mode == 'follow' else 'without'} --follow REF.h5", 64)
    config = read_config(a.model)
    for_study = a.check and "SHARDRIFT_STUDY" in os.environ
    if not for_study:
        check_output(a.output, a.overwrite, a.model, {"--prompts": a.prompts, "--follow": a.follow})
    if a.tensor_parallel:
        check_ranks(config)
    if for_study and a.follow and not a.follow.exists():
        prompts = []  # a study's runs are asked before there is a record to follow
    else:
        if a.follow and config.get("vocab_size"):
            check_followed(a.follow, config["vocab_size"])
        prompts = read_followed(a.follow) if a.follow else read_prompts(a.prompts)
    if mode == "score":
        for prompt in prompts:
            prompt.tokens, prompt.fed = prompt.tokens + prompt.fed, []
    positions = positions_of(config)
    check_prompts(prompts, config.get("vocab_size") or LARGEST, positions)
    check_weights(a.model)
    if a.check:
        check_packages()
        if not for_study:  # which may run elsewhere, as a job
            check_device(a.device)
        return
    end_on_signals(temporary_of(a.output))
    check_device(a.device)
    engine = Engine(a, positions)
    vocab = encode(engine, prompts)
    check_prompts(prompts, engine.vocabulary, positions)
    model = {"architecture": engine.model.config.architectures[0], "dtype": engine.dtype,
             "config": (a.model / "config.json").read_text(),
             "quantization": "none" if not getattr(engine.model.config, "quantization_config", None) else "by transformers",
             "identity": model_identity(a.model)}
    devices = devices_of(engine)
    results = recorded(engine, prompts, mode)
    if engine.rank != 0:
        for _ in results:
            pass
        return
    with RecordFile(a.output, engine=engine.describe(), mode=mode, dtype=engine.dtype, vocabulary=engine.vocabulary,
                    command=shlex.join(sys.argv), model=model, vocab=vocab, top_k=a.top_k, level=a.record) as record:
        record.environment(**environment_of(engine, devices))
        for prompt, rows, stop in results:
            record.prompt(prompt.name, prompt.tokens, rows, stop=stop, words=prompt.text, device=devices[0]["name"])


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(64, f"record_transformers: {message}: see --help\n")


def at_least(least: int) -> Callable[[str], int]:
    def number(word: str) -> int:
        if not word.isascii() or not word.isdigit() or int(word) < least:
            raise argparse.ArgumentTypeError(f"{word}: an integer of at least {least} is expected")
        return int(word)

    return number


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="a Hugging Face directory")
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="prompts.jsonl, as shardrift-run reads it")
    parser.add_argument("--follow", type=Path, metavar="REF.h5", help="a record whose tokens are fed")
    parser.add_argument("--output", type=Path, required=True, metavar="OUT.h5", help="the record")
    parser.add_argument("--overwrite", action="store_true", help="replace what lies there")
    parser.add_argument("--check", action="store_true", help="only say whether this could run: nothing is computed or written")
    parser.add_argument("--mode", choices=["greedy", "follow", "score"], help="default: greedy, with --follow follow")
    parser.add_argument("--record", choices=["logits", "hidden"], default="logits",
                        help="hidden: the residual stream after each layer, too (default: logits)")
    parser.add_argument("--attention", choices=["eager", "sdpa"], default="sdpa",
                        help="transformers' attention implementation (default: sdpa, as transformers itself)")
    parser.add_argument("--dtype", choices=["auto", *DTYPES], default="auto", help="default: the checkpoint's")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=at_least(1), default=1, metavar="N", help="CPU threads (default: 1)")
    parser.add_argument("--max-new-tokens", type=at_least(1), default=64, metavar="N", help="of each prompt (default: 64)")
    parser.add_argument("--ignore-eos", action="store_true", help="go on after an end-of-sequence token")
    parser.add_argument("--tensor-parallel", action="store_true", help="tp_plan='auto' over torchrun's ranks")
    parser.add_argument("--top-k", type=at_least(0), default=10, metavar="K", help="most likely tokens of a row (default: 10)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser.parse_args()


def main() -> int:
    a = parse()
    try:
        run(a)
    except Refused as refused:
        print(f"record_transformers: {refused}", file=sys.stderr)
        return refused.code
    except ImportError as missing:
        print(f"record_transformers: {missing}: use a Python that has torch, transformers, numpy and h5py", file=sys.stderr)
        return 70
    except Exception as error:  # of whatever kind torch and transformers have
        print(f"record_transformers: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 70
    return 0


if __name__ == "__main__":
    sys.exit(main())
