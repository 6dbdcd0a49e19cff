#!/usr/bin/env python3
"""What record_transformers.py refuses before it loads a model, and how it ends: tests/foreign/transformers_inputs.py SOURCE BUILD

Needs neither torch nor transformers: a command that is all right goes as far as the model (exit code 70: none can be loaded).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path
from unittest import mock

from program import SOURCE, Scratch, says

import h5py
import numpy as np

sys.path.insert(0, str(SOURCE / "scripts/python"))
import record_transformers  # noqa: E402
from record_file import RecordFile, Row, temporary_of  # noqa: E402
from record_inputs import positions_of, read_followed  # noqa: E402

SCRIPT = SOURCE / "scripts/python/record_transformers.py"
VOCABULARY = 17
POSITIONS = 8


class Folder(Scratch):
    """A model's folder that has all but a model, prompts, and the script run on them."""

    def __init__(self) -> None:
        super().__init__()
        self.model = self / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text(json.dumps({"vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS}))
        self.weights = self.model / "model.safetensors"
        header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
        self.weights.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
        self.prompts(json.dumps({"id": "p0", "tokens": [1, 2]}))

    def prompts(self, *lines: str) -> None:
        (self / "prompts.jsonl").write_text("\n".join(lines) + "\n")

    def script(self, code: int, *words: str, expected: tuple[str, ...]) -> None:
        """One line of error, that has what is expected; in this process, which is faster."""
        errors = io.StringIO()
        with mock.patch.object(sys, "argv", ["record_transformers.py", "--model", str(self.model), *words]), \
                contextlib.chdir(self.folder), contextlib.redirect_stderr(errors):
            try:
                got = record_transformers.main()
            except SystemExit as ended:
                got = ended.code
        assert got == code, f"{words}: exit code {got}, not {code}\n{errors.getvalue()}"
        says(errors.getvalue(), *expected)
        assert errors.getvalue().count("\n") == 1 and errors.getvalue().startswith("record_transformers: "), errors.getvalue()

    def given(self, code: int, *expected: str, output: str = "out.h5", more: tuple[str, ...] = ()) -> None:
        self.script(code, "--prompts", "prompts.jsonl", "--output", output, *more, expected=expected)

    def says_nothing(self, *words: str) -> None:
        with mock.patch.object(sys, "argv", ["record_transformers.py", "--model", str(self.model), *words]), \
                contextlib.chdir(self.folder):
            assert record_transformers.main() == 0, words

    def reaches_model(self) -> None:
        self.given(70)


def record(path: Path, begin: int = 1, count: int = 3, name: str = "p0") -> None:
    """Of the prompt [1, 2], rows from position begin on; fed is 10 + position."""
    rows = [Row(10 + begin + i, begin + i, np.arange(VOCABULARY, dtype=np.float32)) for i in range(count)]
    with RecordFile(path, engine="stand-in", mode="greedy", dtype="float32", vocabulary=VOCABULARY) as file:
        file.environment([], {}, {}, {})
        file.prompt(name, [1, 2], rows, stop="length")


def check_outputs(folder: Folder) -> None:
    """What is read is never written."""
    folder.reaches_model()
    record(folder / "ref.h5")
    (folder / "link.h5").symlink_to("prompts.jsonl")
    os.link(folder / "prompts.jsonl", folder / "hard.h5")
    os.link(folder.weights, folder / "weights.h5")
    (folder / "ref-link.h5").symlink_to("ref.h5")
    (folder / "model-link").symlink_to("model")
    (folder / "into.h5").symlink_to("model/new.h5")
    (folder / "ours").mkdir()
    before = {path: path.read_bytes() for path in folder.folder.rglob("*") if path.is_file()}
    for output in ("prompts.jsonl", "link.h5", "hard.h5", "ours/../prompts.jsonl"):
        for more in ((), ("--overwrite",)):
            folder.given(64, "is the file that --prompts reads", output=output, more=more)
    for output in ("ref.h5", "ref-link.h5"):
        folder.script(64, "--follow", "ref.h5", "--output", output, "--overwrite", expected=("is the file that --follow reads",))
    for output in ("model/config.json", "model/new.h5", "model-link/new.h5", "into.h5"):
        folder.given(64, "lies in the model's folder", output=output, more=("--overwrite",))
    folder.given(64, "is a file of the model", output="weights.h5", more=("--overwrite",))
    folder.given(64, "is a folder", output="ours", more=("--overwrite",))
    folder.given(64, "is no folder", output="nowhere/out.h5")
    folder.given(64, "exists", output="ref.h5")
    assert before == {path: path.read_bytes() for path in folder.folder.rglob("*") if path.is_file()}
    folder.given(70, output="ref.h5", more=("--overwrite",))


def check_checks(folder: Folder) -> None:
    """--check refuses what a run would, with the run's exit codes, and writes nothing; what a study makes, its run need not find yet."""
    record(folder / "ref.h5")
    found = mock.patch("importlib.util.find_spec", return_value=object())
    for check in ((), ("--check",)):
        with found:
            folder.given(64, "nowhere is no folder", output="nowhere/out.h5", more=check)
            folder.given(64, "exists", output="ref.h5", more=check)
            folder.script(65, "--follow", "not-yet.h5", "--output", "out.h5", *check, expected=("--follow not-yet.h5: no record",))
            with h5py.File(folder / "ref.h5", "r+") as file:
                file["model"].attrs["vocabulary"] = 99
            folder.script(65, "--follow", "ref.h5", "--output", "out.h5", *check,
                          expected=("--follow ref.h5: is of a vocabulary of 99, the model has 17",))
            with h5py.File(folder / "ref.h5", "r+") as file:
                file["model"].attrs["vocabulary"] = VOCABULARY
            no_gpu = types.SimpleNamespace(__version__="9.9", cuda=types.SimpleNamespace(is_available=lambda: False))
            with mock.patch.dict(sys.modules, {"torch": no_gpu}):
                folder.given(70, "--device cuda: torch 9.9 sees no GPU here", more=("--device", "cuda", *check))
            gpu = types.SimpleNamespace(__version__="9.9", cuda=types.SimpleNamespace(is_available=lambda: True))
            if check:
                with mock.patch.dict(sys.modules, {"torch": gpu}):
                    folder.says_nothing("--prompts", "prompts.jsonl", "--output", "out.h5", "--device", "cuda", *check)
                folder.says_nothing("--follow", "ref.h5", "--output", "out.h5", *check)
    (folder / "ref.h5").unlink()
    asked = ("--check", "--output", "nowhere/out.h5")
    with found, mock.patch.dict(os.environ, {"SHARDRIFT_STUDY": "check"}):
        folder.says_nothing("--prompts", "prompts.jsonl", "--device", "cuda", *asked)
        folder.says_nothing("--follow", "not-yet.h5", *asked)
        folder.script(64, "--prompts", "prompts.jsonl", "--batch", "3", *asked, expected=("unrecognized arguments: --batch 3",))
        folder.prompts("[]")
        folder.script(65, "--prompts", "prompts.jsonl", *asked, expected=("no object with",))
        folder.prompts(json.dumps({"id": "p0", "tokens": [1, 2]}))
    with mock.patch("importlib.util.find_spec", side_effect=lambda name: None if name == "torch" else object()):
        folder.given(70, "has no torch: use a Python that has torch", more=("--check",))
    assert not (folder / "nowhere").exists() and not (folder / "out.h5").exists()
    # Without NumPy it says how it is used, and nothing more.
    without = f"import runpy, sys; sys.modules['numpy'] = None; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    for words, code, expected in ((("--help",), 0, "--attention {eager,sdpa}"), (("--check",), 70, "use a Python that has torch")):
        done = subprocess.run([sys.executable, "-c", without, *words], env=os.environ | {"PYTHONPATH": str(SCRIPT.parent)}, text=True,
                              capture_output=True, check=False)
        assert done.returncode == code, done
        says(done.stdout + done.stderr, expected)


def check_ids(folder: Folder) -> None:
    good = json.dumps({"id": "p0", "tokens": [1, 2]})
    for name in ("a/b", "..", ".", "", ".a", "x" * 65, "é", "a\n", 7, None, True, ["a"]):
        folder.prompts(good, json.dumps({"id": name, "tokens": [1]}))
        folder.given(65, f"prompts.jsonl line 2: id {json.dumps(name)}")
    folder.prompts(good, "", good)
    folder.given(65, "prompts.jsonl line 3: id 'p0' is used twice")
    folder.prompts(json.dumps({"id": "A-Z_0.9", "tokens": [1]}), f'{{"id": "{"x" * 64}", "text": "a\u2028b"}}')
    folder.reaches_model()
    for line, expected in (("{", "line 1: no JSON"), ("[]", 'no object with'), ('{"tokens": [1]}', 'no object with'),
                           ('{"id": "a"}', 'either "text" or "tokens"'), ('{"id": "a", "text": 1}', '"text" 1'),
                           ('{"id": "a", "text": "b", "tokens": [1]}', 'either "text" or "tokens"'),
                           ('{"id": "a", "text": "b", "special_tokens": 0}', '"special_tokens" 0'),
                           ('{"id": "a", "tokens": [1], "special_tokens": true}', 'goes with "text"'), ("[" * 9999, "no JSON")):
        folder.prompts(line)
        folder.given(65, expected)
    folder.prompts("")
    folder.given(65, "holds no prompt")
    (folder / "prompts.jsonl").write_bytes(b"\xff\n")
    folder.given(65, "cannot be read")
    (folder / "prompts.jsonl").unlink()
    folder.given(65, "prompts.jsonl: cannot be read")


def check_tokens(folder: Folder) -> None:
    for token in ("1.9", "1.0", "true", '"123"', "null", "-1", "2147483648", "1e400", "NaN", "[1]"):
        folder.prompts(f'{{"id": "p7", "tokens": [1, {token}]}}')
        folder.given(65, "line 1: prompt 'p7': \"tokens\" holds ", "integers from 0")
    for tokens in ("[]", '"12"', '{"1": 2}', "7"):
        folder.prompts(f'{{"id": "p7", "tokens": {tokens}}}')
        folder.given(65, "a list of token ids is expected")
    folder.prompts(json.dumps({"id": "p7", "tokens": [VOCABULARY]}))
    folder.given(65, "prompt 'p7': token 17 is outside the model's vocabulary of 17")
    folder.prompts(json.dumps({"id": "p7", "tokens": [1] * (POSITIONS + 1)}))
    folder.given(65, "prompt 'p7' has 9 tokens, the model has 8 positions")
    folder.prompts(json.dumps({"id": "p7", "tokens": [VOCABULARY - 1] * POSITIONS}))
    folder.reaches_model()
    assert positions_of({"max_position_embeddings": 8, "rope_scaling": {"type": "linear", "factor": 2.0}}) == 16
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4}
    assert positions_of({"max_position_embeddings": 8, "rope_scaling": yarn}) == 16
    assert positions_of({"max_position_embeddings": 8, "rope_parameters": {"rope_type": "llama3", "factor": 8.0}}) == 8
    assert positions_of({}) is None


def check_followed(folder: Folder) -> None:
    """What was generated is what was fed after the prompt, wherever the rows begin."""
    for begin, count in ((1, 3), (0, 4)):
        record(folder / "ref.h5", begin, count)
        (prompt,) = read_followed(folder / "ref.h5")
        assert prompt.tokens == [1, 2] and prompt.fed == [12, 13], (begin, prompt)
    folder.script(70, "--follow", "ref.h5", "--output", "out.h5", expected=())
    record(folder / "ref.h5", 1, 8)
    folder.script(65, "--follow", "ref.h5", "--output", "out.h5", expected=("'p0': token 17 is outside",))
    record(folder / "ref.h5", 3, 2)
    folder.script(65, "--follow", "ref.h5", "--output", "out.h5", expected=("not one after another",))
    folder.script(65, "--follow", "prompts.jsonl", "--output", "out.h5", expected=("--follow prompts.jsonl: no record",))
    folder.script(65, "--follow", "none.h5", "--output", "out.h5", expected=("--follow none.h5: no record",))
    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = [1]
    folder.script(65, "--follow", "other.h5", "--output", "out.h5", expected=("--follow other.h5: no record",))
    record(folder / "ref.h5")
    with h5py.File(folder / "ref.h5", "r+") as file:
        del file["prompts/p0/positions"]
    folder.script(65, "--follow", "ref.h5", "--output", "out.h5", expected=("--follow ref.h5: no record", "positions"))


def check_models(folder: Folder) -> None:
    whole = folder.weights.read_bytes()
    for size in (len(whole) - 1, 20, 8, 3, 0):
        folder.weights.write_bytes(whole[:size])
        folder.given(65, "model.safetensors: ", "fetch the model again")
    folder.weights.unlink()
    folder.given(65, "model.safetensors: cannot be read")
    folder.weights.write_bytes(whole)
    config = (folder.model / "config.json").read_text()
    for broken in (config[:-1], "[]", "\xff"):
        (folder.model / "config.json").write_text(broken, "latin-1")
        folder.given(65, "config.json: cannot be read")
    (folder.model / "config.json").unlink()
    folder.given(65, "has no config.json")
    (folder.model / "config.json").write_text(config)
    folder.reaches_model()


def check_usage(folder: Folder) -> None:
    for words, expected in ((("--max-new-tokens", "0"), "at least 1"), (("--max-new-tokens", "-3"), "--max-new-tokens"),
                            (("--threads", "0"), "at least 1"), (("--top-k", "x"), "at least 0"),
                            (("--dtype", "int8"), "--dtype"), (("--no-such",), "--no-such"),
                            (("--mode", "follow"), "--follow REF.h5")):
        folder.given(64, expected, more=words)
    folder.script(64, "--prompts", "prompts.jsonl", expected=("--output",))
    folder.script(64, "--output", "out.h5", expected=("either --prompts FILE or --follow",))


def check_writer(folder: Folder) -> None:
    """record_file.py's own refusals."""
    row = Row(1, 1, np.arange(VOCABULARY, dtype=np.float32))
    for name, tokens, expected in (("a/b", [1], "prompt id 'a/b'"), ("..", [1], "prompt id"), (7, [1], "prompt id 7"),
                                   ("p0", [1.9], "other than integers"), ("p0", [True], "other than integers"),
                                   ("p0", [-1], "other than integers"), ("p0", [1 << 31], "other than integers")):
        try:
            with RecordFile(folder / "bad.h5", engine="e", mode="greedy", dtype="float32", vocabulary=VOCABULARY) as file:
                file.prompt(name, tokens, [row], stop="length")
            raise AssertionError("was written")
        except ValueError as error:
            says(str(error), expected)
    try:
        RecordFile(folder / "model", engine="e", mode="greedy", dtype="float32", vocabulary=VOCABULARY)
        raise AssertionError("was opened")
    except ValueError as error:
        says(str(error), "is a folder")
    assert not list(folder.folder.glob("*.tmp")) and not (folder / "bad.h5").exists()


def write_until_full(path: Path) -> None:
    """In a process of its own: what h5py left undone, if anything, would end it by a signal."""
    try:
        with RecordFile(path, engine="e", mode="greedy", dtype="float32", vocabulary=5000) as file:
            file.environment([], {}, {}, {})
            for i in range(20):
                row = np.random.default_rng(i).standard_normal(5000).astype(np.float32)
                file.prompt(f"p{i}", [1, 2], [Row(2, 1, row), Row(3, 2, row)], stop="length")
    except OSError as error:
        print(error.strerror)
        sys.exit(70)


def check_full_disk(folder: Folder) -> None:
    def child(limit: int) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, __file__, *sys.argv[1:3], "full", folder / "full.h5"]
        return subprocess.run(words, capture_output=True, text=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)), check=False)

    assert child(resource.RLIM_INFINITY).returncode == 0
    whole = (folder / "full.h5").stat().st_size
    (folder / "full.h5").unlink()
    for limit in (0, 100, 5000, 200_000, whole // 2, whole - 1):
        done = child(limit)
        assert done.returncode == 70 and done.stdout.startswith("File too large: make room") and not done.stderr, (limit, done)
        assert not list(folder.folder.glob("full.h5*")), limit
    assert child(whole).returncode == 0


def write_and_wait(path: Path) -> None:
    record_transformers.end_on_signals("record_transformers", temporary_of(path))
    with RecordFile(path, engine="e", mode="greedy", dtype="float32", vocabulary=VOCABULARY):
        print("ready", flush=True)
        while True:
            signal.pause()


def check_signals(folder: Folder) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        child = subprocess.Popen([sys.executable, __file__, *sys.argv[1:3], "wait", folder / "stopped.h5"], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdout and child.stdout.readline() == "ready\n"
        assert len(list(folder.folder.glob("stopped.h5*"))) == 1
        child.send_signal(number)
        _, errors = child.communicate()
        assert child.returncode == 75, (child.returncode, errors)
        assert errors.count("\n") == 1 and f"stopped by {number.name}" in errors, errors
        assert not list(folder.folder.glob("stopped.h5*"))


def main() -> None:
    if len(sys.argv) == 5:  # the process of a test
        {"full": write_until_full, "wait": write_and_wait}[sys.argv[3]](Path(sys.argv[4]))
        return
    for check in (check_outputs, check_checks, check_ids, check_tokens, check_followed, check_models, check_usage, check_writer,
                  check_full_disk, check_signals):
        folder = Folder()
        check(folder)
        shutil.rmtree(folder.folder)


if __name__ == "__main__":
    main()
