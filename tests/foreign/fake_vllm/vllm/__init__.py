"""Stands in for vLLM in tests/foreign/vllm_records.py: the parts of its Python API that the scripts use, over planted logits. What
it was asked lies in asked.json; FAKE_VLLM_FAULT names what it does wrong."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from planted_logits import VOCABULARY, row_of

__version__ = "9.9"
FAULT = os.environ.get("FAKE_VLLM_FAULT", "")
KNOWN = {"model", "skip_tokenizer_init", "dtype", "tensor_parallel_size", "seed", "max_model_len", "max_num_batched_tokens", "max_num_seqs",
         "enable_prefix_caching", "max_logprobs", "logprobs_mode", "logits_processors", "enforce_eager", "kv_cache_dtype",
         "worker_extension_cls"}


@dataclass
class SamplingParams:
    temperature: float = 1
    max_tokens: int = 16
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    detokenize: bool = True
    flat_logprobs: bool = False
    ignore_eos: bool = False
    stop_token_ids: list[int] = field(default_factory=list)
    extra_args: dict | None = None


class FlatLogprobs:
    def __init__(self) -> None:
        self.start_indices: list[int] = []
        self.end_indices: list[int] = []
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []

    def add(self, token: int | None, row: np.ndarray | None) -> None:
        """As vLLM: the sampled (or given) token, then all in the order of their logits."""
        self.start_indices.append(len(self.token_ids))
        if row is not None:
            for one in [token, *np.argsort(-row, kind="stable").tolist()][: -1 if FAULT == "nan" else None]:
                self.token_ids.append(one)
                self.logprobs.append(float(row[one]))
        self.end_indices.append(len(self.token_ids))

    def __len__(self) -> int:
        return len(self.start_indices)

    def __getitem__(self, index: slice) -> FlatLogprobs:
        made = FlatLogprobs()
        made.start_indices, made.end_indices = self.start_indices[index], self.end_indices[index]
        made.token_ids, made.logprobs = self.token_ids, self.logprobs
        return made


class Engine:
    def __init__(self, dtype: str) -> None:
        self.model_config = SimpleNamespace(dtype=f"torch.{'bfloat16' if dtype == 'auto' else dtype}", get_vocab_size=lambda: VOCABULARY)
        self.dtype, self.request, self.number = self.model_config.dtype.removeprefix("torch."), None, 0

    def add_request(self, name: str, prompt: dict, params: SamplingParams) -> None:
        asked["params"].append(asdict(params))
        keep()
        self.number += 1
        self.request = SimpleNamespace(name=name, tokens=prompt["prompt_token_ids"], params=params, made=[], rows=FlatLogprobs())

    def has_unfinished_requests(self) -> bool:
        return FAULT != "lost" and self.request is not None

    def row(self, tokens: list[int]) -> np.ndarray:
        row = row_of(tokens, self.dtype)
        if FAULT == "wide" or (FAULT == "wide later" and self.number > 1):
            row = row + np.float32(2.0**-20)
        if FAULT == "eos":
            row[9] = 100 if len(tokens) == 4 else -100
        return row

    def step(self) -> list[SimpleNamespace]:
        one = self.request
        row = self.row([*one.tokens, *one.made])
        fed = (one.params.extra_args or {}).get("shardrift_fed", [])
        token = fed[len(one.made)] if len(one.made) < len(fed) else int(row.argmax())
        if FAULT == "other":
            token = (token + 1) % VOCABULARY
        one.made.append(token)
        one.rows.add(token, row)
        stopped = token in one.params.stop_token_ids
        finished = stopped or len(one.made) == one.params.max_tokens
        given = FlatLogprobs()
        given.add(None, None)
        for i in range(1, len(one.tokens) if one.params.prompt_logprobs else 0):
            given.add(one.tokens[i], self.row(one.tokens[:i]))
        if finished:
            self.request = None
        answer = SimpleNamespace(token_ids=list(one.made), logprobs=one.rows, finish_reason="stop" if stopped else "length" if finished else None)
        return [SimpleNamespace(outputs=[answer], prompt_logprobs=given, finished=finished)]


class LLM:
    def __init__(self, **engine: object) -> None:
        if unknown := set(engine) - KNOWN:
            raise TypeError(f"EngineArgs.__init__() got an unexpected keyword argument '{unknown.pop()}'")
        if FAULT == "dead":
            raise RuntimeError("a worker\n  died")
        asked["engine"] = engine
        keep()
        self.llm_engine = Engine(str(engine["dtype"]))

    def collective_rpc(self, method: str, args: tuple = ()) -> list[list[str]]:
        asked["rpc"] = [method, list(args)]
        keep()
        return [["asked for\n"], []]


asked: dict = {"params": []}


def keep() -> None:
    Path("asked.json").write_text(json.dumps(asked))
