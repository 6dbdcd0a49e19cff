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
import inspect
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from record_program import RecorderParser, Refused, end_on_signals, ended
from this_machine import kept_variables, processor_name

PROGRAM = "record_transformers"
NEEDS = "torch, transformers, numpy and h5py"
try:
    import numpy as np

    from record_file import RecordFile, Row, model_identity, temporary_of
    from record_inputs import Prompt, check_packages, check_prompts, encode, read_asked
    from record_streams import Streams, whole, words_of
except ImportError as missing:  # --help ends before any of them is used
    if not {"-h", "--help"} & set(sys.argv[1:]):
        print(f"{PROGRAM}: {missing}: use a Python that has {NEEDS}", file=sys.stderr)
        sys.exit(70)

VARIABLES = ("CUDA_", "CUBLAS_", "NCCL_", "OMP_", "MKL_", "ONEDNN_", "DNNL_", "TORCH_", "PYTORCH_", "ATEN_", "NVIDIA_TF32")


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
    device = {"host": platform.node(), "name": processor_name() or platform.processor() or "CPU"}
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
    return {"devices": devices, "libraries": libraries, "settings": settings, "variables": kept_variables(VARIABLES)}


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


def check_device(device: str) -> None:
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise Refused(f"--device cuda: torch {torch.__version__} sees no GPU here: nvidia-smi says whether there is one; a torch "
                          "built for CPUs sees none", 70)


def run(a: argparse.Namespace) -> None:
    asked = read_asked(a)
    if a.tensor_parallel:
        check_ranks(asked.config)
    if a.check:
        check_packages("torch", "transformers")
        if not asked.for_study:  # which may run elsewhere, as a job
            check_device(a.device)
        return
    end_on_signals(PROGRAM, temporary_of(a.output))
    check_device(a.device)
    engine = Engine(a, asked.positions)
    vocab = encode(a.model, asked.prompts, engine.vocabulary)
    check_prompts(asked.prompts, engine.vocabulary, asked.positions)
    model = {"architecture": engine.model.config.architectures[0], "dtype": engine.dtype,
             "config": (a.model / "config.json").read_text(),
             "quantization": "none" if not getattr(engine.model.config, "quantization_config", None) else "by transformers",
             "identity": model_identity(a.model)}
    devices = devices_of(engine)
    results = recorded(engine, asked.prompts, asked.mode)
    if engine.rank != 0:
        for _ in results:
            pass
        return
    with RecordFile(a.output, engine=engine.describe(), mode=asked.mode, dtype=engine.dtype, vocabulary=engine.vocabulary,
                    command=shlex.join(sys.argv), model=model, vocab=vocab, top_k=a.top_k, level=a.record) as record:
        record.environment(**environment_of(engine, devices))
        for prompt, rows, stop in results:
            record.prompt(prompt.name, prompt.tokens, rows, stop=stop, words=prompt.text, device=devices[0]["name"])


def parse() -> argparse.Namespace:
    parser = RecorderParser(PROGRAM, __doc__)
    parser.add_argument("--record", choices=["logits", "hidden"], default="logits",
                        help="hidden: the residual stream after each layer, too (default: logits)")
    parser.add_argument("--attention", choices=["eager", "sdpa"], default="sdpa",
                        help="transformers' attention implementation (default: sdpa, as transformers itself)")
    parser.add_argument("--tensor-parallel", action="store_true", help="tp_plan='auto' over torchrun's ranks")
    return parser.parse_args()


def main() -> int:
    a = parse()
    return ended(PROGRAM, NEEDS, lambda: run(a))


if __name__ == "__main__":
    sys.exit(main())
