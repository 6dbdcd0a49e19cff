#!/usr/bin/env python3
"""In which order does an engine's all-reduce add? Probed from inside its workers, kept as a profile for shardrift.

Any function that sums a tensor over 2 to 8 ranks can be probed: it is called with tensors made for that, and what it makes of
them tells by which tree every element is added and where the sum rounds. `shardrift-run run --reduction profile
--collective-profile FILE` then computes on one device, bit for bit, what those ranks would. Needs NumPy and torch.

Inside an engine's workers, on every rank alike (docs/engines.md):

  from probe_collective import probe
  probe(all_reduce, counts=[1 * 4096, 17 * 4096], dtypes=["bfloat16"], device="cuda", library="vLLM custom all-reduce",
        version=vllm.__version__, save="engine.json")

Or torch.distributed's own all-reduce, from the command line:

  torchrun --nproc-per-node 4 scripts/python/probe_collective.py --backend gloo --count 1,4096,300000
  torchrun --nproc-per-node 4 scripts/python/probe_collective.py --backend nccl --tokens 1,17,1400 --hidden 4096 \\
      --dtype bfloat16 --save-profile nccl.json
  torchrun --nproc-per-node 4 scripts/python/probe_collective.py --backend nccl --all-reduce symm-two-shot --count 4096,524288 \\
      --dtype bfloat16 --captured --save-profile two-shot.json

N ranks need N (N-1) / 2 calls a message, one to see that it is a sum, and --repeats of random numbers to see that it is the same
sum every time. Exit codes: 0 done; with --check 2 where some sum cannot be predicted; 64 usage; 70 a failure: it is no sum, or
ranks hold different ones that no order explains.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collective_profile import save_profile
from sum_order import MOST_RANKS, NOT_BINARY, STORED, Fill, Found, Words, changed_words, probe_sum, rounded, widened

REPEATS = range(2, 901)  # calls with the same random numbers


class ProbeError(Exception):
    """Says in one sentence what cannot be probed."""


@dataclass
class Ranks:
    """Who takes part. gather(value) is called by every rank alike and gives all ranks' values; it is not what is probed."""

    rank: int
    size: int
    gather: Callable[[Any], list[Any]]

    @staticmethod
    def of_torch(group: Any = None) -> Ranks:
        """The ranks of a torch.distributed group (the default one)."""
        import torch.distributed as dist

        if not dist.is_initialized():
            raise ProbeError("torch.distributed is not initialised: call probe() where the engine's workers are up, or give ranks=")

        def gather(value: Any) -> list[Any]:
            values = [None] * dist.get_world_size(group)
            dist.all_gather_object(values, value, group=group)
            return values

        return Ranks(dist.get_rank(group), dist.get_world_size(group), gather)

    def together(self, step: Callable[[], Any]) -> Any:
        """What `step` gives; where any rank failed in it, all ranks do, with the first one's words."""
        result, failure = None, None
        try:
            result = step()
        except Exception as error:  # whatever the callable throws
            failure = str(error) if isinstance(error, (ProbeError, ValueError)) else f"{type(error).__name__}: {error}"
        for rank, said in enumerate(self.gather(failure)):
            if said is not None:
                raise ProbeError(said if self.size == 1 else f"rank {rank}: {said}")
        return result


