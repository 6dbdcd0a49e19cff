#!/usr/bin/env python3
"""Writes tests/unit/weights/references/quantized.json: what --quantize has to make of some matrices, to the bit.

nf4 is bitsandbytes' (quantize_4bit, dequantize_4bit, blocks of 64, absmax in float32), row by row: on matrices whose
rows are whole blocks that is the same as on the matrix. The others are torch's plain formulas. Run by hand; CI reads what
is committed. In an environment of its own:

    python3 -m venv /tmp/quantized && /tmp/quantized/bin/pip install torch==2.11.0 bitsandbytes==0.50.2 numpy
    /tmp/quantized/bin/python tests/unit/weights/make-quantized.py

Numbers are float32 words as integers. Of the large matrix, whose numbers quantize_test.cpp makes by the rule in counted(),
the SHA-256 of the result's little-endian bytes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import bitsandbytes.functional as bnb
import numpy as np
import torch

TARGET = Path(__file__).parent / "references" / "quantized.json"
LARGE = (130, 140)  # groups of 64, 64 and 12; blocks of 128 and 2 rows, 128 and 12 columns


def counted(rows: int, cols: int) -> np.ndarray:
    """Numbers of many magnitudes, exact in float32."""
    state, values = 1, []
    for i in range(rows * cols):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(((state >> 8) - 2**23) * 2.0 ** (-23 - i % 11))
    return np.array(values, dtype=np.float32).reshape(rows, cols)


def small() -> np.ndarray:
    """A row of 70: ties, both signs, zeros; a row of zeros; magnitudes near and below float32's smallest normal."""
    ties = np.zeros(70)
    ties[:64] = np.arange(-32, 32) * 0.5
    ties[10] = 127 / 2
    ties[64:] = [0.125, -0.25, 0.5, -1, 2, 3]
    rows = [ties, np.zeros(70), np.where(np.arange(70) % 3 == 0, 1e-40, -3e-39), np.full(70, -1e-45),
            np.linspace(-1e-3, 448, 70)]
    return np.stack(rows).astype(np.float32)


def nf4(row: torch.Tensor) -> torch.Tensor:
    codes, state = bnb.quantize_4bit(row, blocksize=64, quant_type="nf4")
    assert state.absmax.dtype == torch.float32
    return bnb.dequantize_4bit(codes, state)


def scaled(group: torch.Tensor, most: float) -> torch.Tensor:
    scale = group.abs().max() / most
    if scale == 0:
        return torch.zeros_like(group)
    quotient = (group / scale).clamp(-most, most)
    codes = quotient.to(torch.float8_e4m3fn).float() if most == 448 else torch.round(quotient) + 0.0
    return codes * scale


def in_groups(row: torch.Tensor, of, size: int) -> torch.Tensor:
    return torch.cat([of(row[i:i + size]) for i in range(0, len(row), size)])


def in_blocks(matrix: torch.Tensor) -> torch.Tensor:
    result = torch.empty_like(matrix)
    for top in range(0, matrix.shape[0], 128):
        for left in range(0, matrix.shape[1], 128):
            block = matrix[top:top + 128, left:left + 128]
            result[top:top + 128, left:left + 128] = scaled(block, 448)
    return result


def quantized(matrix: np.ndarray) -> dict[str, np.ndarray]:
    rows = torch.from_numpy(matrix)
    by_row = {
        "int8": lambda row: scaled(row, 127),
        "int4": lambda row: in_groups(row, lambda group: scaled(group, 7), 64),
        "nf4": nf4,
        "fp8": lambda row: scaled(row, 448),
    }
    results = {name: torch.stack([of(row) for row in rows]) for name, of in by_row.items()}
    results["fp8-block"] = in_blocks(rows)
    return {name: result.numpy().astype("<f4") for name, result in results.items()}


def words(values: np.ndarray) -> list[int]:
    return values.astype("<f4").reshape(-1).view("<u4").tolist()


def main() -> None:
    large = {name: hashlib.sha256(result.tobytes()).hexdigest() for name, result in quantized(counted(*LARGE)).items()}
    some = small()
    text = json.dumps({"large": large, "cols": some.shape[1], "small": words(some),
                       "quantized": {name: words(result) for name, result in quantized(some).items()}})
    TARGET.write_text(text + "\n")


if __name__ == "__main__":
    main()
