#!/usr/bin/env python3
"""scripts/python/record_vllm.py and probe_vllm.py: tests/foreign/vllm_records.py SOURCE BUILD

vLLM itself is stood in for (fake_vllm): what is asked of it, in which dtype its numbers are kept, whose tokens are fed, and what is
refused. Where this Python has vLLM, the real one on a CPU follows, which takes minutes: mostly by hand, as scripts/setup installs none.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

from program import BUILD, SOURCE, Scratch, says

import h5py
import numpy as np
from planted_logits import VOCABULARY, row_of

SCRIPTS = SOURCE / "scripts/python"
FAKE = SOURCE / "tests/foreign/fake_vllm"
POSITIONS = 12


class Folder(Scratch):
    """A model's folder, prompts, and the scripts run with a vLLM that is stood in for, which writes what it was asked to asked.json."""

    def __init__(self) -> None:
        super().__init__()
        self.model = self / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "vocab_size": VOCABULARY,
                                                            "max_position_embeddings": POSITIONS, "hidden_size": 4, "eos_token_id": 9, "dtype": "bfloat16",
                                                            "num_attention_heads": 6, "num_key_value_heads": 3}))
        header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
        (self.model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
        self.prompts({"p0": [1, 2, 3], "p1": [4]})

    def prompts(self, tokens: dict[str, list[int]]) -> None:
        (self / "prompts.jsonl").write_text("".join(json.dumps({"id": name, "tokens": ids}) + "\n" for name, ids in tokens.items()))

    def script(self, name: str, *words: str, code: int = 0, fault: str = "") -> str:
        environment = os.environ | {"PYTHONPATH": f"{FAKE}:{FAKE.parent}", "FAKE_VLLM_FAULT": fault}
        done = subprocess.run([sys.executable, SCRIPTS / f"{name}.py", "--model", self.model, *words], cwd=self.folder, env=environment,
                              capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{words}: exit code {done.returncode}, not {code}\n{done.stdout}{done.stderr}"
        if code:
            errors = [line for line in done.stderr.splitlines() if " of 2: " not in line]  # beside the progress
            assert len(errors) == 1 and errors[0].startswith(f"{name}: "), done.stderr
        return done.stdout + done.stderr

    def record(self, output: str, *words: str, code: int = 0, fault: str = "") -> str:
        given = () if "--follow" in words else ("--prompts", "prompts.jsonl")
        return self.script("record_vllm", *given, "--output", output, "--overwrite", *words, code=code, fault=fault)

    def asked(self) -> dict:
        return json.loads((self / "asked.json").read_text())


def expected(tokens: list[int], dtype: str) -> np.ndarray:
    """The rows after each token."""
    return np.stack([row_of(tokens[: i + 1], dtype) for i in range(len(tokens))])


def check_greedy(folder: Folder) -> None:
    for dtype in ("bfloat16", "float16", "float32"):
        says(folder.record(f"{dtype}.h5", "--dtype", dtype, "--max-new-tokens", "5", "--ignore-eos"), "1 of 2: p0, 5 rows", "2 of 2: p1, 5 rows")
        says(folder.run("inspect", f"{dtype}.h5", "--validate"), "10 rows of logits", "it can be analysed")
        says(folder.run("inspect", f"{dtype}.h5"), "vLLM 9.9, torch ", f"{dtype}, cpu", f"logits {dtype}", "logprobs_mode = raw_logits",
             "OMP_NUM_THREADS = 1")
        with h5py.File(folder / f"{dtype}.h5") as file:
            group = file["prompts/p0"]
            fed = group["input_ids"][:].tolist()
            tokens = [1, 2, *fed]
            assert fed[0] == 3 and fed[1:] == group["chosen"][:-1].tolist() and group["positions"][:].tolist() == [2, 3, 4, 5, 6]
            assert np.array_equal(group["logits"][:].astype(np.float32), expected(tokens, dtype)[2:]), dtype
            assert group["forward/phase"][:].tolist() == [0, 1, 1, 1, 1] and group["forward/rows"][:].tolist() == [3, 1, 1, 1, 1]
    asked = folder.asked()
    assert asked["engine"] | {"model": ""} == {
        "model": "", "skip_tokenizer_init": True, "dtype": "float32", "tensor_parallel_size": 1, "seed": 0,
        "max_num_seqs": 1, "enable_prefix_caching": False, "max_logprobs": -1, "logprobs_mode": "raw_logits",
        "logits_processors": ["vllm_follow:Follow"]}, asked
    assert all(one["temperature"] == 0 and one["ignore_eos"] and one["logprobs"] == -1 and one["stop_token_ids"] == [] for one in asked["params"])


def check_modes(folder: Folder) -> None:
    """Followed tokens give the record that they are of; scored ones the rows of every token."""
    folder.record("ours.h5", "--max-new-tokens", "5", "--ignore-eos")
    folder.record("follow.h5", "--follow", "ours.h5")
    says(folder.run("compare", "ours.h5", "follow.h5", "--no-cache"), "bit-equal in 2 of 2 prompts")
    folder.record("score.h5", "--mode", "score")
    with h5py.File(folder / "score.h5") as file:
        assert np.array_equal(file["prompts/p0/logits"][:].astype(np.float32), expected([1, 2, 3], "bfloat16"))
        assert file["prompts/p0/positions"][:].tolist() == [0, 1, 2] and file["prompts/p1/positions"][:].tolist() == [0]
    folder.record("score.h5", "--mode", "score", "--follow", "ours.h5")
    with h5py.File(folder / "score.h5") as file, h5py.File(folder / "ours.h5") as ours:
        assert np.array_equal(file["prompts/p0/logits"][2:], ours["prompts/p0/logits"][:]) and len(file["prompts/p0/logits"]) == 7


def check_ends(folder: Folder) -> None:
    """A text ends at its end-of-sequence token, at its length, or where the model has no position more."""
    says(folder.record("eos.h5", fault="eos"), "p0, 2 rows")
    with h5py.File(folder / "eos.h5") as file:
        assert file["prompts/p0"].attrs["stop"] == b"eos" and file["prompts/p0/chosen"][-1] == 9
    assert folder.asked()["params"][0]["stop_token_ids"] == [9]
    says(folder.record("long.h5", "--max-new-tokens", "64", "--ignore-eos"), "p0, 10 rows", "p1, 12 rows")
    assert folder.asked()["engine"]["max_model_len"] == POSITIONS + 1  # the last row's token would be one more
    with h5py.File(folder / "long.h5") as file:
        assert file["prompts/p0"].attrs["stop"] == b"context" and file["prompts/p0/positions"][-1] == POSITIONS - 1
    folder.record("length.h5", "--max-new-tokens", "2", "--ignore-eos")
    with h5py.File(folder / "length.h5") as file:
        assert file["prompts/p0"].attrs["stop"] == b"length"


def check_options(folder: Folder) -> None:
    folder.record("out.h5", "--tensor-parallel", "3", "--option", "enforce_eager=true", "--option", "kv_cache_dtype=fp8", "--threads", "2")
    asked = folder.asked()["engine"]
    assert (asked["tensor_parallel_size"], asked["enforce_eager"], asked["kv_cache_dtype"]) == (3, True, "fp8"), asked
    says(folder.run("inspect", "out.h5"), "TP=3", "rank 2: ", "kv_cache_dtype = fp8", "OMP_NUM_THREADS = 2")
    with mock.patch.dict(os.environ, {"VLLM_API_KEY": "secret", "VLLM_CPU_KVCACHE_SPACE": "7"}):
        folder.record("kept.h5")
    assert "VLLM_CPU_KVCACHE_SPACE = 7" in folder.run("inspect", "kept.h5") and "secret" not in folder.run("inspect", "kept.h5")
    folder.record("float32.h5", "--dtype", "bfloat16", fault="wide")  # a head in float32
    says(folder.run("inspect", "float32.h5"), "logits float32", "LlamaForCausalLM, bfloat16")


def check_faults(folder: Folder) -> None:
    for words, code, text in (
            (("--option", "seed=3"), 64, "--option seed: is set by this script (0)"), (("--option", "dtype=auto"), 64, "say it by --dtype"),
            (("--option", "a=1", "--option", "a=2"), 64, "--option a: is given twice"),
            (("--tensor-parallel", "4"), 64, "cannot cut 6 heads and 3 of keys and values into 4"), (("--option", "eager"), 64, "NAME=VALUE is expected"),
            (("--dtype", "float64"), 64, "vLLM has float32, float16 and bfloat16"), (("--tensor-parallel", "0"), 64, "at least 1"),
            (("--mode", "follow"), 64, "--follow REF.h5"), (("--follow", "none.h5"), 65, "--follow none.h5: no record"),
            (("--device", "cuda"), 70, "--device cuda: this vLLM 9.9 runs on cpu"), (("--option", "no_such=1"), 70, "no_such")):
        says(folder.record("bad.h5", *words, code=code), text)
    (folder.model / "generation_config.json").write_text("[1]")
    says(folder.record("bad.h5", "--check", code=65), "generation_config.json: its eos_token_id cannot be read")
    (folder.model / "generation_config.json").unlink()
    for fault, text in (("nan", "vLLM gave no number for 1 of 17"), ("other", "was fed other tokens than asked"), ("lost", "ended without an answer"),
                        ("wide later", "logits that are not bfloat16"), ("dead", "RuntimeError: a worker died")):
        more = ("--follow", "ours.h5") if fault == "other" else ()
        says(folder.record("bad.h5", *more, code=70, fault=fault), text)
    assert not list(folder.folder.glob("bad.h5*")), "nothing half written is left"
    folder.prompts({"p0": [VOCABULARY]})
    says(folder.record("bad.h5", code=65), "token 17 is outside the model's vocabulary of 17")
    folder.prompts({"p0": [1, 2, 3], "p1": [4]})


def check_checks(folder: Folder) -> None:
    """--check runs nothing; a Python without vLLM is said to be one."""
    (folder / "asked.json").unlink()
    folder.record("none.h5", "--check")
    assert not (folder / "asked.json").exists() and not (folder / "none.h5").exists()
    for more in (("--check",), ()):
        done = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import importlib.util as u; f = u.find_spec\n"
                               "u.find_spec = lambda name, *more: None if name == 'vllm' else f(name, *more)\n"
                               "import record_vllm; sys.exit(record_vllm.main())", "--model", str(folder.model), "--prompts", "prompts.jsonl",
                               "--output", "none.h5", *more], cwd=folder.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 70 and "has no vllm: use a Python that has vllm, numpy and h5py" in done.stderr, done
    for script in ("record_vllm", "probe_vllm"):  # -S: no packages at all
        done = subprocess.run([sys.executable, "-S", SCRIPTS / f"{script}.py", "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "--tensor-parallel N" in done.stdout, done


def check_probe(folder: Folder) -> None:
    """What the workers are called with; the sums themselves are tests/integration/probe_collective_test.py's."""
    output = folder.script("probe_vllm", "--tensor-parallel", "3", "--tokens", "1,3", "--count", "10", "--dtype", "bfloat16", "--quiet",
                           "--save-profile", "p.json")
    assert folder.asked()["rpc"] == ["probe_all_reduce", [[4, 10, 12], ["bfloat16"], 5, str(folder.folder.resolve() / "p.json"), True]]
    says(output, "asked for")


def check_probe_faults(folder: Folder) -> None:
    for words, code, text in (((), 64, "give --tokens N[,N…] or --count N[,N…]"), (("--tokens", "0"), 64, "--tokens"),
                              (("--tokens", "1", "--save-profile", "model"), 64, "name a file"),
                              (("--tokens", "1", "--save-profile", "none/p.json"), 64, "there is no folder none"),
                              (("--tokens", "1", "--save-profile", "prompts.jsonl"), 65, "is no collective profile"),
                              (("--tokens", "1", "--repeats", "901"), 64, "at most 268435456, 900 and 8")):
        says(folder.script("probe_vllm", "--tensor-parallel", "3", *words, code=code), text)
    says(folder.script("probe_vllm", "--tensor-parallel", "1", "--tokens", "1", code=64), "at least 2")


def check_live() -> None:
    """The real vLLM, where there is one, beside our worker: greedy, followed, on one rank and two, to the last position."""
    model = BUILD / "fixtures/gguf-types"  # heads of 32, which vLLM takes on a CPU
    if not importlib.util.find_spec("vllm") or not model.exists():
        print("not run: vLLM itself, as this Python has none")
        return
    scratch = Scratch()
    (scratch / "prompts.jsonl").write_text(json.dumps({"id": "p0", "tokens": [5, 77, 3, 100, 42]}) + "\n")

    def record(output: str, *words: str) -> None:
        subprocess.run([sys.executable, SCRIPTS / "record_vllm.py", "--model", model, "--output", scratch / output, "--max-new-tokens", "6",
                        "--ignore-eos", "--option", "enforce_eager=true", *words], check=True)

    given = ("--prompts", str(scratch / "prompts.jsonl"))
    record("one.h5", *given)
    record("follow.h5", "--follow", str(scratch / "one.h5"))
    scratch.run("compare", "one.h5", "follow.h5")
    record("tp2.h5", *given, "--tensor-parallel", "2")
    record("long.h5", *given, "--max-new-tokens", "1000")  # to the model's last position
    subprocess.run([BUILD / "bin/shardrift-run", "run", "--model", model, *given, "--output", scratch / "ours.h5", "--max-new-tokens", "6",
                    "--ignore-eos", "--dtype", "float32", "--quiet"], check=True)
    with h5py.File(scratch / "ours.h5") as ours:
        for name in ("one", "tp2"):
            with h5py.File(scratch / f"{name}.h5") as theirs:
                a, b = ours["prompts/p0/logits"][:], theirs["prompts/p0/logits"][:]
                assert np.abs(a - b).max() < 1e-4 and (a.argmax(1) == b.argmax(1)).all(), (name, np.abs(a - b).max())
    says(scratch.run("inspect", "long.h5"), "context")
    shutil.rmtree(scratch.folder)


def main() -> None:
    folder = Folder()
    for check in (check_greedy, check_modes, check_ends, check_options, check_faults, check_checks, check_probe, check_probe_faults):
        check(folder)
    shutil.rmtree(folder.folder)
    check_live()


if __name__ == "__main__":
    main()
