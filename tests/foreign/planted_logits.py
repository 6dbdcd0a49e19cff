"""Logits that hang on every token so far, exact in float32, and in bfloat16 and float16 where those are asked for."""

from __future__ import annotations

import numpy as np

VOCABULARY = 17


def row_of(tokens: list[int], dtype: str) -> np.ndarray:
    """float32 [VOCABULARY], of 8 significant bits or, in float32, of more."""
    seed = sum((i + 1) * (token + 1) for i, token in enumerate(tokens))
    row = np.random.default_rng(seed).permutation(np.arange(1, VOCABULARY + 1)).astype(np.float32) / 8 - 1
    return row + np.float32(2.0**-20) if dtype == "float32" else row
