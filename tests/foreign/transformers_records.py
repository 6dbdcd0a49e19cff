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
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

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
    check_layers_found()
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
    check_streams(scratch)


# Multipliers of the embedding and of the residual, norms after blocks, biases. Not mixtures: of the fixtures' weights transformers
# 5.24 on a CPU says "strides should be multiple of 16 bytes".
STREAMS = {"tiny-llama": "sdpa", "tiny-gemma2": "eager", "tiny-gemma3": "sdpa", "tiny-granite": "sdpa", "tiny-olmo2": "sdpa",
           "tiny-phi3": "sdpa", "tiny-qwen2": "eager", "tiny-qwen3": "sdpa"}


def check_streams(scratch: Scratch) -> None:
    """--record hidden beside our worker's own, in float32."""
    for name, attention in STREAMS.items():
        beside(scratch, name, in_this_process, ("--attention", attention))
    beside(scratch, "tiny-llama", in_this_process, (), mode="score")
    torchrun = Path(sys.executable).parent / "torchrun"
    if torchrun.exists():  # rank 0's stream is whole
        ranks = [torchrun, "--standalone", "--nproc-per-node", "3", SOURCE / "scripts/python/record_transformers.py"]
        beside(scratch, "tiny-llama", lambda words: subprocess.run([*ranks, *words], check=True), ("--tensor-parallel",))


def in_this_process(words: list[str]) -> None:
    """torch and transformers are imported once."""
    import record_transformers

    with mock.patch.object(sys, "argv", ["record_transformers.py", *map(str, words)]):
        assert record_transformers.main() == 0, words


def beside(scratch: Scratch, name: str, script: Callable[[list], Any], words: tuple[str, ...], mode: str = "greedy") -> None:
    model = BUILD / "fixtures" / name
    common = ["--model", model, "--record", "hidden", "--dtype", "float32", "--overwrite", "--quiet"]
    given = ["--prompts", scratch / "prompts.jsonl", "--mode", mode]
    subprocess.run([BUILD / "bin/shardrift-run", "run", *common, *given, "--output", scratch / "ours.h5", "--max-new-tokens", "6",
                    "--ignore-eos"], check=True)
    fed = given if mode == "score" else ["--follow", scratch / "ours.h5"]
    script([*common, *fed, "--output", scratch / "theirs.h5", *words])
    says(scratch.run("inspect", "theirs.h5", "--validate"), "it can be analysed")
    with h5py.File(scratch / "ours.h5") as ours, h5py.File(scratch / "theirs.h5") as theirs:
        assert theirs.attrs["level"] == b"hidden"
        a, b = (file["prompts/p0/hidden"][:] for file in (ours, theirs))
        assert a.shape == b.shape and (a[0] == b[0]).all(), f"{name}: {a.shape} and {b.shape}, or another embedding"
        for stream, (x, y) in enumerate(zip(a, b)):
            assert np.abs(x - y).max() < 1e-5 * np.abs(x).max(), f"{name}: stream {stream} is another"
        assert any(np.abs(x - y).max() > 1e-3 * np.abs(x).max() for x, y in zip(a[:-1], a[1:]))  # streams differ by more


def check_layers_found() -> None:
    """A model whose layers cannot be told is refused by name; streams that are none as they are met."""
    import torch
    from record_inputs import Refused
    from record_streams import Streams
    from torch import nn

    def refused(model: nn.Module, expected: str, rows: int = 2) -> None:
        try:
            streams = Streams(model, 3)
            model(torch.ones(1, rows, 4))
            streams.take(2)
            raise AssertionError(f"was taken, not: {expected}")
        except Refused as error:
            says(str(error), "--record hidden: ", expected, "use --record logits")

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = (nn.ModuleList(nn.Identity() for _ in range(3)) for _ in "ab")

    class Layers(nn.Module):
        def __init__(self, run) -> None:
            super().__init__()
            self.layers, self.run = nn.ModuleList(nn.Linear(4, 4) for _ in range(3)), run

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.run(list(self.layers)):
                x = layer(x)
            return x

    refused(nn.Linear(1, 1), "Linear has no list of 3 modules")
    refused(Two(), "Two has decoder and encoder of 3 modules")
    refused(Layers(lambda layers: layers[:2]), "2 of its 3 layers ran")
    refused(Layers(lambda layers: layers[::-1]), "do not run once each")
    refused(Layers(lambda layers: [layers[0], layers[0], *layers[1:]]), "do not run once each")
    refused(Layers(lambda layers: [layers[0], torch.neg, *layers[1:]]), "layers.1 is not given what layers.0 gave")
    refused(Layers(lambda layers: layers), "stream 0 is of shape (1, 3, 4), not (1, 2, hidden)", rows=3)
    sound = Layers(lambda layers: layers)
    streams = Streams(sound, 3)
    with torch.no_grad():
        last = sound(torch.ones(1, 2, 4))
        taken = streams.take(2)
    assert len(taken) == 4 and torch.equal(taken[0], torch.ones(2, 4)) and torch.equal(taken[3], last[0])


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
