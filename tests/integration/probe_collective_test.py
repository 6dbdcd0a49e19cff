#!/usr/bin/env python3
"""scripts/python/probe_collective.py on sums that are what they are known to be: right ones, strange ones and wrong ones."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

from thread_ranks import KNOWN, by_hops, narrow, on_ranks, one_shot, probe_sum_of, widen
import probe_collective
from probe_collective import ProbeError, described
from sum_order import STORED, folded, probe_sum, random_words, rounded, spelled, widened

COUNT = 600
DTYPES = list(STORED)


def found_of(size, total, dtype="bfloat16", count=COUNT, **asked):
    """The one message's result, which all ranks have."""
    results = probe_sum_of(size, total, counts=[count], dtypes=[dtype], **asked)
    for result in results:
        if isinstance(result, Exception):
            raise result
        assert result == results[0]
    return results[0][0]


class Orders(unittest.TestCase):
    def test_every_tree_of_four_ranks_in_every_dtype(self):
        def trees(leaves):
            if len(leaves) == 1:
                yield leaves[0]
            for mask in range(1, 2 ** (len(leaves) - 1)):
                right = [leaf for k, leaf in enumerate(leaves[1:]) if mask >> k & 1]
                for a in trees([leaf for leaf in leaves if leaf not in right]):
                    yield from ((a, b) for b in trees(right))

        all_trees = list(trees([0, 1, 2, 3]))
        self.assertEqual(len({spelled(tree) for tree in all_trees}), 15)
        for tree in all_trees:
            for dtype in DTYPES:
                found = probe_sum(lambda fill: folded([fill(rank) for rank in range(4)], dtype, tree), 4, 64, dtype)
                self.assertEqual((found.kind, found.trees, found.segments), ("tree", [spelled(tree)], [[0, 64, 0]]))
                self.assertEqual(found.calls, 6 + 5)

    def test_known_orders_on_ranks(self):
        for name, total in KNOWN.items():
            for dtype in DTYPES:
                found = found_of(3, lambda partials, rank, call: total(partials), dtype)
                self.assertEqual(found.kind, "tree", f"{name} {dtype}: {found.words}")
                once = name.endswith("shot") and dtype in ("float16", "bfloat16")
                self.assertEqual(found.accumulators[0], "float32" if once else "message", f"{name} {dtype}")
        self.assertEqual(found_of(4, lambda p, rank, call: KNOWN["ring"](p)).segments,
                         [[0, 150, 0], [150, 300, 1], [300, 450, 2], [450, 600, 3]])

    def test_eight_ranks(self):
        found = found_of(8, lambda p, rank, call: by_hops([3, 1, 0, 2, 7, 6, 5, 4], p), "float16")
        self.assertEqual((found.trees, found.calls), (["((((((1+3)+0)+2)+7)+6)+5)+4"], 28 + 5 + 1))

    def test_in_place_sums_and_returned_ones(self):
        def work(ranks, data):
            def in_place(buffer):
                np.copyto(buffer, KNOWN["chain"](data.gather(ranks.rank, buffer.copy())))

            return probe_collective.probe(in_place, [8], ["float32"], "numpy", ranks=ranks, quiet=True)

        self.assertEqual(on_ranks(3, work)[1][0].trees, ["(1+2)+0"])


class Numbers(unittest.TestCase):
    def test_rounding_once_to_bfloat16(self):
        # Just above and at a tie of two bfloat16 numbers, by less than a float32 tells.
        values = np.array([1 + 2.0**-8, 1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-8 - 2.0**-40, -1 - 2.0**-8 - 2.0**-40, np.inf, -0.0])
        self.assertEqual([hex(word) for word in rounded(values, "bfloat16")],
                         ["0x3f80", "0x3f81", "0x3f80", "0xbf81", "0x7f80", "0x8000"])
        self.assertTrue(np.isnan(widened(rounded(np.array([np.nan]), "bfloat16"), "bfloat16")[0]))

    def test_random_numbers_are_those_of_the_program(self):  # tests/unit/probe has the same four
        self.assertEqual([word.hex() for word in random_words(2, 4, "float64").tolist()], PROGRAM_NUMBERS)


