"""Writing Hugging Face checkpoint directories: safetensors bytes, config.json.

Everything written here is a function of its arguments alone, on every machine: the tests compare SHA-256 sums.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

STORED_NAME = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
STORED_SIZE = {"float32": 4, "float16": 2, "bfloat16": 2}


def to_stored(values: np.ndarray, dtype: str) -> np.ndarray:
    """float32 values as the words of `dtype`, rounded to nearest even. bfloat16 has no numpy type: uint16."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    if dtype == "float32":
        return values.astype("<f4")
    if dtype == "float16":
        return values.astype("<f2")
    bits = values.view(np.uint32)
    # Adding 0x7fff plus the lowest kept bit carries into the kept half exactly when rounding goes up.
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype("<u2")


class SafetensorsWriter:
    """One safetensors file, written in order: the header first, so tensors need not be in memory together."""

    def __init__(self, path: Path, tensors: Iterable[tuple[str, tuple[int, ...]]], dtype: str) -> None:
        self.dtype = dtype
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        self.bytes = 0
        for name, shape in tensors:
            size = STORED_SIZE[dtype]
            for extent in shape:
                size *= extent
            header[name] = {
                "dtype": STORED_NAME[dtype],
                "shape": list(shape),
                "data_offsets": [self.bytes, self.bytes + size],
            }
            self.bytes += size
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # tensor bytes begin at a multiple of 8
        self.file = path.open("wb")
        self.file.write(len(text).to_bytes(8, "little") + text)

    def write(self, stored: np.ndarray) -> None:
        """The next tensor's words, as to_stored gives them."""
        stored.tofile(self.file)

    def close(self) -> None:
        self.file.close()


def write_checkpoint(
    directory: Path,
    shapes: list[tuple[str, tuple[int, ...]]],
    dtype: str,
    files: int,
    stored: Callable[[str, tuple[int, ...]], np.ndarray],
    progress: Callable[[str], None] = lambda text: None,
) -> None:
    """model.safetensors, or `files` of them with an index. `stored` makes the words of one tensor."""
    files = max(1, min(files, len(shapes)))
    sizes = [int(np.prod(shape)) for _, shape in shapes]
    groups: list[list[tuple[str, tuple[int, ...]]]] = [[] for _ in range(files)]
    done = 0
    for (name, shape), size in zip(shapes, sizes, strict=True):
        groups[min(files - 1, done * files // sum(sizes))].append((name, shape))
        done += size
    groups = [group for group in groups if group]
    weight_map: dict[str, str] = {}
    total = 0
    for number, group in enumerate(groups, start=1):
        single = len(groups) == 1
        file_name = "model.safetensors" if single else f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        progress(file_name)
        writer = SafetensorsWriter(directory / file_name, group, dtype)
        for name, shape in group:
            writer.write(stored(name, shape))
            weight_map[name] = file_name
        writer.close()
        total += writer.bytes
    if len(groups) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        write_json(directory / "model.safetensors.index.json", index)


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
