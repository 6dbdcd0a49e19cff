#!/usr/bin/env python3
"""A target includes headers of itself and of what it links, and nothing else.

usage: include_rules.py SOURCE BUILD

CMake gives the graph (targets.py). A header may include what its target links publicly, because whoever links the target
includes the header; a source also what its target links for itself. Headers below tests/ belong to whoever includes them.
That links go down only is checked by shardrift_add_library.
"""
from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from targets import Target, headers_of, owners, read_targets

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def read(path: Path) -> str:
    """The text of a source."""
    return path.read_text(encoding="utf-8")


class Rules:
    """The rule, over one graph; what is broken is collected in `broken`."""

    def __init__(self, source: Path, targets: dict[str, Target], text_of: Callable[[Path], str] = read):
        self.source = source
        self.targets = targets
        self.text_of = text_of
        self.checked = 0
        self.broken: list[str] = []

    def seen_through(self, names: list[str]) -> set[str]:
        """Those targets and what they show to who links them."""
        seen: set[str] = set()
        todo = [n for n in names if n in self.targets]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += [n for n in self.targets[name].shown if n in self.targets]
        return seen

    def resolved(self, included: str, file: Path) -> Path | None:
        """The project's file that is meant; None: a library's."""
        for folder in (file.parent, self.source / "src", self.source, self.source / "tests/support"):
            if (folder / included).is_file():
                return (folder / included).resolve()
        return None

    def check_file(self, file: Path, target: Target, allowed: set[str]) -> None:
        """Every include of a file of the target."""
        seen = {file}
        todo = [file]
        while todo:
            here = todo.pop()
            for included in INCLUDE.findall(self.text_of(here)):
                header = self.resolved(included, here)
                if header is None or header in seen:
                    continue
                seen.add(header)
                self.checked += 1
                if header.is_relative_to(self.source / "tests"):
                    todo.append(header)
                    continue
                owner = owners(header, self.targets)
                if not allowed.intersection(owner):
                    links = "shows to those who link it" if file.suffix == ".hpp" else "links"
                    self.broken.append(f"{here.relative_to(self.source)} includes {included} of {' or '.join(owner)}, "
                                       f"which is nothing that {target.name} {links}")

    def check(self) -> None:
        """Every source and header of every target."""
        for target in self.targets.values():
            allowed = {target.name} | self.seen_through(target.links)
            for file in sorted(target.sources):
                if file.suffix in (".cpp", ".cu") and file.is_file() and file.is_relative_to(self.source):
                    self.check_file(file, target, allowed)
            if target.folder.is_relative_to(self.source / "tests"):
                continue
            for header in headers_of(target, self.targets):
                shown = target.links if target.is_program else target.shown
                self.check_file(header, target, {target.name} | self.seen_through(shown))


def main() -> int:
    """Prints what breaks the rule."""
    source, build = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    rules = Rules(source, read_targets(build))
    rules.check()
    for line in rules.broken:
        print(line)
    print(f"{rules.checked} includes of {len(rules.targets)} targets, {len(rules.broken)} of them wrong")
    return 1 if rules.broken or rules.checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
