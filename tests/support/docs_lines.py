#!/usr/bin/env python3
"""Lines of Markdown have at most 130 characters, and no word stands for one that is still to be written: docs_lines.py ROOT

Not counted: rows of tables, code blocks (what programs printed), lines that are one long link. Words like MODEL_OUTPUT and TODO
are placeholders, but for what is quoted as code: variables have such names.
"""

import re
import sys
from pathlib import Path

LIMIT = 130
FOLDERS = ("analysis", "docs", "experiments", "parallel", "slurm", "src", "tests")


def documents(root: Path) -> list[Path]:
    found = list(root.glob("*.md"))
    for folder in FOLDERS:
        found += (root / folder).rglob("*.md")
    return sorted(found)


def long_lines(text: str) -> list[tuple[int, int]]:
    found, code = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            code = not code
        wrappable = not code and not line.lstrip().startswith("|") and len(line.split()) > 2
        if wrappable and len(line) > LIMIT:
            found.append((number, len(line)))
    return found


PLACEHOLDER = re.compile(r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|TODO|FIXME|TBD|TBA|XXX+|PLACEHOLDER)\b|(?i:lorem ipsum)")


def placeholders(text: str) -> list[tuple[int, str]]:
    # As long as what they replace, so that lines keep their numbers.
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", lambda code: re.sub(r"[^\n]", " ", code[0]), text, flags=re.DOTALL)
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        found += [(number, match[0]) for match in PLACEHOLDER.finditer(line)]
    return found


def check_itself() -> None:
    sample = "It prints\n\nDEMO_OUTPUT\n\nwith `NCCL_ALGO` set,\n```\nA_B=1\n```\nTODO: NCCL, HDF5 and [X](A_B.md)\n"
    assert placeholders(sample) == [(3, "DEMO_OUTPUT"), (9, "TODO")], placeholders(sample)


def main() -> int:
    check_itself()
    root = Path(sys.argv[1])
    files = documents(root)
    problems = [
        f"{file.relative_to(root)}:{number}: {length} characters, wrap at {LIMIT}"
        for file in files
        for number, length in long_lines(file.read_text(encoding="utf-8"))
    ]
    problems += [
        f"{file.relative_to(root)}:{number}: {word}: a placeholder? write what belongs there, or quote it as code"
        for file in files
        for number, word in placeholders(file.read_text(encoding="utf-8"))
    ]
    print("\n".join(problems) or f"{len(files)} Markdown files, no line of text over {LIMIT} characters, no placeholder")
    return 1 if problems or not files else 0


sys.exit(main())
