#!/usr/bin/env python3
"""What a bench leaves out or passes on is every operation there is: one that it did not know would be run by the interface's
default, beside the device.

usage: bench_phases.py SOURCE BUILD
"""
from __future__ import annotations

import re
import sys
from pathlib import Path

VIRTUAL = re.compile(r"virtual\s[^;{=]*?\b(\w+)\(")
INTERFACES = {"PhaseBackend": "src/model/backend.hpp", "PhaseTransport": "parallel/transport/transport.hpp"}


def body(text: str, name: str) -> str:
    """The text of a class."""
    begin = re.search(rf"^class {name}\b[^;]*?{{", text, re.MULTILINE)
    if begin is None:
        sys.exit(f"no class {name}")
    return text[begin.end():text.index("\n};", begin.end())]


def main() -> int:
    """Counts the operations that are not passed on."""
    source = Path(sys.argv[1])
    phases = (source / "src/worker/bench_phases.hpp").read_text(encoding="utf-8")
    missing = []
    for name, header in INTERFACES.items():
        interface = body((source / header).read_text(encoding="utf-8"), name.removeprefix("Phase"))
        operations = set(VIRTUAL.findall(interface)) - {"Backend", "Transport"}
        passed_on = set(re.findall(r"\b(\w+)\([^;{]*\)\s*(?:const\s*)?(?:noexcept\s*)?override", body(phases, name)))
        if len(operations) < 5:
            sys.exit(f"{header}: only {len(operations)} operations found")
        missing += [f"{name} (src/worker/bench_phases.hpp) does not pass on {what} of {header}"
                    for what in sorted(operations - passed_on)]
    for line in missing:
        print(line)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
