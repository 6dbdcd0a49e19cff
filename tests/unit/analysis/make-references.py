#!/usr/bin/env python3
"""Makes the numbers of a row that the metrics tests check against: NumPy and SciPy, and 60 digits where they lose some.

usage: tests/unit/analysis/make-references.py [--check]

Writes references/metrics.json beside this file; --check compares instead and fails where a value moved. Run by hand (pip
install numpy==2.4.6 scipy==1.17.1 mpmath==1.4.1); tests read the committed file. Nothing here shares code with the C++.

Rows are stored words in base64, little-endian. Divergences are SciPy's (log_softmax, rel_entr, jensenshannon) in float64;
because its terms cancel near 0, mpmath computes them once more with 60 digits, both must agree, and the latter is kept.
null stands for NaN, "inf" for infinity.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path

import mpmath
import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, rel_entr

OUTPUT = Path(__file__).parent / "references" / "metrics.json"
TOP = 10
WORDS = {"float64": np.uint64, "float32": np.uint32, "float16": np.uint16, "bfloat16": np.uint16}
mpmath.mp.dps = 60


# -- Storing ---------------------------------------------------------------------------------------------------------------
def to_words(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":  # the upper half of float32, to nearest even
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        nan = (bits & 0x7FFFFFFF) > 0x7F800000
        return np.where(nan, (bits >> 16) | 0x40, rounded).astype(np.uint16)
    return values.astype({"float64": np.float64, "float32": np.float32, "float16": np.float16}[dtype]).view(WORDS[dtype])


def from_words(words: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":
        return (words.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return words.view({"float64": np.float64, "float32": np.float32, "float16": np.float16}[dtype]).astype(np.float64)


# -- Metrics ---------------------------------------------------------------------------------------------------------------
def argmax(x: np.ndarray) -> int:
    return int(np.nanargmax(x)) if not np.all(np.isnan(x)) else 0


def ordered(word: int, bits: int) -> int:
    magnitude = word & ((1 << (bits - 1)) - 1)
    return -magnitude if word >> (bits - 1) else magnitude


def exact_softmax(x: np.ndarray) -> tuple[list, list]:
    """Probabilities and their logarithms, 60 digits; -infinity has probability 0."""
    top = mpmath.mpf(float(np.max(x)))
    shifted = [mpmath.mpf(float(v)) - top if np.isfinite(v) else mpmath.mpf("-inf") for v in x]
    exps = [mpmath.exp(s) if mpmath.isfinite(s) else mpmath.mpf(0) for s in shifted]
    total = mpmath.fsum(exps)
    return [e / total for e in exps], [s - mpmath.log(total) for s in shifted]


def exact_kl(p: list, log_p: list, log_q: list):
    terms = []
    for i, probability in enumerate(p):
        if probability == 0:
            continue
        if not mpmath.isfinite(log_q[i]):
            return mpmath.mpf("inf")
        terms.append(probability * (log_p[i] - log_q[i]))
    return mpmath.fsum(terms)


def divergences(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    nan = {"kl": np.nan, "kl_reverse": np.nan, "js": np.nan, "tv": np.nan}
    if np.any(np.isnan(x) | np.isposinf(x)) or np.any(np.isnan(y) | np.isposinf(y)):
        return nan
    p, q = np.exp(log_softmax(x)), np.exp(log_softmax(y))
    scipy = {"kl": rel_entr(p, q).sum(), "kl_reverse": rel_entr(q, p).sum(), "js": jensenshannon(p, q) ** 2,
             "tv": 0.5 * np.abs(p - q).sum()}
    ep, elp = exact_softmax(x)
    eq, elq = exact_softmax(y)
    mean = [(a + b) / 2 for a, b in zip(ep, eq)]
    log_mean = [mpmath.log(m) if m > 0 else mpmath.mpf("-inf") for m in mean]
    exact = {"kl": exact_kl(ep, elp, elq), "kl_reverse": exact_kl(eq, elq, elp),
             "js": (exact_kl(ep, elp, log_mean) + exact_kl(eq, elq, log_mean)) / 2,
             "tv": mpmath.fsum(abs(a - b) for a, b in zip(ep, eq)) / 2}
    # jensenshannon gives a square root of what may be rounding noise, NaN where that is negative
    for key, value in exact.items():
        theirs = scipy[key] if not np.isnan(scipy[key]) else 0.0
        ours = float(value)
        if np.isinf(ours) or np.isinf(theirs):
            assert np.isinf(theirs) or key.startswith("kl"), key  # exp underflows in float64: SciPy calls it infinite
            continue
        assert abs(theirs - ours) <= 1e-9 * abs(ours) + 1e-14, (key, theirs, ours)
    return {key: float(value) for key, value in exact.items()}


def step(words_x: np.ndarray, words_y: np.ndarray, dtype_x: str, dtype_y: str, following: int) -> dict:
    x, y = from_words(words_x, dtype_x), from_words(words_y, dtype_y)
    same_dtype = dtype_x == dtype_y
    bit_equal = same_dtype and bool(np.array_equal(words_x, words_y))
    out: dict = {"bit_equal": bit_equal, "chosen_reference": argmax(x), "chosen_candidate": argmax(y)}
    r, c = out["chosen_reference"], out["chosen_candidate"]

    same = (x == y) | (np.isnan(x) & np.isnan(y))
    out["elements_differ"] = int((words_x != words_y).sum() if same_dtype else (~same).sum())
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.where(same, 0.0, np.abs(y - x))
    finite = np.isfinite(difference)
    out["not_finite"] = int((~finite).sum())
    counted = difference[finite]
    out["max_abs"], out["mean_abs"] = float(counted.max()), float(counted.mean())
    out["rms"] = float(np.sqrt((counted**2).mean()))
    out["max_ulp"] = out["mean_ulp"] = np.nan
    if same_dtype:
        bits = 8 * words_x.itemsize
        ulps = [0 if s else abs(ordered(int(b), bits) - ordered(int(a), bits))
                for a, b, s, f in zip(words_x, words_y, same, finite) if f]
        out["max_ulp"], out["mean_ulp"] = float(max(ulps)), float(sum(ulps) / len(ulps))
    if bit_equal:  # zero by definition, also with NaN in the row
        out |= {"max_abs": 0.0, "mean_abs": 0.0, "rms": 0.0, "max_ulp": 0.0, "mean_ulp": 0.0, "not_finite": 0}
        out |= {"kl": 0.0, "kl_reverse": 0.0, "js": 0.0, "tv": 0.0}
    else:
        out |= divergences(x, y)

    # a row with NaN or +infinity has no softmax
    log_p, log_q = (np.full(len(row), np.nan) if np.any(np.isnan(row) | np.isposinf(row)) else log_softmax(row)
                    for row in (x, y))
    out["p_reference"], out["p_candidate"] = float(np.exp(log_p[r])), float(np.exp(log_q[r]))
    out["p_own"], out["p_next"] = float(np.exp(log_q[c])), float(np.exp(log_p[following]))
    out["log_ratio"] = 0.0 if bit_equal else float(log_q[following] - log_p[following])
    out["regret"] = float(x[r] - x[c]) if r != c else 0.0

    for name, row in (("reference", x), ("candidate", y)):
        known = np.sort(row[~np.isnan(row)])[::-1]
        out[f"ties_{name}"] = int((known == known[0]).sum())
        out[f"margin_{name}"] = 0.0 if out[f"ties_{name}"] > 1 else float(known[0] - known[1]) if len(known) > 1 else np.inf
    sets = []
    for row in (x, y):
        order = sorted((i for i in range(len(row)) if not np.isnan(row[i])), key=lambda i: (-row[i], i))
        sets.append(set(order[:TOP]))
    out["top_overlap"] = len(sets[0] & sets[1])
    out["rank_of_choice"] = 0 if np.isnan(y[r]) else 1 + int((y > y[r]).sum())
    return out


# -- Cases -----------------------------------------------------------------------------------------------------------------
def cases() -> list[dict]:
    random = np.random.default_rng(20251126)
    out: list[dict] = []

    def add(name: str, x: np.ndarray, y: np.ndarray, dtype_x: str, dtype_y: str | None = None) -> None:
        dtype_y = dtype_y or dtype_x
        words_x, words_y = to_words(x, dtype_x), to_words(y, dtype_y)
        add_words(name, words_x, words_y, dtype_x, dtype_y)

    def add_words(name: str, words_x: np.ndarray, words_y: np.ndarray, dtype_x: str, dtype_y: str) -> None:
        following = int(random.integers(len(words_x)))
        while not np.isfinite(from_words(words_x, dtype_x)[following]):
            following = (following + 1) % len(words_x)
        out.append({"name": f"{name}, {dtype_x}" + ("" if dtype_x == dtype_y else f" against {dtype_y}"),
                    "dtype": [dtype_x, dtype_y], "next": following,
                    "words": [base64.b64encode(w.tobytes()).decode() for w in (words_x, words_y)],
                    "want": step(words_x, words_y, dtype_x, dtype_y, following)})

    for dtype in WORDS:
        for size in (1, 2, 9, 64, 203):
            x = random.normal(0, 3, size)
            add(f"another row of {size}", x, random.normal(0, 3, size), dtype)
            add(f"moved row of {size}", x, x + random.normal(0, 0.05, size), dtype)
        x = random.normal(0, 3, 130)
        x[70] = 12.0
        add("the same row", x, x, dtype)
        words = to_words(x, dtype)
        one_up = words.copy()
        one_up[::7] += 1  # one ulp away from zero
        add_words("one ulp here and there", words, one_up, dtype, dtype)
        grid = np.round(random.normal(0, 2, 150) * 4) / 4  # steps of 0.25: ties everywhere
        grid[[3, 77, 140]] = 9.0
        moved = grid.copy()
        moved[77] += 0.25
        add("a tie broken", grid, moved, dtype)
        add("a tie made", moved, grid, dtype)
        add("all equal", np.zeros(40), np.full(40, 0.5), dtype)
        zeros = np.zeros(20)
        add("zeros of either sign", zeros, np.where(np.arange(20) % 2 == 0, -0.0, 0.0), dtype)
        signs = random.normal(0, 1e-3, 90)
        add("across zero", signs, -signs, dtype)
        masked = random.normal(0, 3, 100)
        masked[10:30] = -np.inf
        less = masked + random.normal(0, 0.1, 100)
        add("masked in both", masked, less, dtype)
        less[5] = -np.inf
        add("masked in the candidate only", masked, less, dtype)
        add("masked in the reference only", less, masked, dtype)
        holes = masked.copy()
        holes[[4, 50]] = np.nan
        add("NaN in the candidate", masked, holes, dtype)
        add("NaN in both", holes, np.where(np.isnan(holes), np.nan, holes + 0.5), dtype)
        add("NaN and equal words", holes, holes, dtype)
        peak = masked.copy()
        peak[60] = np.inf
        add("an infinite logit", peak, masked, dtype)
        add("only one token left", np.where(np.arange(30) == 8, 1.0, -np.inf),
            np.where(np.arange(30) == 8, 2.0, -np.inf), dtype)
        nan_choice = masked.copy()
        nan_choice[argmax(masked)] = np.nan
        add("the choice is NaN in the candidate", masked, nan_choice, dtype)
    for dtype in ("float64", "float32", "bfloat16"):
        far = np.array([0.0, -800.0, -300.0, -50.0])
        add("a far tail", far, far + np.array([0.0, 10.0, -5.0, 1.0]), dtype)
    tiny = np.array([0.0, 1e-310, -1e-310, 3.0])
    add("subnormal numbers", tiny, tiny[[0, 2, 1, 3]], "float64")
    add("the largest numbers", np.array([-1.7e308, 0.0, 1.0]), np.array([1.7e308, 0.0, 1.0]), "float64")
    x = random.normal(0, 3, 120)
    for dtype_y in ("float32", "float16", "bfloat16"):
        add("the same numbers rounded", x, x, "float64", dtype_y)
    add("the same numbers rounded", x, x, "float32", "bfloat16")
    near = random.normal(0, 3, 80)
    for scale in (1e-3, 1e-6, 1e-9, 1e-12):
        add(f"moved by {scale}", near, near + scale * random.normal(0, 1, 80), "float64")
    return out


# -- The run's report ------------------------------------------------------------------------------------------------------
def report() -> dict:
    """llama.cpp's KL statistics (tools/perplexity/perplexity.cpp) and NeMo-RL's token multiplicative probability error."""
    random = np.random.default_rng(7)
    n = 137
    kl = random.gamma(0.5, 1e-3, n)
    p = random.uniform(0, 1, n)
    log_ratio = random.normal(0, 0.05, n)
    flipped = random.uniform(0, 1, n) < 0.1
    delta = p * np.exp(log_ratio) - p

    def distribution(values: np.ndarray) -> dict:
        levels = {"p0_1": 0.1, "p1": 1, "p5": 5, "p10": 10, "p25": 25, "median": 50, "p75": 75, "p90": 90, "p95": 95,
                  "p99": 99, "p99_9": 99.9}
        return {"mean": values.mean(), "mean_error": np.sqrt(((values**2).mean() - values.mean() ** 2) / (len(values) - 1)),
                "rms": np.sqrt((values**2).mean()), "min": values.min(), "max": values.max(),
                **{name: np.percentile(values, level) for name, level in levels.items()}}

    mse, mse_error = (delta**2).mean(), np.sqrt(((delta**4).mean() - (delta**2).mean() ** 2) / (n - 1))
    same = 1 - flipped.mean()
    return {"kl_values": kl.tolist(), "p_next": p.tolist(), "log_ratio": log_ratio.tolist(), "flipped": flipped.tolist(),
            "kl": distribution(kl), "delta_p": distribution(delta), "rms_delta_p_error": 0.5 / np.sqrt(mse) * mse_error,
            "same_top_p": same, "same_top_p_error": np.sqrt(same * (1 - same) / (n - 1)),
            "token_probability_error": np.exp(np.abs(log_ratio)).mean()}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, (float, np.floating)):
        if np.isnan(value):
            return None
        return ("inf" if value > 0 else "-inf") if np.isinf(value) else float(value)
    return value.item() if isinstance(value, np.generic) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    arguments = parser.parse_args()
    lines = [json.dumps(plain(case)) for case in cases()]
    text = '{"cases": [\n' + ",\n".join(lines) + '\n],\n"report": ' + json.dumps(plain(report())) + "}\n"
    if arguments.check:
        sys.exit(0 if text == OUTPUT.read_text(encoding="utf-8") else f"{OUTPUT}: differs from what this script makes")
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(text, encoding="utf-8")
    print(f"{OUTPUT}: {len(lines)} cases, {len(text)} bytes")


if __name__ == "__main__":
    main()