# -- one message, as the callable sees it --------------------------------------------------------------------
class Message:
    """One buffer that every call sums, so that what was captured in a graph or registered once stays so."""

    def __init__(self, all_reduce: Callable, ranks: Ranks, count: int, dtype: str, device: str):
        self.all_reduce, self.ranks, self.count, self.dtype, self.device = all_reduce, ranks, count, dtype, device
        self.seen = hashlib.sha256()  # of every sum, to be the same on all ranks
        if device == "numpy":
            self.buffer: Any = np.empty(count, STORED[dtype])
            return
        import torch

        self.torch = torch
        self.buffer = torch.empty(count, dtype=getattr(torch, dtype), device=device)

    def total(self, fill: Fill) -> Words:
        """One sum: what this rank gives, and what the callable makes of it (returned, or left in the buffer where it is None)."""
        words = self.ranks.together(lambda: self.summed(fill(self.ranks.rank)))
        self.seen.update(words.tobytes())
        return words

    def summed(self, mine: Words) -> Words:
        if self.device == "numpy":
            np.copyto(self.buffer, mine)
        else:
            self.buffer.copy_(self.to_tensor(mine))
        try:
            made = self.all_reduce(self.buffer)
        except Exception as error:
            raise ProbeError(f"the callable failed on {self.count} {self.dtype} elements: {type(error).__name__}: {error}") from error
        return self.to_words(self.buffer if made is None else made)

    def to_tensor(self, words: Words) -> Any:
        if self.dtype == "bfloat16":
            return self.torch.from_numpy(words.view(np.int16)).view(self.torch.bfloat16)
        return self.torch.from_numpy(words)

    def to_words(self, made: Any) -> Words:
        wanted = f"{self.count} {self.dtype} elements"
        if not hasattr(made, "shape") or not hasattr(made, "dtype"):
            raise ProbeError(f"the callable gave a {type(made).__name__} for {wanted}: give the sum, or None where it is in place")
        shape, dtype = tuple(made.shape), str(made.dtype).removeprefix("torch.")
        stored = np.dtype(STORED[self.dtype]).name
        if shape != (self.count,) or dtype != (stored if self.device == "numpy" else self.dtype):
            raise ProbeError(f"the callable gave {shape} of {dtype} for a message of {wanted}: an all-reduce keeps shape and dtype")
        if self.device == "numpy":
            return made.copy()
        made = made.detach().cpu()  # waits for the device
        if self.dtype == "bfloat16":
            return made.view(self.torch.int16).numpy().view(np.uint16).copy()
        return made.numpy().copy()

    def require_sum(self) -> None:
        """Small whole numbers, whose sum is exact in every dtype and order."""
        pattern = np.arange(self.count) % 5
        given = [pattern + rank + 1.0 for rank in range(self.ranks.size)]
        made = widened(self.total(lambda rank: rounded(given[rank], self.dtype)), self.dtype)
        self.ranks.together(lambda: self.require_exact(made, given))

    def require_exact(self, made: np.ndarray, given: list[np.ndarray]) -> None:
        exact = np.sum(given, axis=0)
        other = np.flatnonzero(made != exact)
        if not other.size:
            return
        e = int(other[0])
        guesses = {"gives back what it was given": given[self.ranks.rank], "takes the mean": exact / self.ranks.size,
                   "takes the maximum": np.max(given, axis=0)}
        guesses = {words: widened(rounded(values, self.dtype), self.dtype) for words, values in guesses.items()}
        what = next((words for words, values in guesses.items() if np.array_equal(made, values)), "")
        if not what and np.allclose(made, exact, rtol=0.1):
            what = "is only near the sum: quantised?"
        raise ProbeError(f"the callable does not sum{' (it ' + what + ')' if what else ''}: element {e} of {self.count}"
                         f" {self.dtype} elements is {made[e]:g}, the ranks' sum is {exact[e]:g}")


class Progress:
    """A line every few seconds on rank 0's standard error."""

    def __init__(self, quiet: bool, messages: int):
        self.quiet, self.messages, self.message, self.said = quiet, messages, 0, time.monotonic()

    def __call__(self, count: int, dtype: str, call: int, of: int) -> None:
        if self.quiet or time.monotonic() - self.said < 2:
            return
        self.said = time.monotonic()
        print(f"probing message {self.message} of {self.messages} ({count} {dtype} elements): call {call} of {of}", file=sys.stderr,
              flush=True)


def probe_message(message: Message, repeats: int, progress: Progress) -> Found:
    """Probes one message on every rank and sees that all saw the same."""
    ranks = message.ranks

    message.require_sum()
    found = probe_sum(message.total, ranks.size, message.count, message.dtype, repeats,
                      lambda call, of: progress(message.count, message.dtype, call, of), lambda here: any(ranks.gather(here)))
    found.calls += 1  # require_sum's
    order = found.trees[0] if len(found.trees) == 1 else f"{len(found.trees)} orders in {len(found.segments)} parts"
    explained = found.kind in ("tree", "another dtype", "cut off")
    seen = ranks.gather((found.changed, message.seen.hexdigest(), explained, (found.trees, found.segments), order, found.words))
    changes, digests, all_explained, maps, orders, words = zip(*seen)
    found.changed = max(changes)
    if found.changed > 0:
        return found.named("nondeterministic", changed_words(found, repeats))
    other = next((rank for rank, digest in enumerate(digests) if digest != digests[0]), None)
    if other is None:
        return found
    same_order, same_words = all(one == maps[0] for one in maps), len(set(words)) == 1
    if not all(all_explained) or (same_order and same_words):  # neither order nor rounding says why
        raise ProbeError(f"ranks 0 and {other} hold different sums of {found.count} {found.dtype} elements")
    each = [f"rank {rank} {one}{'' if same_words else ', which ' + said}" for rank, (one, said) in enumerate(zip(orders, words))]
    what = "in another way" if same_order else "in orders of their own"
    return found.named("ranks differ", f"ranks hold different sums, added {what} ({'; '.join(each)})" + (f": {words[0]}" if same_words else ""))


