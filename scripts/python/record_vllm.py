#!/usr/bin/env python3
"""Runs a Hugging Face model by vLLM and records every logit, as shardrift-run does (docs/file-format.md).

  scripts/python/record_vllm.py --model DIR --prompts prompts.jsonl --output vllm.h5
  scripts/python/record_vllm.py --model DIR --follow one.h5 --output tp4.h5 --tensor-parallel 4 --device cuda
  scripts/python/record_vllm.py --model DIR --prompts prompts.jsonl --output fp8.h5 --option kv_cache_dtype=fp8

then: shardrift compare vllm.h5 tp4.h5. Needs vLLM (0.11.1 or newer), NumPy and h5py in the Python that runs it; scripts/setup
installs no vLLM. On a CPU it takes a vLLM built for CPUs (docs/engines.md).

vLLM's own engine, kernels, graphs and all-reduce, by its Python API, with these settings of a measurement: one prompt at a time
(max_num_seqs 1), each prefilled in one pass, no prefix caching, greedy. --option NAME=VALUE sets others of vllm.LLM's arguments (JSON,
or else text) and is recorded: give what your server is given (max_model_len=8192, enforce_eager=true, quantization=fp8). The logits
are those before any sampling (logprobs_mode raw_logits), in the dtype in which the model made them.

--follow REF.h5 feeds another record's tokens instead of vLLM's choices, by a logits processor, so that rows stay comparable after a
flip; --mode score makes one pass over each prompt and records all its rows (vLLM keeps about 80 bytes of each of a prompt's logits
meanwhile: 6 GB for 1,400 tokens of a vocabulary of 49,152). On CPUs --threads is OMP_NUM_THREADS of each rank, ranks are not bound to
cores unless VLLM_CPU_OMP_THREADS_BIND says how, and each has 1 GiB for its cache unless VLLM_CPU_KVCACHE_SPACE says more.

Each row's seconds are from one step of vLLM's engine to the next, with the handing over of all logits: no speed of vLLM's.

What is given is checked before vLLM is loaded; --check does no more than that, and looks for the packages. Asked by a study
(SHARDRIFT_STUDY is set) it takes for granted what the study makes. The record appears when it is whole: nothing is kept of a run
that failed or was stopped (SIGTERM, SIGINT), and its command is to be repeated. VLLM_LOGGING_LEVEL=INFO shows what vLLM says.

Exit codes: 0 done, 64 usage, 65 a file that cannot be used, 70 failure, 75 stopped by a signal.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from record_program import DTYPES, RecorderParser, Refused, at_least, end_on_signals, ended
from this_machine import processor_name
from vllm_engine import FED, arguments, check_heads, option, set_environment, start

PROGRAM = "record_vllm"
NEEDS = "vllm, numpy and h5py"
try:
    import numpy as np

    from record_file import RecordFile, Row, model_identity, temporary_of
    from record_inputs import Asked, Prompt, check_packages, check_prompts, encode, read_asked
except ImportError as missing:  # --help ends before any of them is used
    if not {"-h", "--help"} & set(sys.argv[1:]):
        print(f"{PROGRAM}: {missing}: use a Python that has {NEEDS}", file=sys.stderr)
        sys.exit(70)

USUAL_BATCH = 2048  # tokens of a pass that vLLM takes unasked, at least


def settings_of(given: set[str], longest: int = 0, positions: int | None = None) -> dict[str, Any]:
    """vllm.LLM's arguments that make a measurement. Its limits of length are left as they are, but where the longest text, of `longest`
    tokens, would not fit, or not be prefilled in one pass."""
    settings: dict[str, Any] = {"max_num_seqs": 1, "enable_prefix_caching": False, "max_logprobs": -1, "logprobs_mode": "raw_logits",
                                "logits_processors": ["vllm_follow:Follow"]}
    if longest > USUAL_BATCH and "max_num_batched_tokens" not in given:
        settings["max_num_batched_tokens"] = longest
    if positions is not None and longest > positions and "max_model_len" not in given:
        settings["max_model_len"] = longest
    return settings


def end_tokens(model: Path, config: dict[str, Any]) -> list[int]:
    """As vLLM takes them: config.json's and generation_config.json's."""
    ends: set[int] = set()
    path = model / "generation_config.json"
    try:
        for one in (config, json.loads(path.read_bytes()) if path.is_file() else {}):
            given = one.get("eos_token_id")
            ends |= {int(token) for token in (given if isinstance(given, list) else [] if given is None else [given])}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise Refused(f"{path}: its eos_token_id cannot be read: {error}")
    return sorted(ends)


def stored_dtype(config: dict[str, Any]) -> str:
    """The checkpoint's, as shardrift-run takes it; vLLM's own "auto" would make bfloat16 of float32."""
    given = str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")
    if given not in DTYPES[1:]:
        raise Refused(f"config.json: dtype {given}: give --dtype float32, float16 or bfloat16")
    return given


class Engine:
    """vLLM's, and one prompt after the other through it."""

    def __init__(self, a: argparse.Namespace, asked: Asked, longest: int, variables: dict[str, str]) -> None:
        given = {name for name, _ in a.option}
        settings = settings_of(given, longest, asked.config.get("max_position_embeddings"))
        self.a, self.asked, self.started = a, asked, start(a, settings, variables)
        self.vllm, self.llm = self.started.vllm, self.started.llm
        config = self.llm.llm_engine.model_config
        self.dtype = str(config.dtype).removeprefix("torch.")
        self.vocabulary = int(config.get_vocab_size())
        self.ends = [] if a.ignore_eos else end_tokens(a.model, asked.config)
        self.calls = 0

    def describe(self) -> str:
        ranks = [f"TP={self.a.tensor_parallel}"] if self.a.tensor_parallel > 1 else []
        return ", ".join([f"vLLM {self.vllm.__version__}", f"torch {version('torch')}", *ranks, self.dtype, self.a.device])

    def outputs(self, prompt: Prompt, steps: int, **more: Any) -> tuple[Any, list[float]]:
        """What vLLM gives for a prompt, and the seconds of its passes, as they come back."""
        params = self.vllm.SamplingParams(temperature=0, max_tokens=steps, logprobs=-1, detokenize=False, flat_logprobs=True,
                                          ignore_eos=True, **more)
        engine = self.llm.llm_engine
        engine.add_request(prompt.name, {"prompt_token_ids": prompt.tokens}, params)
        output, seconds, rows = None, [], 0
        began = time.perf_counter()
        while engine.has_unfinished_requests():
            for output in engine.step():
                now = time.perf_counter()
                new = len(output.outputs[0].token_ids) - rows
                seconds += [(now - began) / new] * new if new else []
                rows, began = rows + new, now
        if output is None or not output.finished:
            raise RuntimeError(f"prompt {prompt.name}: vLLM ended without an answer")
        return output, seconds

    def logits(self, given: Any, name: str) -> np.ndarray:
        """[rows, vocabulary]: of vLLM's lists of tokens, in their order of likelihood, in float32."""
        rows = np.full((len(given), self.vocabulary), np.nan, np.float32)
        for row, begin, end in zip(rows, given.start_indices, given.end_indices):
            row[np.asarray(given.token_ids[begin:end])] = given.logprobs[begin:end]
        missing = int(np.isnan(rows).sum())
        if missing:
            raise RuntimeError(f"prompt {name}: vLLM gave no number for {missing} of {rows.size} logits: NaN, or its max_logprobs is not -1")
        return rows

    def run(self, prompt: Prompt) -> tuple[np.ndarray, list[Row], str]:
        """All rows' logits in float32, the rows without them, and why it stopped."""
        length, score = len(prompt.tokens), self.asked.mode == "score"
        if score:
            output, seconds = self.outputs(prompt, 1, prompt_logprobs=-1)
            chosen = self.logits(output.outputs[0].logprobs, prompt.name)
            logits = np.concatenate([self.logits(output.prompt_logprobs[1:], prompt.name), chosen]) if length > 1 else chosen
            rows = [Row(token, i, chosen[0], seconds[0], self.calls, length, True) for i, token in enumerate(prompt.tokens)]
            self.calls += 1
            return logits, rows, "given"
        follow = self.asked.mode == "follow"
        steps = len(prompt.fed) + 1 if follow else self.a.max_new_tokens
        room = steps if self.asked.positions is None else min(steps, self.asked.positions + 1 - length)
        more = {"extra_args": {FED: prompt.fed}} if follow else {"stop_token_ids": self.ends}
        output, seconds = self.outputs(prompt, room, **more)
        answer = output.outputs[0]
        fed = list(answer.token_ids)[:-1]
        if follow and fed != prompt.fed:
            raise RuntimeError(f"prompt {prompt.name}: vLLM was fed other tokens than asked: is its sampling changed by an --option?")
        logits = self.logits(answer.logprobs, prompt.name)
        rows = [Row(token, length - 1 + i, logits[i], seconds[i], self.calls + i, length if i == 0 else 1, i == 0)
                for i, token in enumerate([prompt.tokens[-1], *fed])]
        self.calls += len(rows)
        if follow:
            return logits, rows, "given"
        if answer.finish_reason == "stop":
            return logits, rows, "eos"
        return logits, rows, "length" if room == steps else "context"


