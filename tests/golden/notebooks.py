#!/usr/bin/env python3
"""The notebooks run on records made here, and say what shardrift says: tests/golden/notebooks.py BUILD_FOLDER

Exit code 77: no Jupyter here (a GPU host without a package registry).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

try:
    import nbclient
    import nbformat
except ImportError:
    print("no nbclient: scripts/setup --tests installs it in .venv")
    sys.exit(1 if "SHARDRIFT_REQUIRE_TOOLS" in os.environ else 77)

NOTEBOOKS = Path(__file__).resolve().parents[2] / "analysis/notebooks"
PROMPTS = {"p0": [5, 77, 3, 100, 42], "p1": [9, 9, 1, 200], "p2": [250, 31]}


def record(build: Path, name: str, *flags: str) -> Path:
    folder = build / "notebooks"
    folder.mkdir(exist_ok=True)
    prompts, output = folder / "prompts.jsonl", folder / f"{name}.h5"
    prompts.write_text("".join(json.dumps({"id": key, "tokens": tokens}) + "\n" for key, tokens in PROMPTS.items()))
    subprocess.run(["mpirun", "-np", "1", build / "bin/shardrift-run", "run", "--model", build / "fixtures/tiny-llama",
                    "--prompts", prompts, "--output", output, "--overwrite", "--dtype", "bfloat16", "--max-new-tokens", "12",
                    "--ignore-eos", "--quiet", *flags], check=True)
    return output


def run(notebook: Path, reference: Path, candidate: Path) -> nbformat.NotebookNode:
    os.environ |= {"SHARDRIFT_REFERENCE": str(reference), "SHARDRIFT_CANDIDATE": str(candidate), "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    cells = nbformat.read(notebook, as_version=4)
    assert not any(cell.get("outputs") for cell in cells.cells), f"{notebook.name} was saved with outputs: clear them"
    nbclient.NotebookClient(cells, timeout=600, kernel_name="python3").execute()
    return cells


def check_records(build: Path) -> None:
    one, four = record(build, "one"), record(build, "s4", "--shards", "4")
    outputs = [output for cell in run(NOTEBOOKS / "records.ipynb", one, four).cells for output in cell.get("outputs", [])]
    plots = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(plots) == 1 and len(plots[0]["data"]["image/png"]) > 5000, "one plot"
    said = json.loads(next(line for output in outputs for line in output.get("text", "").splitlines() if line.startswith('{"rows')))
    compared = build / "notebooks/compare.json"
    subprocess.run([build / "bin/shardrift", "compare", one, four, "--json", compared, "--no-cache"], stdout=subprocess.DEVNULL)
    totals = json.loads(compared.read_text())["candidates"][0]["totals"]
    assert said["rows"] == totals["steps"] and said["max_abs"] == totals["max_abs"] > 0, (said, totals)
    assert abs(said["kl_mean"] / totals["kl_mean"] - 1) < 1e-6, (said, totals)
    assert said["flips"] == totals["steps"] - totals["top1_equal"], (said, totals)
    print(f"records.ipynb: one plot, {said}")


if __name__ == "__main__":
    check_records(Path(sys.argv[1]).resolve())