class Strange(unittest.TestCase):
    """Sums that no fold here can predict are named."""

    def test_an_accumulator_wider_than_the_message(self):
        found = found_of(4, lambda p, rank, call: np.sum(p, axis=0, dtype=np.float64).astype(np.float32), "float32")
        self.assertEqual((found.kind, found.accumulators, found.words), ("tree", ["float64"], "adds in float64, rounds once"))

    def test_rounded_once(self):
        def exact(partials, rank, call):
            return np.sum([p.astype(np.float64) for p in partials], axis=0).astype(np.float16)

        found = found_of(4, exact, "float16")
        self.assertEqual((found.kind, found.segments), ("rounded once", [[0, COUNT, -1]]))
        self.assertIn("rounded once: the exact sum", found.words)

    def test_another_dtype(self):
        def in_bfloat16(partials, rank, call):
            words = [narrow(p.astype(np.float32), np.empty(0, np.uint16)) for p in partials]
            return widen(by_hops([2, 0, 1], words)).astype(partials[0].dtype)

        for dtype in ("float32", "float64"):
            found = found_of(3, in_bfloat16, dtype)
            self.assertEqual((found.kind, found.trees), ("another dtype", ["(0+2)+1"]), found.words)
            self.assertIn("adds in bfloat16", found.words)
        half = found_of(3, lambda p, rank, call: by_hops([1, 2, 0], [q.astype(np.float16) for q in p]).astype(np.float32), "float32")
        self.assertEqual((half.kind, half.trees), ("another dtype", ["(1+2)+0"]), half.words)
        self.assertIn("adds in float16", half.words)

    def test_no_fixed_binary_tree(self):
        def scaled(partials, rank, call):  # fixed point: all are aligned to the largest, then cut
            top = np.max(np.abs(partials), axis=0)
            step = 2.0 ** (np.floor(np.log2(np.maximum(top, 1e-30))) - 12)
            total = by_hops([0, 1, 2, 3], partials)
            cut = (np.sum([np.trunc(p.astype(np.float64) / step) for p in partials], axis=0) * step).astype(np.float32)
            total[200:] = cut[200:]
            return total

        found = found_of(4, scaled, "float32")
        self.assertEqual((found.kind, found.segments), ("no tree", [[0, 200, 0], [200, COUNT, -1]]), found.words)
        self.assertIn("from element 200 on (66.667% of the elements)", found.words)

    def test_a_sum_that_changes_from_call_to_call(self):
        def changing(partials, rank, call):
            total = by_hops([0, 1, 2], partials)
            if call % 2:
                total[:60] = by_hops([1, 2, 0], partials)[:60]
            return total

        found = found_of(3, changing)
        self.assertEqual((found.kind, found.segments, found.trees), ("nondeterministic", [[0, COUNT, -1]], []))
        self.assertGreater(found.changed, 0.01)
        self.assertLessEqual(found.changed, 0.1)  # elements beyond the first 60 never change
        self.assertIn(f"nondeterministic: {found.changed:.3%} of the elements changed over 5 calls", found.words)

    def test_a_sum_that_changes_on_one_rank_alone(self):
        found = found_of(3, lambda p, rank, call: by_hops([0, 1, 2] if rank != 1 or call % 2 else [2, 1, 0], p))
        self.assertEqual(found.kind, "nondeterministic")

    def test_bits_that_no_tree_explains(self):
        def nudged(partials, rank, call):
            total = by_hops([0, 1, 2], partials)
            total[7:8] += np.where(np.abs(total[7:8]) % 1 == 0, 0, np.float32(2.0**-10))
            return total

        found = found_of(3, nudged, "float32")
        self.assertEqual((found.kind, found.first_unexplained), ("unexplained", 7))


    def test_cut_off_instead_of_rounded(self):
        def cut(partials, rank, call):
            total = by_hops([1, 0, 2], [widen(p) for p in partials])
            return (total.view(np.uint32) >> 16).astype(np.uint16)

        found = found_of(3, cut, "bfloat16")
        self.assertEqual((found.kind, found.trees, found.accumulators), ("cut off", ["(0+1)+2"], []), found.words)
        self.assertEqual(found.words, "adds in float32, then cuts off to bfloat16 without rounding")

    def test_ranks_with_orders_of_their_own(self):
        """As vLLM's CPU ranks: each begins with itself."""
        orders = "ranks hold different sums, added in orders of their own (rank 0 (0+1)+2; rank 1 (1+2)+0; rank 2 (0+2)+1)"
        for dtype, words in (("float32", "rounds at every add"), ("float16", "rounds at every add")):
            results = probe_sum_of(3, lambda p, rank, call: by_hops([rank, (rank + 1) % 3, (rank + 2) % 3], p),
                                   counts=[COUNT], dtypes=[dtype])
            for result in results:
                self.assertEqual((result[0].kind, result[0].words), ("ranks differ", f"{orders}: {words}"))


    def test_ranks_with_roundings_of_their_own(self):
        def mixed(partials, rank, call):
            total = by_hops([0, 1, 2], [widen(p) for p in partials])
            return (total.view(np.uint32) >> 16).astype(np.uint16) if rank == 1 else narrow(total, partials[0])

        for result in probe_sum_of(3, mixed, counts=[COUNT], dtypes=["bfloat16"]):
            self.assertEqual(result[0].words, "ranks hold different sums, added in another way (rank 0 (0+1)+2, which adds in float32, rounds once; "
                             "rank 1 (0+1)+2, which adds in float32, then cuts off to bfloat16 without rounding; "
                             "rank 2 (0+1)+2, which adds in float32, rounds once)")


