#!/usr/bin/env python3
"""The metrics of `shardrift compare` for two records, written the straightforward way: h5py and NumPy, a block of rows
at a time, float64. What scripts/bench-analysis times shardrift against, and a second opinion on its numbers.

    numpy_baseline.py REFERENCE.h5 CANDIDATE.h5 [--json FILE] [--raw]
"""

from __future__ import annotations

import argparse
import json

import h5py
import numpy as np

BLOCK = 32  # rows: arrays of 8 MB at a vocabulary of 32,000, the fastest of 8, 32, 128 on the machine it was tuned on
TOP = 10


def ordered(words: np.ndarray) -> np.ndarray:
    """Words as integers in the order of their numbers: neighbours differ by 1, both zeros are 0."""
    magnitude = (words & (np.iinfo(words.dtype).max >> 1)).astype(np.int64)
    return np.where(words >> (8 * words.itemsize - 1) != 0, -magnitude, magnitude)


def log_softmax(x: np.ndarray) -> np.ndarray:
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def words_of(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":  # h5py widens it exactly to float32
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    return values.view({2: np.uint16, 4: np.uint32, 8: np.uint64}[values.itemsize])


def read_rows(prompt: h5py.Group, rows: slice, dtype: str, raw: bool) -> np.ndarray:
    data = prompt["logits"]
    if not raw:
        return data[rows]
    # the stored words as they are: HDF5's own conversion of 16-bit floats is slow
    count = min(rows.stop, data.shape[0]) - rows.start
    words = np.empty((count, data.shape[1]), {2: np.uint16, 4: np.float32, 8: np.float64}[data.id.get_type().get_size()])
    file_space = data.id.get_space()
    file_space.select_hyperslab((rows.start, 0), words.shape)
    data.id.read(h5py.h5s.create_simple(words.shape), file_space, words, mtype=data.id.get_type())
    if dtype == "bfloat16":
        return (words.astype(np.uint32) << 16).view(np.float32)
    return words.view(np.float16) if dtype == "float16" else words


def top_sets(x: np.ndarray) -> np.ndarray:
    return np.argpartition(x, x.shape[1] - TOP, axis=1)[:, -TOP:]


def block_metrics(a: np.ndarray, b: np.ndarray, dtype: str, chosen_a: np.ndarray, chosen_b: np.ndarray,
                  following: np.ndarray) -> dict[str, np.ndarray]:
    rows = np.arange(len(a))
    words_a, words_b = words_of(a, dtype), words_of(b, dtype)
    ulp = np.abs(ordered(words_b) - ordered(words_a))
    x, y = a.astype(np.float64), b.astype(np.float64)
    difference = np.abs(y - x)
    log_p, log_q = log_softmax(x), log_softmax(y)
    p, q = np.exp(log_p), np.exp(log_q)
    mean = 0.5 * (p + q)
    log_mean = np.log(mean)
    best_x, best_y = np.sort(np.partition(x, -2, axis=1)[:, -2:]), np.sort(np.partition(y, -2, axis=1)[:, -2:])
    sets_x, sets_y = top_sets(x), top_sets(y)
    return {
        "elements_differ": (words_a != words_b).sum(axis=1),
        "max_abs": difference.max(axis=1),
        "mean_abs": difference.mean(axis=1),
        "rms": np.sqrt((difference**2).mean(axis=1)),
        "max_ulp": ulp.max(axis=1),
        "mean_ulp": ulp.mean(axis=1),
        "kl": (p * (log_p - log_q)).sum(axis=1),
        "kl_reverse": (q * (log_q - log_p)).sum(axis=1),
        "js": 0.5 * (p * (log_p - log_mean)).sum(axis=1) + 0.5 * (q * (log_q - log_mean)).sum(axis=1),
        "tv": 0.5 * np.abs(q - p).sum(axis=1),
        "p_reference": p[rows, chosen_a],
        "p_candidate": q[rows, chosen_a],
        "p_own": q[rows, chosen_b],
        "p_next": p[rows, following],
        "log_ratio": log_q[rows, following] - log_p[rows, following],
        "regret": log_p[rows, chosen_a] - log_p[rows, chosen_b],
        "margin_reference": best_x[:, 1] - best_x[:, 0],
        "margin_candidate": best_y[:, 1] - best_y[:, 0],
        "ties_reference": (x == best_x[:, 1:]).sum(axis=1),
        "ties_candidate": (y == best_y[:, 1:]).sum(axis=1),
        "top_overlap": np.array([len(np.intersect1d(s, t)) for s, t in zip(sets_x, sets_y)]),
        "rank_of_choice": 1 + (y > y[rows, chosen_a][:, None]).sum(axis=1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference")
    parser.add_argument("candidate")
    parser.add_argument("--json", help="write the mean of every metric here")
    parser.add_argument("--raw", action="store_true", help="read stored words, not HDF5's conversion of them")
    arguments = parser.parse_args()
    raw = arguments.raw
    columns: dict[str, list[np.ndarray]] = {}
    with h5py.File(arguments.reference) as reference, h5py.File(arguments.candidate) as candidate:
        dtype = reference.attrs["logits_dtype"].decode()
        for name in reference["prompts"]:
            a, b = reference["prompts"][name], candidate["prompts"][name]
            chosen_a, chosen_b = a["chosen"][:], b["chosen"][:]
            following = np.append(a["input_ids"][1:], 0)
            for begin in range(0, len(chosen_a), BLOCK):
                rows = slice(begin, begin + BLOCK)
                block = block_metrics(read_rows(a, rows, dtype, raw), read_rows(b, rows, dtype, raw), dtype, chosen_a[rows], chosen_b[rows],
                                      following[rows])
                for key, values in block.items():
                    columns.setdefault(key, []).append(values)
    means = {key: float(np.concatenate(values).mean()) for key, values in columns.items()}
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(means, file, indent=1)
    for key, value in means.items():
        print(f"{key:18} {value:.9g}")


if __name__ == "__main__":
    main()
