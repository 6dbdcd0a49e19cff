"""In which order does a sum over 2 to 8 ranks add, for every element of a message? NumPy only; parallel/probe in Python.

FPRev's method (arXiv 2411.00442), as `shardrift-run probe` plays it. For every pair of ranks i < j one call: rank i gives M, rank
j gives -M, all others a small unit that M swallows. What survives at an element counts the ranks outside the smallest subtree
that holds i and j; N (N-1) / 2 such counts are a tree. Calls with random numbers, the same ones several times, tell where the
sum rounds, that the trees explain every bit, and whether the sum is the same from call to call.

Messages are arrays of `STORED[dtype]`; bfloat16 ones are 16-bit words. A sum is a function that is given `fill`, takes fill(rank)
for the ranks that live here, and returns the message's sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

STORED = {"float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}
MOST_RANKS = 8
NOT_BINARY = -1
ACCUMULATORS = ("message", "float32", "float64")  # what a local fold can do, the narrowest first
# M and unit: M + 7 units = M in the dtype and in every accumulator up to float32 (float64 where M allows it).
MASKS = {"float64": (2.0**1000, 1.0), "float32": (2.0**120, 1.0), "bfloat16": (2.0**120, 1.0), "float16": (2.0**15, 2.0**-14)}
# Dtypes that a message may be squeezed through on its way, which no local fold does. Their range has no such M: theirs is tried.
OTHERS = {"float64": ("float32", "float16", "bfloat16"), "float32": ("float16", "bfloat16"), "float16": ("bfloat16",),
          "bfloat16": ("float16",)}

Words = np.ndarray
Tree = "int | tuple[Tree, Tree]"
Fill = Callable[[int], Words]
Sum = Callable[[Fill], Words]
Narrowing = Callable[[np.ndarray, str], Words]


# -- numbers -------------------------------------------------------------------------------------------------
def widened(words: Words, dtype: str) -> np.ndarray:
    """As float64, which holds every value of the narrower types."""
    if dtype == "bfloat16":
        words = (words.astype(np.uint32) << 16).view(np.float32)
    return words.astype(np.float64)


def rounded(values: np.ndarray, dtype: str) -> Words:
    """float64 values to dtype, to nearest even, with one rounding."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if dtype != "bfloat16":
            return values.astype(STORED[dtype])
        # By way of a float32 rounded to odd: rounding to nearest twice goes wrong on ties.
        near = values.astype(np.float32)
        even = (near.view(np.uint32) & 1) == 0
        inexact = near.astype(np.float64) != values
        other = np.nextafter(near, np.where(values > near, np.inf, -np.inf).astype(np.float32))
        bits = np.where(even & inexact, other, near).view(np.uint32)
        words = (bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return np.where(np.isnan(values), 0x7FC0, words).astype(np.uint16)


def cut_off(values: np.ndarray, dtype: str) -> Words:
    """float64 values that a float32 holds to bfloat16, by leaving out the lower half of its bits."""
    if dtype != "bfloat16":
        raise ValueError(f"{dtype}: only bfloat16 is a part of a float32")
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def random_words(rank: int, count: int, dtype: str) -> Words:
    """What `shardrift-run probe` has that rank give: splitmix64 of (rank, element), spread over a few powers of two."""
    with np.errstate(over="ignore"):
        z = np.uint64((rank + 1) << 48) + np.arange(count, dtype=np.uint64)
        z = (z + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z ^= z >> np.uint64(27)
    values = np.ldexp(z.view(np.int64).astype(np.float64) * 2.0**-63, (z & np.uint64(7)).astype(np.int64) - 4)
    return values if dtype == "float64" else rounded(values.astype(np.float32).astype(np.float64), dtype)


# -- trees ---------------------------------------------------------------------------------------------------
def tree_of(leaves: np.ndarray) -> Tree | None:
    """leaves[i, j]: the ranks under the smallest subtree of i and j. None where no binary tree has these."""

    def within(members: list[int]) -> bool:
        return all(leaves[i, j] <= len(members) for i, j in combinations(members, 2))

    def split(members: list[int]) -> Tree | None:
        first, size = members[0], len(members)
        if size == 1:
            return first
        near = [m for m in members if m == first or leaves[first, m] < size]
        far = [m for m in members if m not in near]
        if not far or any(leaves[i, j] != size for i in near for j in far) or not (within(near) and within(far)):
            return None
        left, right = split(near), split(far)
        return None if left is None or right is None else (left, right)

    return split(list(range(len(leaves))))


def spelled(tree: Tree) -> str:
    """ "(0+1)+2", in the canonical form of parallel/reduction/sum_tree.hpp: the operand that needs the larger stack comes first,
    then the one with the lowest rank."""

    def spell(node: Tree) -> tuple[int, int, str]:
        if not isinstance(node, tuple):
            return 1, node, str(node)
        first, second = sorted(map(spell, node), key=lambda part: (-part[0], part[1]))
        text = "+".join(f"({part[2]})" if "+" in part[2] else part[2] for part in (first, second))
        return max(first[0], second[0] + 1), min(first[1], second[1]), text

    return spell(tree)[2]


def folded(partials: list[Words], dtype: str, tree: Tree, accumulator: str = "message", last: Narrowing = rounded) -> Words:
    """The partials added by that tree: rounded to the accumulator's dtype at every add and at the end, by `last`, to the message's."""
    within = dtype if accumulator == "message" else accumulator

    def add(node: Tree) -> np.ndarray:
        value = add(node[0]) + add(node[1]) if isinstance(node, tuple) else widened(partials[node], dtype)
        return widened(rounded(value, within), within)

    with np.errstate(invalid="ignore", over="ignore"):
        return last(add(tree), dtype)


# -- the probe -----------------------------------------------------------------------------------------------
@dataclass
class Found:
    """What a probe saw of one message's sum. `kind`: tree (it can be folded on one device); or why not: nondeterministic,
    another dtype, cut off, rounded once, no tree, unexplained; ranks differ (probe_collective.py's)."""

    dtype: str
    count: int
    ranks: int
    calls: int = 0
    kind: str = "tree"
    words: str = ""  # the kind, for people
    changed: float = 0.0  # share of elements that changed over calls with the same numbers
    trees: list[str] = field(default_factory=list)
    segments: list[list[int]] = field(default_factory=list)  # [begin, end, tree], tree NOT_BINARY: none
    accumulators: list[str] = field(default_factory=list)  # all of ACCUMULATORS that give these bits
    first_unexplained: int = -1

    def named(self, kind: str, words: str) -> Found:
        self.kind, self.words = kind, words
        if kind in ("nondeterministic", "rounded once"):  # the masked calls mean nothing
            self.trees, self.segments = [], [[0, self.count, NOT_BINARY]]
        return self


def starts_of(values: np.ndarray) -> np.ndarray:
    """Where runs of equal values begin: neighbours are mostly alike."""
    return np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))