class Wrong(unittest.TestCase):
    """Every rank says the same sentence."""

    def refused(self, words, total, size=3, **asked):
        results = probe_sum_of(size, total, **{"counts": [COUNT], "dtypes": ["float32"], **asked})
        for result in results:
            self.assertIsInstance(result, ProbeError)
            self.assertEqual(str(result), str(results[0]))
        self.assertIn(words, str(results[0]))

    def test_what_does_not_sum(self):
        def mean(p, rank, call):
            return np.mean(p, axis=0, dtype=np.float32)

        self.refused("does not sum (it gives back what it was given): element 0 of 600 float32 elements is 1, the ranks' sum is 6",
                     lambda p, rank, call: p[rank])
        self.refused("takes the mean", mean)
        self.refused("takes the maximum", lambda p, rank, call: np.max(p, axis=0))
        self.refused("only near the sum", lambda p, rank, call: np.sum(p, axis=0) + np.float32(0.01))
        self.refused("element 0 of 600 float32 elements is 0", lambda p, rank, call: p[0] * 0)

    def test_wrong_shapes_and_types(self):
        self.refused("gave (599,) of float32 for a message of 600 float32 elements", lambda p, rank, call: one_shot(p)[1:])
        self.refused("gave (600, 1) of float32", lambda p, rank, call: one_shot(p)[:, None])
        self.refused("gave (600,) of float64", lambda p, rank, call: one_shot(p).astype(np.float64))
        self.refused("gave a str", lambda p, rank, call: "sum")
        self.refused("rank 1: the callable gave (0,)", lambda p, rank, call: one_shot(p)[: 0 if rank == 1 and call == 3 else None])

    def test_a_callable_that_throws(self):
        def broken(p, rank, call):
            raise RuntimeError(f"no such kernel on rank {rank}")

        self.refused("rank 0: the callable failed on 600 float32 elements: RuntimeError: no such kernel on rank 0", broken)

    def test_ranks_that_hold_different_sums(self):
        """Where no order explains them."""
        self.refused("ranks 0 and 2 hold different sums of 600 float32 elements",
                     lambda p, rank, call: np.float32(0.1) * (np.float32(10) * one_shot(p)) if rank == 2 else one_shot(p))

    def test_what_cannot_be_asked_for(self):
        self.refused("dtypes ['int8']", lambda p, rank, call: one_shot(p), dtypes=["int8"])
        self.refused("counts [0]", lambda p, rank, call: one_shot(p), counts=[0])
        self.refused("repeats 1: use 2 to 900", lambda p, rank, call: one_shot(p), repeats=1)
        self.refused("over 9 ranks cannot be probed: 2 to 8 can", lambda p, rank, call: one_shot(p), size=9)
        results = on_ranks(2, lambda ranks, data: probe_collective.probe(one_shot, [4 + ranks.rank], ranks=ranks, device="numpy"))
        for result in results:
            self.assertIn("ranks were asked for different probes", str(result))


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "engine.json"

    def tearDown(self):
        self.folder.cleanup()

    def save(self, size=3, name="two-shot", **asked):
        results = probe_sum_of(size, lambda p, rank, call: KNOWN[name](p), save=self.file, library="engine", version="1", **asked)
        self.assertEqual(len({str(result) for result in results}), 1)
        return results[0]

    def test_probes_are_added_to_a_profile_of_the_same_sums(self):
        self.save(counts=[1, 600], dtypes=["bfloat16"])
        self.save(counts=[600, 601], dtypes=["bfloat16"])
        self.save(counts=[600], dtypes=["bfloat16"], captured=True)
        profile = json.loads(self.file.read_text())
        self.assertEqual([(item["count"], item.get("captured")) for item in profile["probed"]],
                         [(1, None), (600, None), (601, None), (600, True)])
        # One element is explained by every accumulator: the one that explains them all is written.
        self.assertEqual({item["accumulator"] for item in profile["probed"]}, {"float32"})
        self.assertEqual(os.listdir(self.folder.name), ["engine.json"])
        self.assertIn("profile of ranks 3, this is 2: save to another file", str(self.save(size=2, counts=[1])))
        self.file.write_text("{}")
        self.assertIn("is no collective profile", str(self.save(counts=[1])))

    def test_what_cannot_be_predicted_is_said_in_the_file(self):
        probe_sum_of(3, lambda p, rank, call: by_hops([0, 1, 2][:: 1 - 2 * (call % 2)], p), counts=[COUNT], dtypes=["float16"],
                     save=self.file)
        self.assertIn("nondeterministic", json.loads(self.file.read_text())["probed"][0]["seen"])

    def test_orders_are_described(self):
        found = found_of(3, lambda p, rank, call: KNOWN["ring"](p), "float32", 9)
        self.assertEqual(described(found, 2), "all-reduce of 9 float32 elements over 3 ranks: 9 calls, rounds at every add\n"
                         "  [0, 3) (0+1)+2\n  [3, 6) (1+2)+0\n  … 3 segments in all, 3 different trees\n")


class Usage(unittest.TestCase):
    def test_the_command_line(self):
        def told(*arguments: str) -> tuple[int, str]:
            environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
            ended = subprocess.run([sys.executable, probe_collective.__file__, *arguments], env=environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            return ended.returncode, ended.stdout

        self.assertIn("torchrun --nproc-per-node 4", told("--help")[1])
        self.assertEqual(told("--help")[0], 0)
        self.assertEqual(told("--count", "8"), (64, "error: no ranks: start it with torchrun --nproc-per-node 4"
                                                " scripts/python/probe_collective.py … (--help has examples)\n"))
        self.assertEqual(told("--tokens", "8")[0], 64)
        self.assertIn("--tokens and --hidden together", told("--tokens", "8")[1])
        self.assertEqual(told("--count", "0")[0], 64)
        self.assertEqual(told("--frobnicate")[0], 64)


PROGRAM_NUMBERS = ["-0x1.77ba1cc4b14ddp+0", "0x1.7537298b3796cp-5", "0x1.07e14c33764d9p-5", "0x1.74035cf4f9d5bp-7"]

if __name__ == "__main__":
    unittest.main(warnings="ignore")
