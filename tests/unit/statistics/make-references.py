#!/usr/bin/env python3
"""Makes the values that the statistics tests check against, with NumPy and SciPy.

usage: tests/unit/statistics/make-references.py [--check]

Writes references/statistics.json beside this file; --check compares instead and fails where a value moved.
Run by hand (pip install numpy==2.4.6 scipy==1.17.1); tests read the committed file, so SciPy is not needed
to run them. Nothing here shares code with the C++: the generator, too, is written again from its definition.
"""
import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
from scipy import stats

OUTPUT = Path(__file__).parent / "references" / "statistics.json"


class Mt19937_64:
    """M. Matsumoto and T. Nishimura's 64-bit Mersenne twister."""

    N, M, MASK = 312, 156, (1 << 64) - 1

    def __init__(self, seed: int) -> None:
        self.state = [seed & self.MASK]
        for i in range(1, self.N):
            last = self.state[-1]
            self.state.append((6364136223846793005 * (last ^ (last >> 62)) + i) & self.MASK)
        self.at = self.N

    def word(self) -> int:
        if self.at == self.N:
            for i in range(self.N):
                x = (self.state[i] & ~0x7FFFFFFF & self.MASK) | (self.state[(i + 1) % self.N] & 0x7FFFFFFF)
                self.state[i] = self.state[(i + self.M) % self.N] ^ (x >> 1) ^ (0xB5026F5AA96619E9 if x & 1 else 0)
            self.at = 0
        x = self.state[self.at]
        self.at += 1
        x ^= (x >> 29) & 0x5555555555555555
        x ^= (x << 17) & 0x71D67FFFEDA60000
        x ^= (x << 37) & 0xFFF7EEE000000000
        return x ^ (x >> 43)

    def below(self, count: int) -> int:
        reject = (1 << 64) % count
        while True:
            word = self.word()
            if word >= reject:
                return word % count


def draws(seed: int, prompts: int, resamples: int) -> np.ndarray:
    random = Mt19937_64(seed)
    counts = np.zeros((resamples, prompts), dtype=np.int64)
    for row in counts:
        for _ in range(prompts):
            row[random.below(prompts)] += 1
    return counts


