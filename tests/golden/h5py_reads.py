#!/usr/bin/env python3
"""Records open in plain h5py, with no plugin and none of our code: tests/golden/h5py_reads.py BUILD_FOLDER

Runs the worker in every logits dtype on a tiny model and checks what a user of h5py sees (docs/file-format.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

PROMPT = [5, 77, 3, 100, 42]
STEPS = 6
VOCABULARY = 259


def record(build: Path, dtype: str) -> Path:
    folder = build / "golden"
    folder.mkdir(exist_ok=True)
    prompts, output = folder / "h5py.jsonl", folder / f"h5py-{dtype}.h5"
    prompts.write_text(json.dumps({"id": "p0", "tokens": PROMPT}) + "\n")
    subprocess.run(["mpirun", "-np", "1", str(build / "bin/shardrift-run"), "run", "--model",
                    str(build / "fixtures/tiny-llama"), "--prompts", str(prompts), "--output", str(output), "--overwrite",
                    "--dtype", dtype, "--max-new-tokens", str(STEPS), "--ignore-eos", "--record", "hidden", "--checksums",
                    "--quiet"], check=True)
    return output


def mix64(index: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """As docs/file-format.md spells it."""
    def finalize(z: np.ndarray) -> np.ndarray:
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
    return finalize(finalize((index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)) ^ bits)


def checksums(values: np.ndarray, dtype: str) -> np.ndarray:
    """Of rows of values as h5py reads them, in the order of their stored words."""
    if dtype == "bfloat16":
        words = values.astype(np.float32).view(np.uint32) >> 16
    else:
        words = values.view({2: np.uint16, 4: np.uint32, 8: np.uint64}[values.itemsize])
    columns = np.arange(values.shape[1], dtype=np.uint64)
    return mix64(columns, words.astype(np.uint64)).sum(axis=1, dtype=np.uint64)


def check_traces(prompt: h5py.Group, dtype: str) -> None:
    sums, hidden, logits = prompt["checksums"], prompt["hidden"][:], prompt["logits"][:]
    layers = sums["mlp_residual"].shape[0]
    assert hidden.shape[:2] == (layers + 1, STEPS), hidden.shape
    assert (checksums(logits, dtype) == sums["logits"][0]).all()
    assert (checksums(hidden[0], dtype) == sums["embedding"][0]).all()
    for layer in range(layers):
        assert (checksums(hidden[layer + 1], dtype) == sums["mlp_residual"][layer]).all(), f"layer {layer}"


def check(path: Path, dtype: str) -> None:
    with h5py.File(path) as file:
        assert file.attrs["status"] in ("complete", b"complete"), file.attrs["status"]
        plan = json.loads(file.attrs["plan"])
        assert plan["dtype"] == dtype, plan
        prompt = file["prompts/p0"]
        assert prompt["tokens"][:].tolist() == PROMPT
        logits = prompt["logits"]
        assert logits.shape == (STEPS, VOCABULARY), logits.shape
        wanted = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}[dtype]
        assert logits.id.get_type().get_size() == wanted, f"{dtype}: {logits.id.get_type().get_size()} bytes a logit"
        values = logits[:].astype(np.float64)
        assert np.isfinite(values).all() and values.std() > 0.1, "no logits of a working model"
        if dtype == "bfloat16":
            # Read as float32, exactly: the lower half of every word is zero.
            assert not (logits[:].astype(np.float32).view(np.uint32) & 0xFFFF).any()
        check_traces(prompt, dtype)
        chosen = prompt["chosen"][:]
        assert chosen.tolist() == values.argmax(axis=1).tolist()  # numpy's argmax is the lowest index at ties, as ours
        assert prompt["input_ids"][:].tolist() == [PROMPT[-1], *chosen[:-1].tolist()]
        assert prompt["positions"][:].tolist() == list(range(len(PROMPT) - 1, len(PROMPT) - 1 + STEPS))


def main() -> None:
    build = Path(sys.argv[1]).resolve()
    for dtype in ("float32", "bfloat16", "float16", "float64"):
        check(record(build, dtype), dtype)
        print(f"{dtype}: read")


if __name__ == "__main__":
    main()
