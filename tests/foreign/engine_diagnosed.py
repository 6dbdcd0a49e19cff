#!/usr/bin/env python3
"""Records of an engine that writes its residual stream, through shardrift diagnose: tests/foreign/engine_diagnosed.py SOURCE BUILD

The engine is our own worker's record, written again by scripts/python/record_file.py with NumPy alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from program import BUILD, SOURCE, Scratch, says, says_not

import h5py
import numpy as np

sys.path.insert(0, str(SOURCE / "scripts/python"))
from record_file import RecordFile, Row, widened  # noqa: E402

MODEL = BUILD / "fixtures/tiny-llama"
CPU = {"host": "here", "name": "a CPU"}
GPU = CPU | {"name": "a GPU", "compute_capability": "9.0"}


def words_of(data: h5py.Dataset) -> np.ndarray:
    """bfloat16's words, which h5py would widen: exactly, so cutting them is exact."""
    return (data[:].astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


class Engine:
    """Writes what our worker recorded as an engine's, changed."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        (scratch / "prompts.jsonl").write_text("".join(
            json.dumps({"id": f"p{i}", "tokens": [5, 77, 3, 100, 42 + i, 7 * i]}) + "\n" for i in range(3)))
        subprocess.run([BUILD / "bin/shardrift-run", "run", "--model", MODEL, "--prompts", scratch / "prompts.jsonl", "--dtype",
                        "bfloat16", "--mode", "score", "--record", "hidden", "--output", scratch / "ours.h5", "--quiet"], check=True)
        with h5py.File(scratch / "ours.h5") as file:
            self.prompts = {name: (group["tokens"][:].tolist(), words_of(group["logits"]), words_of(group["hidden"]))
                            for name, group in file["prompts"].items()}

    def write(self, name: str, devices: list[dict[str, str]], level: str = "hidden", logits_by: float = 1,
              stream: int | None = None) -> None:
        """logits_by: a factor of every second logit. stream: the one that is scaled by 1.5."""
        with RecordFile(self.scratch / name, engine="a stand-in 1.0", mode="score", dtype="bfloat16", vocabulary=self.vocabulary(),
                        level=level, model={"architecture": "LlamaForCausalLM", "dtype": "bfloat16"}) as record:
            record.environment(devices, {}, {}, {})
            for prompt, (tokens, logits, hidden) in self.prompts.items():
                logits, hidden = logits.copy(), hidden.copy()
                logits[:, ::2] = scaled(logits[:, ::2], logits_by)
                if stream is not None:
                    hidden[stream] = scaled(hidden[stream], 1.5)
                rows = [Row(token, i, logits[i], 0.1, 0, len(tokens), True, hidden[:, i] if level == "hidden" else None)
                        for i, token in enumerate(tokens)]
                record.prompt(prompt, tokens, rows, stop="given")

    def vocabulary(self) -> int:
        return next(iter(self.prompts.values()))[1].shape[1]

    def diagnosed(self, name: str, code: int = 0) -> str:
        return self.scratch.run("diagnose", "ours.h5", name, "--model", str(MODEL), "--device", "cpu", code=code)


def scaled(words: np.ndarray, factor: float) -> np.ndarray:
    return (np.asarray(widened(words) * factor, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def check_bits(scratch: Scratch, engine: Engine) -> None:
    engine.write("same.h5", [GPU])
    says(scratch.run("inspect", "same.h5", "--validate"), "it can be analysed")
    with h5py.File(scratch / "ours.h5") as ours, h5py.File(scratch / "same.h5") as same:
        assert same.attrs["level"] == b"hidden"
        for name, group in ours["prompts"].items():
            a, b = group["hidden"], same["prompts"][name]["hidden"]
            assert a.id.get_type() == b.id.get_type() and a.shape == b.shape and (a[:] == b[:]).all()
    output = engine.diagnosed("same.h5")
    says(output, "noise\n", "same has every bit of its own plan", "same.h5 ran on cuda, the runs made here on cpu: their kernels")


def check_devices(engine: Engine) -> None:
    """What an engine's record does not say is not said of it."""
    for name, devices in (("cpu.h5", [CPU]), ("unknown.h5", []), ("both.h5", [CPU, GPU])):
        engine.write(name, devices)
        says_not(engine.diagnosed(name), "the runs made here on")


def check_layers(engine: Engine) -> None:
    """A stream that is off is found in its layer; by logits alone it is not, and that is said."""
    engine.write("layer.h5", [CPU], stream=2, logits_by=1.004)
    says(engine.diagnosed("layer.h5", code=1), "defect: layer 1; worst in prompt", "departs from its own plan on one device in layer 1")
    engine.write("logits.h5", [CPU], stream=2, logits_by=1.004, level="logits")
    says(engine.diagnosed("logits.h5"), "noise\n", "logits differs from its own plan on one device in 18 of 18 rows",
         "Logits alone were seen: a defect that moves them less than 8 times as far as rounding does in every row, and 1.3 times in",
         "to know more, record: the residual stream after each layer", "record_transformers.py --record hidden")


def check_faults(scratch: Scratch, engine: Engine) -> None:
    tokens, logits, hidden = engine.prompts["p0"]
    infinite = hidden[:, 1].copy()
    infinite[2, 3] = 0x7F80
    for row, expected in ((None, "a row has no residual stream"), (hidden[0, 1], "not [layers + 1, rows, hidden]"),
                          (infinite, "row 0 has a NaN or infinite residual stream"), (hidden[:, 1].astype(np.int64), "of int64")):
        try:
            with RecordFile(scratch / "bad.h5", engine="e", mode="score", dtype="bfloat16", vocabulary=engine.vocabulary(),
                            level="hidden") as record:
                record.prompt("p0", tokens[:1], [Row(tokens[0], 0, logits[0], hidden=row)], stop="given")
            raise AssertionError("was written")
        except ValueError as error:
            says(str(error), expected)
        assert not list(scratch.folder.glob("bad.h5*"))


def main() -> None:
    if not (BUILD / "bin/shardrift-run").exists():
        print("skipped: no shardrift-run was built")
        sys.exit(77)
    scratch = Scratch()
    engine = Engine(scratch)
    check_bits(scratch, engine)
    check_devices(engine)
    check_layers(engine)
    check_faults(scratch, engine)
    shutil.rmtree(scratch.folder)


if __name__ == "__main__":
    main()
