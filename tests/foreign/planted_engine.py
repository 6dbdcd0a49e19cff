#!/usr/bin/env python3
"""transformers with a defect planted into its Llama, recorded: what shardrift diagnose says of it (docs/results/diagnose-engines.md).

  tests/foreign/planted_engine.py DEFECT --model models/smollm2-135m --follow one.h5 --output bad.h5 [--record hidden] …

DEFECT is a function's name below; the rest are record_transformers.py's words.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts/python"


def attention(change: Callable[[Any, dict[str, Any]], None]) -> None:
    """change(module, given) before every call of the attention function: query, key, value, attention_mask, scaling."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS as functions

    sound = functions["sdpa"]

    def changed(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float, **more: Any) -> Any:
        given = {"query": query, "key": key, "value": value, "attention_mask": attention_mask, "scaling": scaling}
        change(module, given)
        return sound(module, **given, **more)

    functions["sdpa"] = changed


def rope_late() -> None:
    """Every position but the first is one too low: as distances alone count, only those from the first token are wrong."""
    from transformers.models.llama import modeling_llama as llama

    sound = llama.LlamaRotaryEmbedding.forward
    llama.LlamaRotaryEmbedding.forward = lambda self, x, position_ids: sound(self, x, (position_ids - 1).clamp(min=0))


def first_masked() -> None:
    """No token but the first attends to the first."""
    import torch

    def change(module: Any, given: dict[str, Any]) -> None:
        queries, keys = given["query"].shape[2], given["key"].shape[2]
        seen = torch.ones(queries, keys, dtype=torch.bool, device=given["query"].device).tril(keys - queries)
        seen[max(0, 1 - (keys - queries)):, 0] = False
        given["attention_mask"] = seen[None, None]

    attention(change)


def scale_off() -> None:
    """Scores are 5% too large."""

    def change(module: Any, given: dict[str, Any]) -> None:
        given["scaling"] *= 1.05

    attention(change)


def columns_shifted() -> None:
    """The columns of layer 7's o_proj stand one too far right."""
    from transformers.models.llama import modeling_llama as llama

    sound = llama.LlamaAttention.forward
    done: list[int] = []

    def forward(self: Any, *args: Any, **more: Any) -> Any:
        if self.layer_idx == 7 and not done:
            self.o_proj.weight.data = self.o_proj.weight.data.roll(1, dims=1)
            done.append(7)
        return sound(self, *args, **more)

    llama.LlamaAttention.forward = forward


def epsilon() -> None:
    """Every norm's epsilon is 1e-3, not the checkpoint's."""
    from transformers.models.llama import modeling_llama as llama

    sound = llama.LlamaRMSNorm.forward

    def forward(self: Any, hidden_states: Any) -> Any:
        self.variance_epsilon = 1e-3
        return sound(self, hidden_states)

    llama.LlamaRMSNorm.forward = forward


def row_lost() -> None:
    """In decode, row 0 of layer 3's cache is zeros."""

    def change(module: Any, given: dict[str, Any]) -> None:
        if module.layer_idx == 3 and given["query"].shape[2] < given["key"].shape[2]:
            for name in ("key", "value"):
                given[name] = given[name].clone()
                given[name][:, :, 0] = 0

    attention(change)


def main() -> None:
    defects = {one.__name__: one for one in (rope_late, first_masked, scale_off, columns_shifted, epsilon, row_lost)}
    if len(sys.argv) < 2 or sys.argv[1] not in defects:
        sys.exit(f"planted_engine: name one of {', '.join(defects)}: then record_transformers.py's words")
    defects[sys.argv[1]]()
    sys.path.insert(0, str(SCRIPTS))
    sys.argv = [str(SCRIPTS / "record_transformers.py"), *sys.argv[2:]]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