def narrowed(logits: np.ndarray, dtype: str) -> np.ndarray | None:
    """float32 numbers in `dtype` (bfloat16: its words); None where they are not exactly of it."""
    words = logits.view(np.uint32)
    if dtype == "bfloat16":
        return (words >> 16).astype(np.uint16) if not (words & 0xFFFF).any() else None
    made = logits.astype(dtype)
    return made if np.array_equal(made.astype(np.float32), logits) else None


def recorded(engine: Engine, prompts: list[Prompt]) -> Iterator[tuple[Prompt, np.ndarray, list[Row], str]]:
    for number, prompt in enumerate(prompts, 1):
        logits, rows, stop = engine.run(prompt)
        if not engine.a.quiet:
            print(f"{number} of {len(prompts)}: {prompt.name}, {len(rows)} rows", file=sys.stderr)
        yield prompt, logits, rows, stop


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def environment_of(engine: Engine) -> dict[str, Any]:
    name = (processor_name() or platform.processor() or "CPU") if engine.a.device == "cpu" else str(engine.started.platform.get_device_name())
    libraries = {"vllm": engine.vllm.__version__, **{one: version(one) for one in ("torch", "transformers", "numpy")}}
    ours = {"model", "skip_tokenizer_init", "logits_processors"}
    settings = {key: value if isinstance(value, str) else json.dumps(value) for key, value in engine.started.settings.items() if key not in ours}
    settings["threads"] = str(engine.a.threads)
    return {"devices": [{"host": platform.node(), "name": name}] * engine.a.tensor_parallel, "libraries": libraries,
            "settings": settings, "variables": engine.started.variables}


