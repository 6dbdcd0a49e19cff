"""What CMake knows of the project's targets (build/targets.txt, written by cmake/Rules.cmake)."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Target:
    """One library or program. Names of libraries are those of the targets: shardrift_plan, not shardrift::plan."""

    name: str
    is_program: bool
    folder: Path
    sources: set[Path]
    links: list[str]
    shown: list[str]  # to those who link it


def plain(names: str) -> list[str]:
    """Names of a list of links; $<LINK_ONLY:x>, a static library's private links, give no headers."""
    return [n.replace("shardrift::", "shardrift_") for n in names.split(";") if n and not n.startswith("$<")]


def read_targets(build: Path) -> dict[str, Target]:
    """All targets by name, in CMake's order."""
    targets = {}
    for line in (build / "targets.txt").read_text().splitlines():
        name, kind, folder, sources, links, shown = line.split("|")
        paths = {(Path(folder) / s).resolve() for s in sources.split(";") if s and not s.startswith("$<")}
        targets[name] = Target(name, kind == "EXECUTABLE", Path(folder).resolve(), paths, plain(links), plain(shown))
    return targets


def headers_of(target: Target, targets: dict[str, Target]) -> list[Path]:
    """Headers of its folder that are its own (owners)."""
    return sorted(h for h in target.folder.rglob("*.hpp") if target.name in owners(h, targets))


def owners(header: Path, targets: dict[str, Target]) -> list[str]:
    """The targets that a header belongs to: of those in the nearest folder, the one with its .cpp, else all."""
    for folder in header.parents:
        here = [t for t in targets.values() if t.folder == folder]
        own = [t.name for t in here if header.with_suffix(".cpp") in t.sources]
        if here:
            return own or [t.name for t in here]
    return []
