#!/usr/bin/env python3
"""scripts/python/record_transformers.py's records: tests/foreign/transformers_records.py SOURCE BUILD

What writes them (record_file.py) is tested with NumPy alone, in every dtype. The script itself runs where this Python has torch
and transformers; scripts/setup installs neither, so that is mostly by hand: /path/to/python tests/foreign/transformers_records.py . build
"""

from __future__ import annotations

import importlib.util
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from program import BUILD, SOURCE, Scratch, says

import h5py
import numpy as np

sys.path.insert(0, str(SOURCE / "scripts/python"))
from record_file import DTYPES, RecordFile, Row, model_identity, widened  # noqa: E402

VOCABULARY = 17
TOKENS = [3, 1, 4]
random = np.random.default_rng(17)


def words_of(dtype: str, rows: int) -> np.ndarray:
    values = random.standard_normal((rows, VOCABULARY))
    if dtype == "bfloat16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(dtype)


def write(scratch: Scratch, name: str, dtype: str, logits: np.ndarray, mode: str = "greedy") -> None:
    chosen = widened(logits).argmax(1)
    fed = [TOKENS[-1], *chosen[:-1].tolist()]
    rows = [Row(token, 2 + i, row, 0.25, i, 3 if i == 0 else 1, i == 0) for i, (token, row) in enumerate(zip(fed, logits))]
    with RecordFile(scratch / name, engine="NumPy stand-in", mode=mode, dtype=dtype, vocabulary=VOCABULARY, command="test",
                    model={"architecture": "None", "dtype": dtype}, vocab=[f"t{i}" for i in range(VOCABULARY)]) as record:
        record.environment([{"host": "here", "name": "a CPU"}], {"numpy": np.__version__}, {"threads": "1"}, {"OMP_NUM_THREADS": ""})
        record.prompt("p0", TOKENS, rows, stop="length", words="a text")


def check_dtypes(scratch: Scratch) -> None:
    for dtype in DTYPES:
        logits = words_of(dtype, 4)
        write(scratch, f"{dtype}.h5", dtype, logits)
        output = scratch.run("inspect", f"{dtype}.h5", "--validate")
        says(output, "1 prompt, 4 rows of logits", "it can be analysed", "/model/@weights")
        says(scratch.run("inspect", f"{dtype}.h5", "--verify"), "1 of 1 prompts are what their hashes say")
        says(scratch.run("inspect", f"{dtype}.h5"), "NumPy stand-in", "rank 0: a CPU on here", f"logits {dtype}")
        says(scratch.run("compare", f"{dtype}.h5", f"{dtype}.h5", "--no-cache"), "bit-equal in 1 of 1 prompt")
        with h5py.File(scratch / f"{dtype}.h5") as file:
            read = file["prompts/p0/logits"][:]
            assert (read.astype(np.float64) == widened(logits)).all(), dtype
            top = file["prompts/p0/top/log_probabilities"][:].astype(np.float64)
            assert (np.exp(top).sum(1) < 1).all() and (np.diff(top) <= 0).all()
    says(scratch.run("compare", "float32.h5", "bfloat16.h5", code=1), "logits: float32 against bfloat16: compared as numbers")
    # An edit is found by the hash.
    with h5py.File(scratch / "float32.h5", "r+") as file:
        file["prompts/p0/logits"][0, 3] -= 1
    scratch.refuses("inspect", "float32.h5", "--verify", says="edited, or damaged")


def check_faults(scratch: Scratch) -> None:
    logits = words_of("float32", 2)
    logits[1, 2] = np.nan
    for broken, expected in ((logits, "row 1 has NaN"), (words_of("float64", 2), "logits of float64")):
        try:
            write(scratch, "bad.h5", "float32", broken)
            raise AssertionError("was written")
        except ValueError as error:
            says(str(error), expected)
        assert not list(scratch.folder.glob("bad.h5*"))