def masked_classes(total: Sum, found: Found, masks: str, calling: Callable[[], None]) -> tuple[np.ndarray, np.ndarray]:
    """(class of every element, answers of every class to every pair): elements that answered every call alike are one class."""
    mass, unit = MASKS[masks]
    classes, answers = np.zeros(found.count, np.int64), np.zeros((1, 0), np.int64)
    for pair in combinations(range(found.ranks), 2):
        calling()

        def fill(rank: int, pair: tuple[int, int] = pair) -> Words:
            value = mass if rank == pair[0] else -mass if rank == pair[1] else unit
            return np.full(found.count, rounded(np.array([value]), found.dtype)[0])

        units = widened(total(fill), found.dtype) / unit
        with np.errstate(invalid="ignore"):
            whole = (units >= 0) & (units <= found.ranks - 2) & (units == np.floor(units))
        keys = classes * 16 + np.where(whole, units, 15).astype(np.int64)
        starts = starts_of(keys)
        kinds, of_run = np.unique(keys[starts], return_inverse=True)
        answers = np.concatenate((answers[kinds // 16], (kinds % 16)[:, None]), axis=1)
        classes = np.repeat(of_run.reshape(-1), np.diff(np.append(starts, found.count)))
    return classes, answers


def name_segments(found: Found, classes: np.ndarray, answers: np.ndarray) -> list[Tree]:
    """Fills in the found trees and segments; returns the trees."""
    trees: list[Tree] = []
    places: dict[int, int] = {}
    starts = starts_of(classes)
    found.trees, found.segments = [], []
    for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), found.count]):
        one = int(classes[begin])
        if one not in places:
            leaves = np.zeros((found.ranks, found.ranks), np.int64)
            for (i, j), outside in zip(combinations(range(found.ranks), 2), answers[one]):
                leaves[i, j] = leaves[j, i] = found.ranks - outside
            tree = tree_of(leaves) if (answers[one] < 15).all() else None
            text = None if tree is None else spelled(tree)
            if text is not None and text not in found.trees:
                found.trees.append(text)
                trees.append(tree)
            places[one] = NOT_BINARY if text is None else found.trees.index(text)
        if found.segments and found.segments[-1][2] == places[one]:
            found.segments[-1][1] = end
        else:
            found.segments.append([begin, end, places[one]])
    return trees