def bca(resampled: np.ndarray, estimate: float, left_out: np.ndarray, confidence: float) -> list[float]:
    """Efron 1987, eq. (6.6) with the acceleration of the jackknife; as scipy.stats.bootstrap does."""
    share = (np.mean(resampled < estimate) + np.mean(resampled <= estimate)) / 2
    bias = stats.norm.ppf(share)
    away = left_out.mean() - left_out
    acceleration = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    levels = []
    for level in ((1 - confidence) / 2, 1 - (1 - confidence) / 2):
        z = bias + stats.norm.ppf(level)
        levels.append(stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return np.quantile(resampled, levels).tolist()


def clustered(random: np.random.Generator, prompts: int) -> list[list[float]]:
    """Rows of prompts: skewed, of unequal number, alike within a prompt."""
    return [
        (np.exp(random.normal(0, 0.7)) * random.gamma(0.5, 1, random.integers(3, 12))).round(6).tolist()
        for _ in range(prompts)
    ]


def percentile_cases(random: np.random.Generator) -> list[dict]:
    cases = []
    for values in ([3.5], [2.0, 1.0], random.normal(size=11).tolist()):
        for p in (0.0, 0.01, 0.25, 0.5, 0.9, 1.0):
            cases.append({"values": values, "p": p, "result": float(np.quantile(values, p))})
    return cases


def resampled_percentiles(random: np.random.Generator) -> list[dict]:
    cases = []
    rows = clustered(random, 6)
    for drawn in ([1] * 6, [0, 2, 0, 3, 1, 0], [0, 0, 0, 0, 0, 6]):
        values = [v for prompt, times in zip(rows, drawn) for v in prompt * times]
        for p in (0.05, 0.5, 0.99):
            cases.append({"rows": rows, "drawn": drawn, "p": p, "result": float(np.quantile(values, p))})
    return cases


def bootstrap_cases(random: np.random.Generator) -> list[dict]:
    cases = []
    for prompts, seed in ((12, 1), (40, 2**63 + 11)):
        rows = clustered(random, prompts)
        sums = np.array([math.fsum(r) for r in rows])
        counts = np.array([len(r) for r in rows], dtype=float)
        drawn = draws(seed, prompts, 500)
        resampled = (drawn @ sums) / (drawn @ counts)
        estimate = sums.sum() / counts.sum()
        left_out = (sums.sum() - sums) / (counts.sum() - counts)
        case = {"rows": rows, "seed": seed, "resamples": 500, "estimate": estimate, "first_draw": drawn[0].tolist()}
        for confidence in (0.95, 0.8):
            low = (1 - confidence) / 2
            case[f"percentile_{confidence}"] = np.quantile(resampled, [low, 1 - low]).tolist()
            case[f"bca_{confidence}"] = bca(resampled, estimate, left_out, confidence)
        # The library's own, with its own generator: near, not equal.
        for method in ("percentile", "BCa"):
            interval = stats.bootstrap(
                (sums, counts), lambda s, c, axis: s.sum(axis) / c.sum(axis), paired=True, vectorized=True,
                n_resamples=40000, batch=1000, method=method, rng=np.random.default_rng(7),
            ).confidence_interval
            case[f"scipy_{method.lower()}"] = [float(interval.low), float(interval.high)]
        p90 = [np.quantile([v for r, t in zip(rows, d) for v in r * int(t)], 0.9) for d in drawn]
        case["p90"] = float(np.quantile([v for r in rows for v in r], 0.9))
        case["p90_interval"] = np.quantile(p90, [0.025, 0.975]).tolist()
        cases.append(case)
    return cases


def proportion_cases() -> list[dict]:
    cases = []
    for events, count in ((0, 1), (0, 30), (1, 30), (15, 30), (30, 30), (3, 1000)):
        for confidence in (0.95, 0.8):
            interval = stats.binomtest(events, count).proportion_ci(confidence, method="exact")
            cases.append({"events": events, "count": count, "confidence": confidence,
                          "interval": [float(interval.low), float(interval.high)]})
    return cases


def survival_cases(random: np.random.Generator) -> list[dict]:
    cases = []
    for prompts, limit in ((8, 20), (40, 64)):
        first = random.geometric(0.03, prompts)
        ends = random.integers(5, limit + 1, prompts)
        lives = [[int(min(t, c)), bool(t <= c)] for t, c in zip(first, ends)]
        data = stats.CensoredData(
            uncensored=[t for t, changed in lives if changed], right=[t for t, changed in lives if not changed]
        )
        curve = stats.ecdf(data).sf
        cases.append({
            "lifetimes": lives,
            "tokens": curve.quantiles.astype(int).tolist(),
            "share": curve.probabilities.tolist(),
        })
    return cases


def beta_product_case(random: np.random.Generator) -> dict:
    """The interval of the beta product procedure by simulation: products of independent betas."""
    lives = [[3, True], [5, False], [7, True], [7, True], [9, False], [12, True], [15, False], [15, False],
             [15, False], [15, False]]
    size = 400000
    product = np.ones(size)
    at_risk = len(lives)
    result = []
    for n in sorted({t for t, _ in lives}):
        changed = sum(1 for t, c in lives if t == n and c)
        ended = sum(1 for t, c in lives if t == n and not c)
        if changed:
            product = product * random.beta(at_risk - changed + 1, changed, size)
        left = at_risk - changed
        lower = product * random.beta(left, 1, size)
        result.append({"tokens": n, "low": float(np.quantile(lower, 0.025)),
                       "high": float(np.quantile(product, 0.975)) if (product < 1).any() else 1.0})
        at_risk = left - ended
    return {"lifetimes": lives, "points": result, "note": "simulated, 400000 draws; moments are matched, not quantiles"}


def tail_cases() -> list[dict]:
    return [{"x": x, "normal": float(stats.norm.sf(x)), "logistic": float(stats.logistic.sf(x)),
             "t4": float(stats.t.sf(x, 4))} for x in (0.0, 1e-3, 0.5, 1.0, 2.0, 5.0, 12.0, 30.0)]


def references() -> dict:
    random = np.random.default_rng(20250611)
    twister = Mt19937_64(5489)
    words = [twister.word() for _ in range(10000)]
    assert words[-1] == 9981545732273789042, "not the standard's generator"
    return {
        "made_by": f"numpy {np.__version__}, scipy {__import__('scipy').__version__}",
        "random": {"seed": 17, "count": 10, "indices": (lambda r: [r.below(10) for _ in range(20)])(Mt19937_64(17))},
        "percentile": percentile_cases(random),
        "resampled_percentile": resampled_percentiles(random),
        "bootstrap": bootstrap_cases(random),
        "proportion": proportion_cases(),
        "survival": survival_cases(random),
        "tail": tail_cases(),
        "beta_product": beta_product_case(random),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    arguments = parser.parse_args()
    text = json.dumps(references(), indent=1) + "\n"
    if arguments.check:
        if OUTPUT.read_text() != text:
            print(f"{OUTPUT} is not what this script makes now", file=sys.stderr)
            return 1
        return 0
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