def probe(all_reduce: Callable, counts: Sequence[int], dtypes: Sequence[str] = ("bfloat16",), device: str = "cpu",
          library: str = "unnamed all-reduce", version: str = "unknown", save: str | os.PathLike | None = None,
          captured: bool = False, repeats: int = 5, ranks: Ranks | None = None, quiet: bool = False) -> list[Found]:
    """Probes all_reduce(tensor), called by every rank alike, for every dtype and count; rank 0 adds them to the profile `save`.

    all_reduce is given a contiguous tensor of one dimension, the same one at every call of a message, and sums it in place (and
    returns None) or returns the sum. `device`: of the tensors; "numpy" gives arrays instead. `captured`: it replays a CUDA graph.
    Every rank gets what was found, in the order of dtypes and counts. Raises ProbeError, the same on every rank.
    """
    ranks = ranks or Ranks.of_torch()

    def checked() -> tuple:
        if not 2 <= ranks.size <= MOST_RANKS:
            raise ProbeError(f"a sum over {ranks.size} ranks cannot be probed: 2 to {MOST_RANKS} can")
        unknown = [dtype for dtype in dtypes if dtype not in STORED]
        if unknown or not dtypes:
            raise ProbeError(f"dtypes {list(dtypes)}: use {', '.join(STORED)}")
        if not counts or min(counts) < 1:
            raise ProbeError(f"counts {list(counts)}: a message has at least 1 element")
        if repeats not in REPEATS:
            raise ProbeError(f"repeats {repeats}: use {REPEATS[0]} to {REPEATS[-1]} calls")
        return tuple(counts), tuple(dtypes), repeats, captured

    asked = ranks.gather(ranks.together(checked))
    if any(one != asked[0] for one in asked):
        raise ProbeError(f"ranks were asked for different probes: {asked[0]} and {next(one for one in asked if one != asked[0])}")
    messages = [(count, dtype) for dtype in dict.fromkeys(dtypes) for count in sorted(set(counts))]
    progress = Progress(quiet or ranks.rank != 0, len(messages))
    found = []
    for count, dtype in messages:
        progress.message += 1
        found.append(probe_message(Message(all_reduce, ranks, count, dtype, device), repeats, progress))
    hosts = ",".join(sorted(set(ranks.gather(platform.node()))))
    if save is not None:
        ranks.together(lambda: ranks.rank or save_profile(Path(save), found, library=library, version=version, ranks=ranks.size,
                                                          device=device, machine=hosts, captured=captured))
    return found


def described(found: Found, most: int = 8) -> str:
    text = f"all-reduce of {found.count} {found.dtype} elements over {found.ranks} ranks: {found.calls} calls, {found.words}\n"
    for begin, end, tree in found.segments[:most]:
        text += f"  [{begin}, {end}) {'not binary' if tree == NOT_BINARY else found.trees[tree]}\n"
    if len(found.segments) > most:
        text += f"  … {len(found.segments)} segments in all, {len(found.trees)} different trees\n"
    return text


# -- torch.distributed from the command line -----------------------------------------------------------------
def numbers(text: str) -> list[int]:
    values = [int(part) for part in text.split(",")]
    if min(values) < 1:
        raise ValueError
    return values


numbers.__name__ = "list of numbers from 1"

BACKENDS = ("gloo", "nccl", "mpi")
LARGEST = 2**28  # elements of a message: every rank holds the numbers of all ranks, as float64


def usage_fault(options: argparse.Namespace) -> str:
    """What of the words cannot be, as far as that can be said without torch; empty: nothing."""
    if not options.counts or bool(options.tokens) != bool(options.hidden):
        return "give --count N[,N…], or --tokens and --hidden together"
    if max(options.counts) > LARGEST:
        return f"a message of {max(options.counts)} elements: at most {LARGEST} can be probed"
    unknown = [name for name in options.dtypes if name not in STORED]
    if unknown:
        return f"--dtype {unknown[0] or 'without a name'}: use {', '.join(STORED)}"
    if options.repeats not in REPEATS:
        return f"--repeats {options.repeats}: use {REPEATS[0]} to {REPEATS[-1]} calls"
    if options.backend not in BACKENDS:
        return f"--backend {options.backend}: use {', '.join(BACKENDS)}"
    if options.backend != "nccl" and (options.captured or not options.all_reduce_of_backend):
        given = "--captured" if options.captured else f"--all-reduce {options.all_reduce}"
        return f"{given}: runs on GPUs: add --backend nccl"
    if not {"RANK", "WORLD_SIZE"} <= set(os.environ):
        return "no ranks: start it with torchrun --nproc-per-node 4 scripts/python/probe_collective.py …"
    return file_fault(options.save_profile)


