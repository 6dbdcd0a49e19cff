#!/usr/bin/env python3
"""Writes data/gguf_blocks.json: blocks of every GGUF type that is decoded, and what the gguf package makes of them.

Any codes; scales of both signs, zero and subnormal among them. Bytes and float32 words in hexadecimal.
"""
import json
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize

# Where a block's float16 scales begin.
SCALES = {"F32": [], "F16": [0], "BF16": [], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
          "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "MXFP4": []}


def main() -> None:
    random = np.random.Generator(np.random.PCG64(7))
    types = {}
    for name, scales in SCALES.items():
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        count = max(3, 96 // elements)
        blocks = random.integers(0, 256, (count, size), np.uint8)
        for begin in scales:
            values = random.normal(0, 1, count).astype("<f2")
            values[0] = 0
            values[1] = np.float16(-3e-7)
            blocks[:, begin:begin + 2] = values.view(np.uint8).reshape(-1, 2)
        if name == "F32":
            blocks = random.normal(0, 1, count).astype("<f4").view(np.uint8).reshape(-1, 4)
        if name == "BF16":
            blocks[:, 1] &= 0xBF  # finite
        if name == "MXFP4":
            blocks[:, 0] = [0, 1, 2, *random.integers(100, 140, count - 3)]
        values = np.asarray(dequantize(blocks.reshape(1, -1), kind), "<f4")
        types[name] = {"blocks": blocks.tobytes().hex(), "values": values.tobytes().hex()}
    path = Path(__file__).parent / "data/gguf_blocks.json"
    path.write_text(json.dumps({"gguf": "0.19.0", "types": types}, indent=1) + "\n")


if __name__ == "__main__":
    main()
