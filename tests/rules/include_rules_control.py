#!/usr/bin/env python3
"""include_rules.py notices wrong includes: each is put into the text of a real file, and must be reported alone.

usage: include_rules_control.py SOURCE BUILD
"""
from __future__ import annotations

import sys
from pathlib import Path

from include_rules import Rules, read
from targets import read_targets

WRONG = [
    ("slurm/status.cpp", "analysis/measure/measurement.hpp"),  # up
    ("src/record/reader.cpp", "parallel/plan/plan.hpp"),  # below, but not linked
    ("parallel/reduction/reduction.cpp", "parallel/plan/plan.hpp"),  # the neighbour above
    ("src/record/reader.hpp", "record/hdf5_handles.hpp"),  # right: its own
    ("tests/unit/reduction/sum_tree_test.cpp", "record/reader.hpp"),  # a test, too
]


def main() -> int:
    """Counts the cases that are not noticed."""
    source, build = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    targets = read_targets(build)
    failed = 0
    for file, header in WRONG:
        def text_of(path: Path, file: str = file, header: str = header) -> str:
            return read(path) + (f'\n#include "{header}"\n' if path == source / file else "")

        rules = Rules(source, targets, text_of)
        rules.check()
        expected = [] if header == "record/hdf5_handles.hpp" else [f"{file} includes {header}"]
        noticed = [line[: len(e)] for line, e in zip(rules.broken, expected)]
        if noticed != expected or len(rules.broken) != len(expected):
            print(f"{file} with {header}: reported {rules.broken}")
            failed += 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
