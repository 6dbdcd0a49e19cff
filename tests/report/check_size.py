"""Time and size of a report of 20 configurations x 50 prompts, drawn from kept metrics.

usage: check_size.py MAKE_RUNS SHARDRIFT FOLDER [CONFIGURATIONS PROMPTS ROWS]
Exit code 1 beyond 30 s of processor time or 8 MiB.
"""

import pathlib
import resource
import subprocess
import sys

SECONDS, BYTES = 30, 8 << 20


def processor_seconds() -> float:
    """Of the programs that ended so far, on all cores: whatever else the machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    if len(sys.argv) not in (4, 7):
        print(__doc__)
        return 64
    make_runs, shardrift, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    size = sys.argv[4:] or ["20", "50", "256"]
    subprocess.run([make_runs, folder, *size], check=True)
    # Rewritten while it is drawn, a metrics file would have been measured again, not read.
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.metrics")}
    candidates = sorted(path for path in folder.glob("c*.h5"))
    page = folder / "report.html"
    start = processor_seconds()
    subprocess.run([shardrift, "report", folder / "one.h5", *candidates, "--output", page], check=True)
    seconds = processor_seconds() - start
    print(f"{len(candidates)} configurations x {size[1]} prompts x {size[2]} rows: {seconds:.2f} s of processor time, {page.stat().st_size / 2**20:.2f} MiB")
    assert len(kept) == len(candidates) and all(path.stat().st_mtime_ns == old for path, old in kept.items()), "metrics were not used"
    return int(seconds > SECONDS or page.stat().st_size > BYTES)


if __name__ == "__main__":
    sys.exit(main())
