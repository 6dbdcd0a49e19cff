#!/usr/bin/env python3
"""Beside the comparison of plain weights those of every other group of a study: how many times as far do shards move it?

  .venv/bin/python scripts/python/amplification.py out/quantization            a Markdown table
  .venv/bin/python scripts/python/amplification.py out/quantization --base none

The folder is that of a study with [each], such as experiments/studies/quantization.toml: compare-GROUP-reference.json holds what
was compared with GROUP's reference. `times` is the candidate's mean KL over that of the base group's candidate of the same name.
Its range is a percentile bootstrap over prompts (95%, 2,000 resamples, the same prompts drawn for both sides); where either side
has fewer than two prompts, none is given. Rows are those before the texts part, which are not the same ones in every group.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RESAMPLES, SEED = 2000, 1


@dataclass
class Compared:
    """One candidate against its group's reference, prompt by prompt."""

    kl: dict[str, float]  # summed over the prompt's rows
    rows: dict[str, int]
    equal: int
    changed: int  # prompts whose text differs

    @property
    def prompts(self) -> int:
        return len(self.rows)

    def mean(self, ids: list[str]) -> float:
        return sum(self.kl[i] for i in ids) / max(1, sum(self.rows[i] for i in ids))


def compared(prompts: list[dict]) -> Compared:
    measured = {p["id"]: p["steps_measured"] for p in prompts if p["steps_measured"] > 0}
    return Compared(kl={p["id"]: p["kl_mean"] * p["steps_measured"] for p in prompts if p["id"] in measured}, rows=measured,
                    equal=sum(p["bit_equal"] for p in prompts), changed=sum(p["first_flip"] is not None for p in prompts))


def groups_in(folder: Path) -> dict[str, dict[str, Compared]]:
    """By group, its candidates by name without the group's prefix."""
    groups: dict[str, dict[str, Compared]] = {}
    for file in sorted(folder.glob("compare-*-reference.json")):
        group = file.stem.removeprefix("compare-").removesuffix("-reference")
        runs = json.loads(file.read_text())["candidates"]
        groups[group] = {Path(run["path"]).stem.removeprefix(group + "-"): compared(run["prompts"]) for run in runs}
    return groups


def times(one: Compared, base: Compared) -> str:
    ids = sorted(set(one.rows) & set(base.rows))
    denominator = base.mean(ids)
    if not ids or denominator == 0:
        return "-"
    value = one.mean(ids) / denominator
    if len(ids) < 2:
        return f"{value:.3g}"
    draws = np.random.default_rng(SEED).integers(0, len(ids), (RESAMPLES, len(ids)))
    sums = {side: np.array([[c.kl[i] for i in ids], [c.rows[i] for i in ids]])[:, draws].sum(axis=2)
            for side, c in (("one", one), ("base", base))}
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (sums["one"][0] / sums["one"][1]) / (sums["base"][0] / sums["base"][1])
    low, high = np.percentile(ratios[np.isfinite(ratios)], [2.5, 97.5])
    return f"{value:.3g} ({low:.3g} to {high:.3g})"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path, help="the study's output folder")
    arguments.add_argument("--base", default="none", help="the group that others are divided by (default none)")
    given = arguments.parse_args()
    groups = groups_in(given.folder)
    if given.base not in groups:
        print(f"amplification: {given.folder}: no compare-{given.base}-reference.json there (groups: {', '.join(groups) or 'none'}): "
              "run the study, or give --base", file=sys.stderr)
        return 65
    print("| weights | shards | prompts bit-equal | texts changed | mean KL | times that of plain weights |")
    print("| --- | --- | --- | --- | --- | --- |")
    for group in [given.base, *(name for name in groups if name != given.base)]:
        for name, run in groups[group].items():
            if name.startswith("reference-again") and run.equal == len(run.rows):
                continue  # the noise floor, and there is none
            base = groups[given.base].get(name)
            beside = "1" if group == given.base else times(run, base) if base else "-"
            print(f"| {group} | {name} | {run.equal} of {run.prompts} | {run.changed} of {run.prompts} | {run.mean(list(run.rows)):.3g} "
                  f"| {beside} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
