#!/usr/bin/env python3
"""No program links libsentencepiece: shardrift_sentencepiece.so alone does (src/tokenizer/sentencepiece_library.cpp says why).
No program that links torch exports what std::call_once calls (cmake/local.map says why).

usage: needed_libraries.py BUILD
"""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

MODULE = "shardrift_sentencepiece.so"
LOCAL = "_ZZNSt9once_flag"


def needed(file: Path) -> list[str] | None:
    """The libraries that the dynamic linker loads with it; None: no ELF file."""
    with file.open("rb") as opened:
        if opened.read(4) != b"\x7fELF":
            return None
    listed = subprocess.run(["readelf", "-dW", file], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.+)\]", listed)


def exported(file: Path) -> list[str]:
    """Symbols that it defines for others, in the spelling of the linker."""
    listed = subprocess.run(["readelf", "--dyn-syms", "-W", file], capture_output=True, text=True, check=True).stdout
    return [words[7] for line in listed.splitlines() if len(words := line.split()) > 7 and words[6] != "UND"]


def main() -> int:
    """Prints who links and exports it."""
    build = Path(sys.argv[1])
    programs = [f for folder in ("bin", "tests") for f in sorted((build / folder).iterdir()) if f.is_file()]
    found = {f: libraries for f in programs if (libraries := needed(f)) is not None}
    wrong = [f for f, libraries in found.items()
             if any(n.startswith("libsentencepiece") for n in libraries) != (f.name == MODULE)]
    for file in wrong:
        print(f"{file}: links {', '.join(found[file])}")
    of_torch = [f for f, libraries in found.items() if "libtorch_cpu.so" in libraries]
    leaks = {f: names for f in of_torch if (names := [n for n in exported(f) if n.startswith(LOCAL)])}
    for file, names in leaks.items():
        print(f"{file}: exports {', '.join(names)}: link it with shardrift_dep::torch")
    module = build / "bin" / MODULE
    if module not in found:
        print(f"{module} is missing")
    print(f"{len(found)} programs, {len(of_torch)} of them with torch, {len(wrong) + len(leaks)} wrong")
    return 1 if wrong or leaks or not of_torch or module not in found else 0


if __name__ == "__main__":
    sys.exit(main())