def file_fault(path: str | None) -> str:
    """Why the profile could not be written, on the first host, where rank 0 is (torchrun numbers hosts as GROUP_RANK)."""
    if path is None or os.environ.get("GROUP_RANK", "0") != "0":
        return ""
    folder = Path(path).parent
    if not path or Path(path).is_dir():
        return f"--save-profile {path or 'without a name'}: name a file"
    if not folder.is_dir():
        return f"--save-profile {path}: there is no folder {folder}: make it first"
    return "" if os.access(folder, os.W_OK) else f"--save-profile {path}: {folder} cannot be written to"


def machine_fault(backend: str) -> str:
    """Why this torch on this machine has no such backend; empty: it has. Before the ranks meet, where others would wait."""
    import torch
    import torch.distributed as dist

    if not getattr(dist, f"is_{backend}_available")():
        return f"--backend {backend}: this torch ({torch.__version__}) was built without it"
    if backend != "nccl":
        return ""
    wanted, gpus = int(os.environ.get("LOCAL_RANK", "0")) + 1, torch.cuda.device_count()
    return "" if gpus >= wanted else f"--backend nccl: needs a GPU for each rank; here {'is' if gpus == 1 else 'are'} {gpus or 'none'}"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    import torch_sums  # the command line alone needs it

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> None:
            self.exit(64, f"error: {message} (--help has examples)\n")

    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="gloo", help=f"torch.distributed's: {', '.join(BACKENDS)} (default gloo)")
    parser.add_argument("--all-reduce", choices=torch_sums.SUMS, default=torch_sums.LIBRARY, metavar="NAME",
                        help="; ".join(f"{name}: {words}" for name, words in torch_sums.SUMS.items())
                        + " (default library; all others need --backend nccl)")
    parser.add_argument("--captured", action="store_true", help="replay the sum from a CUDA graph (--backend nccl)")
    parser.add_argument("--init", default="env://", help="where ranks meet: env:// (default; torchrun sets it), file:///path/of/none")
    parser.add_argument("--count", type=numbers, default=[], help="elements of the message: N[,N…]")
    parser.add_argument("--tokens", type=numbers, default=[], help="instead of --count: rows of the pass, N[,N…] …")
    parser.add_argument("--hidden", type=numbers, default=[], help="… times the model's hidden size, N[,N…]")
    parser.add_argument("--dtype", default="float32", help=f"{', '.join(STORED)}, comma separated (default float32)")
    parser.add_argument("--repeats", type=int, default=5, help="calls with the same random numbers (default 5)")
    parser.add_argument("--save-profile", help="FILE.json to make, or to add these probes to")
    parser.add_argument("--segments", type=int, default=8, help="segments of an order that are printed (default 8)")
    parser.add_argument("--check", action="store_true", help="exit code 2 where some sum cannot be predicted")
    parser.add_argument("--quiet", action="store_true", help="only the result line")
    options = parser.parse_args(arguments)
    options.counts = options.count + [tokens * hidden for tokens in options.tokens for hidden in options.hidden]
    options.dtypes = [name.strip() for name in options.dtype.split(",")]
    options.all_reduce_of_backend = options.all_reduce == torch_sums.LIBRARY
    if fault := usage_fault(options) or machine_fault(options.backend):
        parser.error(fault)
    return options


def run(options: argparse.Namespace) -> int:
    os.environ.setdefault("TORCH_SYMM_MEM_DISABLE_MULTICAST", "1")  # multicast adds by no binary tree
    import torch
    import torch.distributed as dist

    import torch_sums

    device = torch.device("cpu")
    if options.backend == "nccl":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        device = torch.device("cuda", torch.cuda.current_device())
    placed = {"device_id": device} if device.type == "cuda" else {}  # a keyword that older versions of torch do not know
    dist.init_process_group(options.backend, options.init, rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"]),
                            **placed)
    try:
        of_nccl = options.backend == "nccl" and not options.all_reduce.startswith("symm")
        version = ".".join(map(str, torch.cuda.nccl.version())) if of_nccl else f"torch {torch.__version__}"
        library = torch_sums.library_name(options.backend, options.all_reduce)
        all_reduce = torch_sums.of_name(options.all_reduce)
        found = probe(torch_sums.Captured(all_reduce) if options.captured else all_reduce, options.counts, options.dtypes,
                      str(device), library, version, options.save_profile, options.captured, options.repeats, quiet=options.quiet)
        if dist.get_rank() == 0:
            folds = sum(one.kind == "tree" for one in found)
            text = "" if options.quiet else "".join(described(one, options.segments) for one in found)
            print(f'{text}result library="{library} {version}" messages={len(found)} calls={sum(one.calls for one in found)}'
                  f" predictable={folds}" + (f" profile={options.save_profile}" if options.save_profile else ""))
        return 2 if options.check and any(one.kind != "tree" for one in found) else 0
    except ProbeError as error:
        if dist.get_rank() == 0:
            print(f"error: {error}", file=sys.stderr)
        return 70
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(run(parse(None)))
