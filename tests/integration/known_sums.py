#!/usr/bin/env python3
"""known_sums.py FOLDER RANKS COUNT,…: probes every sum of thread_ranks.py and leaves its profile in FOLDER/NAME.json."""

import sys
from pathlib import Path

from thread_ranks import KNOWN, probe_sum_of


def main(folder: Path, size: int, counts: list[int]) -> None:
    for name, total in KNOWN.items():
        for result in probe_sum_of(size, lambda partials, rank, call: total(partials), counts=counts, dtypes=["float64", "float32", "float16", "bfloat16"],
                                   library=f"test {name}", version="1", save=folder / f"{name}.json"):
            if isinstance(result, Exception):
                raise result


main(Path(sys.argv[1]), int(sys.argv[2]), [int(count) for count in sys.argv[3].split(",")])
