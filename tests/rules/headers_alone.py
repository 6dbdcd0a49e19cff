#!/usr/bin/env python3
"""Every header of a target compiles alone, with the flags of the target's sources but without a precompiled header.

usage: headers_alone.py BUILD TARGET

Left out: headers whose .cpp this build does not compile, and those of folders without a compiled source (CUDA).
"""
from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from targets import Target, headers_of, read_targets

WITH_VALUE = ("-o", "-MT", "-MF", "-include", "-c")  # of a compile command, with the word that follows


def flags_of(target: Target, build: Path) -> tuple[list[str], Path]:
    """Compiler and flags of one of its sources, and where it is compiled."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = Path(entry["file"])
        if file.suffix != ".cpp" or file.resolve() not in target.sources or "embedded_" in file.name:
            continue
        flags: list[str] = []
        words = iter(shlex.split(entry["command"]))
        for word in words:
            if word in WITH_VALUE:
                next(words)
            elif word != "-MD" and not word.endswith("ccache") and word != "-Winvalid-pch":
                flags.append(word)
        return flags, Path(entry["directory"])
    raise SystemExit(f"{target.name}: no source of it is in compile_commands.json")


def compiled_here(header: Path, target: Target) -> bool:
    """Is it a header of this build?"""
    own = header.with_suffix(".cpp")
    if own.exists():
        return own in target.sources
    return any(source.parent == header.parent for source in target.sources)


def main() -> int:
    """Prints the errors of headers that do not compile."""
    build, target = Path(sys.argv[1]).resolve(), read_targets(Path(sys.argv[1]))[sys.argv[2]]
    headers = [h for h in headers_of(target, read_targets(build)) if compiled_here(h, target)]
    flags, folder = flags_of(target, build)
    failed = 0
    for header in headers:
        result = subprocess.run([*flags, "-fsyntax-only", "-x", "c++", "-"], cwd=folder, text=True,
                                input=f'#include "{header}"\n', capture_output=True, check=False)
        if result.returncode != 0:
            failed += 1
            print(f"{header} does not compile alone:\n{result.stderr}")
    print(f"{target.name}: {len(headers)} headers, {failed} of them do not compile alone")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