def run(a: argparse.Namespace) -> None:
    asked = read_asked(a)
    if a.dtype == "float64":
        raise Refused("--dtype float64: vLLM has float32, float16 and bfloat16", 64)
    if a.dtype == "auto":
        a.dtype = stored_dtype(asked.config)
    check_heads(asked.config, a.tensor_parallel)
    end_tokens(a.model, asked.config)
    arguments(a, settings_of(set()))
    check_packages("vllm")
    if a.check:
        return
    end_on_signals(PROGRAM, temporary_of(a.output))
    variables = set_environment(a)
    vocab = encode(a.model, asked.prompts, asked.config.get("vocab_size") or 0)
    check_prompts(asked.prompts, asked.config.get("vocab_size") or 1 << 31, asked.positions)
    steps = a.max_new_tokens if asked.mode == "greedy" else 1
    longest = max(len(prompt.tokens) + len(prompt.fed) + steps for prompt in asked.prompts)
    engine = Engine(a, asked, longest if asked.positions is None else min(longest, asked.positions + 1), variables)
    check_prompts(asked.prompts, engine.vocabulary, asked.positions)
    results = recorded(engine, asked.prompts)
    first = next(results)
    dtype = engine.dtype if narrowed(first[1], engine.dtype) is not None else "float32"
    model = {"architecture": (asked.config.get("architectures") or ["unknown"])[0], "dtype": engine.dtype,
             "config": (a.model / "config.json").read_text(), "identity": model_identity(a.model),
             "quantization": "by vLLM" if asked.config.get("quantization_config") or engine.started.settings.get("quantization") else "none"}
    with RecordFile(a.output, engine=engine.describe(), mode=asked.mode, dtype=dtype, vocabulary=engine.vocabulary,
                    command=shlex.join(sys.argv), model=model, vocab=vocab, top_k=a.top_k) as record:
        environment = environment_of(engine)
        record.environment(**environment)
        for prompt, logits, rows, stop in (first, *results):
            words = narrowed(logits, dtype)
            if words is None:
                raise RuntimeError(f"prompt {prompt.name}: logits that are not {dtype}, as those before it were")
            for row, values in zip(rows, words):
                row.logits = values
            record.prompt(prompt.name, prompt.tokens, rows, stop=stop, words=prompt.text, device=environment["devices"][0]["name"])


def parse() -> argparse.Namespace:
    parser = RecorderParser(PROGRAM, __doc__)
    parser.add_argument("--tensor-parallel", type=at_least(1), default=1, metavar="N", help="ranks, which vLLM starts (default: 1)")
    parser.add_argument("--option", type=option, action="append", default=[], metavar="NAME=VALUE",
                        help="an argument of vllm.LLM; may be given several times")
    return parser.parse_args()


def main() -> int:
    a = parse()
    return ended(PROGRAM, NEEDS, lambda: run(a))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # vLLM's threads and its ranks' queues are not waited for
