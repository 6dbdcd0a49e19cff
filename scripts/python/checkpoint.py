"""Writing Hugging Face checkpoint directories: safetensors bytes, config.json.

Everything written here is a function of its arguments alone, on every machine: the tests compare SHA-256 sums.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

STORED_NAME = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
STORED_SIZE = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
DTYPES = list(STORED_NAME)
STORED_NAME["uint8"], STORED_SIZE["uint8"] = "U8", 1  # of codes, which no option asks for


@dataclass(frozen=True)
class Stored:
    """A tensor of a checkpoint. `words` makes what is stored, when it is written: all need not be in memory together."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    words: Callable[[], np.ndarray]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * STORED_SIZE[self.dtype]


def to_stored(values: np.ndarray, dtype: str) -> np.ndarray:
    """Values as the words of `dtype`, rounded to float32 and from there to nearest even; float64 as they are.

    bfloat16 has no numpy type: uint16.
    """
    if dtype == "float64":
        return np.ascontiguousarray(values, dtype="<f8")
    values = np.ascontiguousarray(values, dtype=np.float32)
    if dtype == "float32":
        return values.astype("<f4")
    if dtype == "float16":
        return values.astype("<f2")
    bits = values.view(np.uint32)
    # Adding 0x7fff plus the lowest kept bit carries into the kept half exactly when rounding goes up.
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype("<u2")


def write_safetensors(path: Path, tensors: list[Stored]) -> int:
    """One file, the header first; the number of bytes of its tensors."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        header[tensor.name] = {"dtype": STORED_NAME[tensor.dtype], "shape": list(tensor.shape),
                               "data_offsets": [end, end + tensor.bytes]}
        end += tensor.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensor bytes begin at a multiple of 8
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            tensor.words().tofile(file)
    return end


def write_checkpoint(directory: Path, tensors: list[Stored], files: int,
                     progress: Callable[[str], None] = lambda text: None) -> None:
    """model.safetensors, or `files` of them with an index."""
    files = max(1, min(files, len(tensors)))
    total = sum(tensor.elements for tensor in tensors)
    groups: list[list[Stored]] = [[] for _ in range(files)]
    done = 0
    for tensor in tensors:
        groups[min(files - 1, done * files // total)].append(tensor)
        done += tensor.elements
    groups = [group for group in groups if group]
    weight_map: dict[str, str] = {}
    bytes_written = 0
    for number, group in enumerate(groups, start=1):
        single = len(groups) == 1
        file_name = "model.safetensors" if single else f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        progress(file_name)
        # The widest first, as safetensors orders them: each is then aligned.
        bytes_written += write_safetensors(directory / file_name,
                                           sorted(group, key=lambda tensor: -STORED_SIZE[tensor.dtype]))
        weight_map |= {tensor.name: file_name for tensor in group}
    if len(groups) > 1:
        write_json(directory / "model.safetensors.index.json",
                   {"metadata": {"total_size": bytes_written}, "weight_map": weight_map})


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
