#!/usr/bin/env python3
"""shardrift import of llama.cpp's --kl-divergence-base file, written here as docs/engines.md describes it:
tests/foreign/import_llama_cpp.py SOURCE BUILD"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from program import Scratch, says

import h5py
import numpy as np

CONTEXT, CHUNKS = 10, 2
ROWS = CONTEXT - 1 - CONTEXT // 2
random = np.random.default_rng(11)


def coded(logits: np.ndarray) -> tuple[bytes, np.ndarray]:
    """One row as llama.cpp writes it, and what its codes stand for."""
    logits = logits.astype(np.float32)
    most, least = logits.max(), max(logits.min(), logits.max() - np.float32(16))
    log_sum = np.float32(np.log(np.exp((logits - most).astype(np.float32)).astype(np.float64).sum()))
    scale = np.float32((most - least) / np.float32(65535))
    base = np.float32(least - most - log_sum)
    codes = np.where(logits > least, np.rint((logits - least) / scale if scale > 0 else 0), 0).astype(np.uint16)
    row = struct.pack("<ff", scale, base) + codes.tobytes() + b"\0\0" * (len(logits) % 2)
    return row, np.float32(scale * codes.astype(np.float32)).astype(np.float32) + base


def write(path: Path, vocabulary: int, tokens: np.ndarray, logits: np.ndarray) -> np.ndarray:
    rows, values = zip(*(coded(row) for row in logits.reshape(-1, vocabulary)))
    path.write_bytes(b"_logits_" + struct.pack("<iii", CONTEXT, vocabulary, CHUNKS) + tokens.astype("<i4").tobytes() + b"".join(rows))
    return np.array(values).reshape(logits.shape)


def check(scratch: Scratch, vocabulary: int) -> None:
    """Odd vocabularies have a code more."""
    tokens = random.integers(0, vocabulary, (CHUNKS, CONTEXT))
    logits = (random.standard_normal((CHUNKS, ROWS, vocabulary)) * 6).astype(np.float32)
    logits[0, 0, 3] = -90  # below 16 under the largest
    logits[1, 1] = 2.5     # no scale at all
    values = write(scratch / "base.kld", vocabulary, tokens, logits)
    output = scratch.run("import", "base.kld", "--output", f"base-{vocabulary}.h5", "--engine", "llama.cpp b1")
    says(output, "2 prompts, 8 rows, float32 log-probabilities, mode score", "give --bos ID then")
    with h5py.File(scratch / f"base-{vocabulary}.h5") as file:
        for chunk in range(CHUNKS):
            prompt = file[f"prompts/chunk{chunk}"]
            assert (prompt["logits"][:] == values[chunk]).all(), f"chunk {chunk}"
            assert prompt["tokens"][:].tolist() == tokens[chunk].tolist()
            assert prompt["positions"][:].tolist() == list(range(CONTEXT // 2, CONTEXT // 2 + ROWS))
            assert prompt["input_ids"][:].tolist() == tokens[chunk, CONTEXT // 2:CONTEXT // 2 + ROWS].tolist()
    scratch.run("import", "base.kld", "--bos", "1", "--output", "bos.h5", "--engine", "llama.cpp b1", "--overwrite")
    with h5py.File(scratch / "bos.h5") as file:
        assert file["prompts/chunk1/tokens"][:].tolist() == [1, *tokens[1, 1:].tolist()]
    # Against the logits themselves: distributions agree as far as 16 bits go, elements are of another kind.
    (scratch / "plain.npy").unlink(missing_ok=True)
    np.save(scratch / "chunk0.npy", logits[0])
    np.save(scratch / "text.npy", tokens[0])
    scratch.run("import", "chunk0.npy", "--tokens", "text.npy", "--first-position", str(CONTEXT // 2), "--output", "plain.h5",
                "--engine", "numpy", "--overwrite")
    with h5py.File(scratch / f"base-{vocabulary}.h5", "r+") as file:
        del file["prompts/chunk1"]
    says(scratch.run("compare", "plain.h5", f"base-{vocabulary}.h5", "--no-cache", code=1),
         "not comparable, or only in part", "logits against log-probabilities: KL, probabilities", "rounded to 16 bits")


def check_refusals(scratch: Scratch) -> None:
    tokens = random.integers(0, 7, (CHUNKS, CONTEXT))
    write(scratch / "good.kld", 7, tokens, random.standard_normal((CHUNKS, ROWS, 7)))
    whole = (scratch / "good.kld").read_bytes()

    def bad(data: bytes, expected: str, *words: str) -> None:
        (scratch / "bad.kld").write_bytes(data)
        scratch.refuses("import", "bad.kld", "--output", "bad.h5", "--engine", "llama.cpp", *words, says=expected)

    bad(whole[:12], "ends within its header")
    bad(whole[:-1], "2 chunks of 10 tokens of a vocabulary of 7 take")
    bad(whole + b"x", "take")
    for at, expected in ((8, "a context n_ctx of"), (12, "a vocabulary n_vocab of"), (16, "a number of chunks n_chunk of")):
        for value in (0, -1, 2**31 - 1):
            bad(whole[:at] + struct.pack("<i", value) + whole[at + 4:], expected)
    bad(whole[:16] + struct.pack("<i", 2**25) + whole[20:], "cut off before it was finished?")
    bad(whole + b"x", "longer than that: something was added to it, or it is damaged)")
    bad(whole[:20] + struct.pack("<i", 7) + whole[24:], "token 7 at place 0 of the text: the vocabulary has 7")
    rows = 20 + 4 * CHUNKS * CONTEXT
    # Scale and least value of a row of either chunk.
    row_bytes = (len(whole) - rows) // (CHUNKS * ROWS)
    second = rows + (ROWS + 1) * row_bytes
    for value, shown in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (-0.25, "-0.25")):
        bad(whole[:rows] + struct.pack("<f", value) + whole[rows + 4:], f"bad.kld: chunk 0: row 0: scale {shown} and")
        bad(whole[:second] + struct.pack("<f", value) + whole[second + 4:], f"bad.kld: chunk 1: row 1: scale {shown} and")
    for value, shown in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (3.5, "3.5")):
        bad(whole[:rows + 4] + struct.pack("<f", value) + whole[rows + 8:], f"and least value {shown} ")
    bad(whole[:rows] + struct.pack("<f", 1e30) + whole[rows + 4:], "chunk 0: row 0: scale 1e+30 and least value")
    bad(whole[:rows] + struct.pack("<f", 1.0) + whole[rows + 4:], "more than 0: damaged")
    bad(whole, "token 9 at place 0 of --bos", "--bos", "9")
    scratch.refuses("import", "good.kld", "--output", "bad.h5", "--engine", "x", "--vocabulary", "7", says="--vocabulary", code=64)


def main() -> None:
    scratch = Scratch()
    for vocabulary in (12, 7):
        check(scratch, vocabulary)
    check_refusals(scratch)
    shutil.rmtree(scratch.folder)


if __name__ == "__main__":
    main()
