"""Ranks that are threads of one process, and sums over them whose order is known: what the Python probe is tested on."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts/python"))
import probe_collective  # noqa: E402

warnings.simplefilter("ignore", RuntimeWarning)  # masked numbers overflow narrower dtypes
LIMIT_S = 300  # ends a test that hangs, decides nothing else


class Meeting:
    def __init__(self, size: int):
        self.size, self.values, self.barrier = size, [None] * size, threading.Barrier(size, timeout=LIMIT_S)

    def gather(self, rank: int, value: Any) -> list[Any]:
        self.values[rank] = value
        self.barrier.wait()
        values = list(self.values)
        self.barrier.wait()
        return values


def on_ranks(size: int, work: Callable[[probe_collective.Ranks, Meeting], Any]) -> list[Any]:
    """work(ranks, data) on every rank; `data` is where its sums meet. What each rank gave, or the exception that it threw."""
    words, data = Meeting(size), Meeting(size)
    results: list[Any] = [None] * size

    def one(rank: int) -> None:
        ranks = probe_collective.Ranks(rank, size, lambda value: words.gather(rank, value))
        try:
            results[rank] = work(ranks, data)
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=one, args=[rank]) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def probe_sum_of(size: int, total: Callable[[list[np.ndarray], int, int], np.ndarray], **asked: Any) -> list[Any]:
    """Probes total(partials, rank, call) over `size` ranks: what each rank gives for all ranks' partials at its call-th call."""

    def work(ranks: probe_collective.Ranks, data: Meeting) -> Any:
        calls = iter(range(10**9))
        return probe_collective.probe(lambda mine: total(data.gather(ranks.rank, mine.copy()), ranks.rank, next(calls)), device="numpy",
                                      ranks=ranks, quiet=True, **asked)

    return on_ranks(size, work)


# -- adds, written apart from the probe's own ----------------------------------------------------------------
def widen(words: np.ndarray) -> np.ndarray:
    """16-bit words of bfloat16, or float16, to float32; others stay."""
    if words.dtype == np.uint16:
        return (words.astype(np.uint32) << 16).view(np.float32)
    return words.astype(np.float32) if words.dtype == np.float16 else words


def narrow(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    if like.dtype != np.uint16:
        return values.astype(like.dtype)
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def by_hops(order: list[int], partials: list[np.ndarray]) -> np.ndarray:
    """Left to right, rounded at every add."""
    total = partials[order[0]]
    for rank in order[1:]:
        total = narrow(widen(total) + widen(partials[rank]), total)
    return total


def in_float32(order: list[int], partials: list[np.ndarray]) -> np.ndarray:
    """Left to right in float32 (float64 messages in float64), rounded once."""
    total = widen(partials[order[0]])
    for rank in order[1:]:
        total = total + widen(partials[rank])
    return narrow(total, partials[0])


def balanced(first: int, count: int, partials: list[np.ndarray]) -> np.ndarray:
    if count == 1:
        return partials[first]
    half = (count + 1) // 2
    return by_hops([0, 1], [balanced(first, half, partials), balanced(first + half, count - half, partials)])


def in_parts(ends: list[int], sums: Callable[[int, list[np.ndarray]], np.ndarray], partials: list[np.ndarray]) -> np.ndarray:
    """Part r of the message, up to ends[r], is sums(r, the partials' parts)."""
    begins = [0, *ends[:-1]]
    return np.concatenate([sums(part, [p[begin:end] for p in partials]) for part, (begin, end) in enumerate(zip(begins, ends))])


def dealt(units: int, size: int) -> list[int]:
    """Where each rank's units end, when the first ones get one more."""
    return np.cumsum([units // size + (rank < units % size) for rank in range(size)]).tolist()


def turned(first: int, size: int) -> list[int]:
    return [(first + k) % size for k in range(size)]


def ring(partials: list[np.ndarray]) -> np.ndarray:
    """OpenMPI's: chunk k begins at rank k."""
    size = len(partials)
    return in_parts(dealt(len(partials[0]), size), lambda k, parts: by_hops(turned(k, size), parts), partials)


def one_shot(partials: list[np.ndarray]) -> np.ndarray:
    return in_float32(list(range(len(partials))), partials)


def two_shot(partials: list[np.ndarray]) -> np.ndarray:
    size, count, unit = len(partials), len(partials[0]), 16 // partials[0].itemsize
    ends = [min(count, end * unit) for end in dealt(-(-count // unit), size)]
    return in_parts(ends, lambda r, parts: in_float32(turned(r, size), parts), partials)


KNOWN = {
    "linear": lambda partials: by_hops(list(range(len(partials))), partials),
    "chain": lambda partials: by_hops(list(range(len(partials)))[::-1], partials),
    "tree": lambda partials: balanced(0, len(partials), partials),
    "ring": ring,
    "one-shot": one_shot,
    "two-shot": two_shot,
}