def explained(found: Found, trees: list[Tree], accumulator: str, live: Words, last: Narrowing = rounded) -> int:
    """The first element that the found map, added in that dtype, gives otherwise than `live`; -1: none."""
    partials = [random_words(rank, found.count, found.dtype) for rank in range(found.ranks)]
    sums = np.empty_like(live)
    of_element = np.repeat([s[2] for s in found.segments], [s[1] - s[0] for s in found.segments])
    for place, tree in enumerate(trees):
        mine = of_element == place
        sums[mine] = folded([partial[mine] for partial in partials], found.dtype, tree, accumulator, last)
    other = np.flatnonzero(sums.view(f"u{live.itemsize}") != live.view(f"u{live.itemsize}"))
    return int(other[0]) if other.size else -1


def exact_sum(found: Found) -> Words:
    partials = [widened(random_words(rank, found.count, found.dtype), found.dtype) for rank in range(found.ranks)]
    if found.dtype == "float64":
        return np.array([math.fsum(column) for column in zip(*partials)])
    return rounded(np.sum(partials, axis=0), found.dtype)


def examine(total: Sum, found: Found, repeats: int, calling: Callable[[], None]) -> Words:
    """The sum of random numbers, and in found.changed how much of it moved when they were summed again."""
    sums = []
    for _ in range(repeats):
        calling()
        sums.append(total(lambda rank: random_words(rank, found.count, found.dtype)).copy())
    moved = np.zeros(found.count, bool)
    for other in sums[1:]:
        moved |= other.view(f"u{other.itemsize}") != sums[0].view(f"u{other.itemsize}")
    found.changed = float(moved.mean())
    return sums[0]


def judged(found: Found, trees: list[Tree], live: Words) -> Found:
    odd = [s for s in found.segments if s[2] == NOT_BINARY]
    if not odd:
        wide = [a for a in ACCUMULATORS if not (a == "float32" and found.dtype == "float64")]
        firsts = {a: explained(found, trees, a, live) for a in wide}
        found.accumulators = [a for a in wide if firsts[a] < 0]
        if found.accumulators:
            return found.named("tree", rounding_words(found.accumulators[0]))
        found.first_unexplained = max(firsts.values())
        for other in OTHERS[found.dtype]:
            if explained(found, trees, other, live) < 0:
                return found.named("another dtype", f"adds in {other}, which the message is converted to first")
        if found.dtype == "bfloat16" and explained(found, trees, "float32", live, cut_off) < 0:
            return found.named("cut off", "adds in float32, then cuts off to bfloat16 without rounding")
    if np.array_equal(live, exact_sum(found)):
        return found.named("rounded once", "rounded once: the exact sum, rounded (an accumulator too wide to show an order)")
    if odd:
        share = sum(s[1] - s[0] for s in odd) / found.count
        return found.named("no tree", f"no fixed binary tree from element {odd[0][0]} on ({share:.3%} of the elements): three or more"
                           " values are added at once, or not added but rounded otherwise (multicast, a quantised sum)")
    return found.named("unexplained", f"element {found.first_unexplained} has other bits than its tree gives")


def changed_words(found: Found, repeats: int) -> str:
    return f"nondeterministic: {found.changed:.3%} of the elements changed over {repeats} calls with the same numbers"


def rounding_words(accumulator: str) -> str:
    return "rounds at every add" if accumulator == "message" else f"adds in {accumulator}, rounds once"


def probe_sum(total: Sum, ranks: int, count: int, dtype: str, repeats: int = 5,
              progress: Callable[[int, int], None] = lambda call, of: None,
              on_any_rank: Callable[[bool], bool] = lambda here: here) -> Found:
    """Probes one message. `progress` is told the call that begins, and of how many. `on_any_rank` makes ranks that see other sums
    go the same way, so that all make the same calls."""
    if dtype not in STORED:
        raise ValueError(f"dtype {dtype!r}: {', '.join(STORED)} can be probed")
    if not 2 <= ranks <= MOST_RANKS:
        raise ValueError(f"a sum over {ranks} ranks cannot be probed: 2 to {MOST_RANKS} can")
    if count < 1 or repeats < 1:
        raise ValueError(f"count {count}, repeats {repeats}: 1 is the least")
    found = Found(dtype, count, ranks)
    expected = math.comb(ranks, 2) + repeats

    def calling() -> None:
        found.calls += 1
        progress(found.calls, max(expected, found.calls))

    live = examine(total, found, repeats, calling)
    trees: list[Tree] = []
    if on_any_rank(found.changed > 0):
        return found.named("nondeterministic", changed_words(found, repeats))
    for masks in (dtype, *OTHERS[dtype]):
        trees = name_segments(found, *masked_classes(total, found, masks, calling))
        if on_any_rank(bool(trees)):
            break
    return judged(found, trees, live)
