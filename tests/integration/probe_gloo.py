#!/usr/bin/env python3
"""torch.distributed's gloo, live, on 2, 3 and 4 processes: the command line of scripts/python/probe_collective.py.

What the probe finds is a sum of every rank once, the same when probed again, and gives gloo's bits of numbers that no probe made.
Exit code 77 where no Python here has torch.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts/python"
LIMIT_S = 600  # ends a test that hangs, decides nothing else


def python_with_torch() -> str | None:
    """This one, the machine's, or Debian's: the environment of scripts/setup has libtorch, but not all that torch imports."""
    for python in (sys.executable, shutil.which("python3"), "/usr/bin/python3"):
        if python and subprocess.run([python, "-c", "import numpy, torch; assert torch.distributed.is_gloo_available()"],
                                     capture_output=True, check=False).returncode == 0:
            return python
    return None


# Every rank sums numbers that no probe made, and folds them by what the probe found.
FOLDS = """
import os, sys
import numpy as np, torch, torch.distributed as dist
from probe_collective import probe
from sum_order import folded

rank, size, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), 4099
dist.init_process_group("gloo", sys.argv[1], rank=rank, world_size=size)
found, again = (probe(lambda tensor: dist.all_reduce(tensor) and None, [count], ["float32"], quiet=True)[0] for _ in range(2))
assert found == again
assert found.kind == "tree", found.words
partials = [np.random.default_rng(r).standard_normal(count).astype(np.float32) for r in range(size)]
live = torch.from_numpy(partials[rank].copy())
dist.all_reduce(live)
sums = np.empty(count, np.float32)
for begin, end, tree in found.segments:
    nested = eval(found.trees[tree].replace("+", ","))
    sums[begin:end] = folded([partial[begin:end] for partial in partials], "float32", nested)
assert sums.tobytes() == live.numpy().tobytes(), "the fold has other bits than gloo"
linear = (0, 1)
for other in range(2, size):
    linear = (linear, other)
assert size == 2 or folded(partials, "float32", linear).tobytes() != live.numpy().tobytes()
print("folded")
"""


# A sum that goes through a buffer of its own, as symmetric memory's do: the same order, and a buffer for each message.
BUFFERED = """
import os, sys
import torch, torch.distributed as dist
from probe_collective import probe
from torch_sums import SymmetricSum

dist.init_process_group("gloo", sys.argv[1], rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"]))
counts, dtypes = [7, 4099], ["float32", "float64"]
plain = probe(lambda tensor: dist.all_reduce(tensor) and None, counts, dtypes, quiet=True)
for operation in (lambda buffer: dist.all_reduce(buffer) and None, lambda buffer: (dist.all_reduce(buffer), buffer.clone())[1]):
    buffered = SymmetricSum(torch.empty_like, operation)
    assert probe(buffered, counts, dtypes, quiet=True) == plain
    assert len(buffered.buffers) == 4
print("buffered")
"""


class Gloo(unittest.TestCase):
    python = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def ranks(self, size: int, command: list[str], name: str, started: int | None = None, **variables: str) -> list[tuple[int, str]]:
        """(exit code, output) of every rank, or of the first `started`; they meet in a file, so no port is taken."""
        meeting = f"file://{self.folder.name}/{name}"
        processes = []
        for rank in range(size if started is None else started):
            environment = os.environ | {"RANK": str(rank), "WORLD_SIZE": str(size), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1",
                                        "PYTHONPATH": str(SCRIPTS)} | variables
            processes.append(subprocess.Popen([self.python, *(part.replace("MEETING", meeting) for part in command)], text=True,
                                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        texts = [process.communicate(timeout=LIMIT_S)[0] for process in processes]
        return [(process.returncode, text) for process, text in zip(processes, texts)]

    def probe(self, size: int, arguments: list[str], name: str, **more) -> list[tuple[int, str]]:
        return self.ranks(size, [str(SCRIPTS / "probe_collective.py"), "--init", "MEETING", *arguments], name, **more)

    def test_profiles(self):
        for size in (2, 3, 4):
            profile = Path(self.folder.name) / f"gloo-{size}.json"
            asked = ["--count", "5,4099", "--dtype", "float32,float64", "--check", "--save-profile", str(profile)]
            ended = self.probe(size, asked, f"profiles{size}")
            self.assertEqual([code for code, _ in ended], [0] * size, ended[0][1])
            self.assertIn("messages=4", ended[0][1])
            self.assertIn("predictable=4", ended[0][1])
            self.assertEqual([text for _, text in ended[1:]], [""] * (size - 1))
            read = json.loads(profile.read_text())
            self.assertEqual((read["library"], read["transport"], read["ranks"]), ("gloo", "python", size))
            for item in read["probed"]:
                self.assertEqual((item["accumulator"], item["first_unexplained"]), ("message", -1))
                for tree in item["trees"]:
                    self.assertEqual(sorted(c for c in tree if c.isdigit()), [str(rank) for rank in range(size)])

    def test_bits_of_other_numbers(self):
        for size in (2, 3, 4):
            for code, text in self.ranks(size, ["-c", FOLDS, "MEETING"], f"folds{size}"):
                self.assertEqual((code, text), (0, "folded\n"))

    def test_through_a_buffer(self):
        for code, text in self.ranks(3, ["-c", BUFFERED, "MEETING"], "buffered"):
            self.assertEqual((code, text), (0, "buffered\n"))

    def test_sums_of_gpus_are_refused_here(self):
        for flags, named in ((["--all-reduce", "symm-one-shot"], "--all-reduce symm-one-shot"), (["--captured"], "--captured")):
            for code, text in self.probe(2, ["--count", "8", *flags], "gpus"):
                self.assertEqual((code, text), (64, f"error: {named}: runs on GPUs: add --backend nccl (--help has examples)\n"))

    def test_what_cannot_be_is_refused_before_the_ranks_meet(self):
        """One rank of two: it would wait for ever."""
        folder = Path(self.folder.name) / "missing"
        for flags, says in ((["--dtype", "float32,int32"], "--dtype int32: use float64, float32, float16, bfloat16"),
                            (["--backend", "banana"], "--backend banana: use gloo, nccl, mpi"),
                            (["--count", "8,100000000000"], "a message of 100000000000 elements: at most 268435456 can be probed"),
                            (["--repeats", "1"], "--repeats 1: use 2 to 900 calls"),
                            (["--save-profile", f"{folder}/x.json"],
                             f"--save-profile {folder}/x.json: there is no folder {folder}: make it first"),
                            (["--save-profile", str(folder.parent)], f"--save-profile {folder.parent}: name a file")):
            self.assertEqual(self.probe(2, ["--count", "8", *flags], "refused", started=1),
                             [(64, f"error: {says} (--help has examples)\n")])
        self.assertFalse(folder.exists())

    def test_a_backend_that_is_not_here_is_refused(self):
        (code, text), = self.probe(2, ["--count", "8", "--backend", "nccl"], "nccl", started=1, CUDA_VISIBLE_DEVICES="")
        self.assertEqual(code, 64)
        self.assertRegex(text, r"^error: --backend nccl: (this torch \(.*\) was built without it|needs a GPU for each rank; here are none)"
                               r" \(--help has examples\)\n$")


if __name__ == "__main__":
    Gloo.python = python_with_torch()
    if Gloo.python is None:
        print("skipped: no Python here imports torch with gloo (scripts/setup --tests installs one)")
        sys.exit(77)
    unittest.main()