def check_transformers(scratch: Scratch) -> None:
    """Beside our own worker: the same choices, and bits that are another engine's."""
    model = BUILD / "fixtures/tiny-llama"
    (scratch / "prompts.jsonl").write_text(json.dumps({"id": "p0", "tokens": [5, 77, 3, 100, 42]}) + "\n")

    def record(output: str, *words: str, code: int = 0) -> str:
        done = subprocess.run([sys.executable, SOURCE / "scripts/python/record_transformers.py", "--model", model, "--output",
                               scratch / output, "--max-new-tokens", "6", "--ignore-eos", "--quiet", *words],
                              capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr

    given = ("--prompts", str(scratch / "prompts.jsonl"))
    for attention in ("eager", "sdpa"):
        record(f"{attention}.h5", *given, "--attention", attention)
        says(scratch.run("inspect", f"{attention}.h5", "--validate"), "6 rows of logits", "it can be analysed")
        says(scratch.run("inspect", f"{attention}.h5"), f"transformers {__import__('transformers').__version__} {attention}")
    record("follow.h5", "--follow", str(scratch / "eager.h5"), "--attention", "eager")
    scratch.run("compare", "eager.h5", "follow.h5")  # the same passes: the same bits
    record("score.h5", *given, "--mode", "score")
    says(scratch.run("compare", "eager.h5", "score.h5", "--no-cache", "--tolerance", "1", code=2), "1 of 6")
    says(record("eager.h5", *given, code=64), "exists")
    says(record("x.h5", code=64), "either --prompts FILE or --follow")
    (scratch / "text.jsonl").write_text('{"id": "t", "text": "a"}\n')
    says(record("x.h5", "--prompts", str(scratch / "text.jsonl"), code=65), 'which prompts of "text" need')
    check_ends(scratch, model)
    if not (BUILD / "bin/shardrift-run").exists():
        return
    ours = scratch / "ours.h5"
    subprocess.run([BUILD / "bin/shardrift-run", "run", "--model", model, *given, "--output", ours, "--max-new-tokens", "6",
                    "--ignore-eos", "--quiet"], check=True)
    with h5py.File(ours) as file, h5py.File(scratch / "eager.h5") as other:
        assert file["model"].attrs["identity"] == other["model"].attrs["identity"]
        a, b = file["prompts/p0/logits"][:], other["prompts/p0/logits"][:]
        assert np.allclose(a, b, atol=1e-4) and file["prompts/p0/chosen"][:].tolist() == other["prompts/p0/chosen"][:].tolist()
    output = scratch.run("compare", "ours.h5", "eager.h5", "--tolerance", "0.001")
    says(output, "weights: eager does not say of which", "-> transformers")


def check_ends(scratch: Scratch, model: Path) -> None:
    """At the model's last position, on a full disk, and by a signal between its prompts."""
    folder = scratch / "ends"
    folder.mkdir()
    lines = [json.dumps({"id": f"p{i}", "tokens": [5, 77, i]}) + "\n" for i in range(200)]
    (folder / "prompts.jsonl").write_text("".join(lines))
    words = [sys.executable, SOURCE / "scripts/python/record_transformers.py", "--model", model, "--prompts", "prompts.jsonl",
             "--ignore-eos", "--max-new-tokens", "300", "--output", "out.h5"]
    full = subprocess.run([*words, "--quiet"], cwd=folder, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    assert full.returncode == 70 and full.stderr.count("\n") == 1, full
    says(full.stderr, "File too large: make room")
    stopped = subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert stopped.stderr and "1 of 200" in stopped.stderr.readline()
    stopped.terminate()
    _, errors = stopped.communicate()
    assert stopped.returncode == 75, (stopped.returncode, errors)
    says(errors, "stopped by SIGTERM")
    assert [path.name for path in folder.iterdir()] == ["prompts.jsonl"]
    (folder / "prompts.jsonl").write_text("".join(lines[:2]))
    subprocess.run([*words, "--quiet"], cwd=folder, check=True)
    with h5py.File(folder / "out.h5") as file:
        assert file["prompts/p1"].attrs["stop"] == b"context" and file["prompts/p1/positions"][-1] == 255
    says(scratch.run("inspect", "ends/out.h5", "--validate"), "2 prompts", "it can be analysed")


def main() -> None:
    scratch = Scratch()
    check_dtypes(scratch)
    check_faults(scratch)
    if (BUILD / "fixtures/tiny-llama").exists():
        assert len(model_identity(BUILD / "fixtures/tiny-llama")) == 64
        if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
            check_transformers(scratch)
        else:
            print("not run: record_transformers.py itself, as this Python has no transformers")
    shutil.rmtree(scratch.folder)


if __name__ == "__main__":
    main()
