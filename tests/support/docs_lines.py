#!/usr/bin/env python3
"""Lines of Markdown have at most 130 characters: docs_lines.py ROOT

Not counted: rows of tables, code blocks (what programs printed), lines that are one long link.
"""

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


def main() -> int:
    root = Path(sys.argv[1])
    files = documents(root)
    problems = [
        f"{file.relative_to(root)}:{number}: {length} characters, wrap at {LIMIT}"
        for file in files
        for number, length in long_lines(file.read_text(encoding="utf-8"))
    ]
    print("\n".join(problems) or f"{len(files)} Markdown files, no line of text over {LIMIT} characters")
    return 1 if problems or not files else 0


sys.exit(main())
