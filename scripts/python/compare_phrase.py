"""One phrase for a table out of `shardrift compare … --json FILE` with one candidate."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    candidate = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["candidates"][0]
    totals = candidate["totals"]
    if candidate["verdict"] == "bit-equal":
        print(f"same bits ({totals['steps']} steps)")
        return
    if candidate["verdict"] == "same-numbers":
        print(f"same numbers in another dtype ({totals['steps']} steps)")
        return
    flips = sum(prompt["first_flip"] is not None for prompt in candidate["prompts"])
    print(f"{totals['elements_differ'] / totals['elements']:.1%} of logits differ, max {totals['max_abs']:.3g}, "
          f"mean KL {totals['kl_mean']:.2g}, top-1 {totals['top1_equal']}/{totals['steps']}, "
          f"{flips} of {len(candidate['prompts'])} prompts flip")


if __name__ == "__main__":
    main()
