"""What the tests of foreign records share: the program, scratch files, and the snippet that the documentation shows."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import h5py  # noqa: F401
    import numpy  # noqa: F401
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

SOURCE, BUILD = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()


def documented_writer():
    """write_record of docs/file-format.md, as it stands there."""
    text = (SOURCE / "docs/file-format.md").read_text()
    snippets = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "def write_record" in block]
    assert len(snippets) == 1, f"{len(snippets)} snippets define write_record"
    names: dict = {}
    exec(compile(snippets[0], "docs/file-format.md", "exec"), names)
    return names["write_record"]


class Scratch:
    """A folder of files, and the program run in it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="shardrift-foreign-"))

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def run(self, *words: str, code: int = 0) -> str:
        """What it printed, errors at the end."""
        done = subprocess.run([BUILD / "bin/shardrift", *words], cwd=self.folder, capture_output=True, text=True, check=False)
        output = done.stdout + done.stderr
        assert done.returncode == code, f"shardrift {' '.join(words)}: exit code {done.returncode}, not {code}\n{output}"
        return output

    def refuses(self, *words: str, says: str, code: int = 65) -> None:
        """One sentence, which has `says`."""
        output = self.run(*words, code=code)
        assert says in output, f"'{says}' is not in\n{output}"
        errors = [line for line in output.splitlines() if line.startswith("shardrift: ") and ": note: " not in line]
        assert len(errors) == 1, f"{len(errors)} errors:\n{output}"


def says(output: str, *expected: str) -> None:
    for text in expected:
        assert text in output, f"'{text}' is not in\n{output}"


def says_not(output: str, *unexpected: str) -> None:
    for text in unexpected:
        assert text not in output, f"'{text}' is in\n{output}"
