"""The all-reduces that torch.distributed has beside its backend's, by name, for probe_collective.py's command line.

Symmetric memory is CUDA memory that every rank of a host can read (torch.distributed._symmetric_memory); sums there are kernels of
torch's, or, of buffers registered as windows, NCCL's symmetric kernels. The API is torch 2.11's; it is marked unstable there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LIBRARY = "library"
SUMS = {LIBRARY: "the backend's own all_reduce",
        "symm-one-shot": "torch's symmetric memory, every rank adds all of the message",
        "symm-two-shot": "torch's symmetric memory, every rank adds a part",
        "nccl-window": "NCCL's, of a buffer registered as a window: its symmetric kernels"}


def library_name(backend: str, name: str) -> str:
    """As what a profile keeps it."""
    return {LIBRARY: backend, "nccl-window": "nccl, registered windows"}.get(name, f"torch symmetric memory, {name[5:]}")


class SymmetricSum:
    """Copies the message to a buffer that every rank can read, one for each message, and sums there.

    `operation(buffer)` gives the sum, or None where it is left in the buffer.
    """

    def __init__(self, allocate: Callable[[Any], Any], operation: Callable[[Any], Any]):
        self.allocate, self.operation, self.buffers = allocate, operation, {}

    def __call__(self, tensor: Any) -> Any:
        message = (tuple(tensor.shape), tensor.dtype)
        if message not in self.buffers:
            self.buffers[message] = self.allocate(tensor)  # on every rank alike: the ranks meet in it
        buffer = self.buffers[message]
        buffer.copy_(tensor)
        made = self.operation(buffer)
        return buffer if made is None else made


class Captured:
    """Replays `all_reduce` from a CUDA graph, one for each tensor, which it keeps alive."""

    def __init__(self, all_reduce: Callable[[Any], Any]):
        self.all_reduce, self.graphs = all_reduce, {}

    def __call__(self, tensor: Any) -> Any:
        if id(tensor) not in self.graphs:
            self.graphs[id(tensor)] = (tensor, *self.capture(tensor))
        _, graph, made = self.graphs[id(tensor)]
        graph.replay()
        return made

    def capture(self, tensor: Any) -> tuple[Any, Any]:
        import torch

        given = tensor.clone()
        self.all_reduce(tensor)  # allocates and registers, which cannot be captured
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            made = self.all_reduce(tensor)
        tensor.copy_(given)  # the first call may have summed in place
        return graph, made


def of_name(name: str) -> Callable[[Any], Any]:
    """The all-reduce of that name over torch.distributed's default group, which is initialised (NCCL's, with its device)."""
    import torch
    import torch.distributed as dist

    def library(tensor: Any) -> None:
        dist.all_reduce(tensor)

    if name == LIBRARY:
        return library
    import torch.distributed._symmetric_memory as symmetric

    group = dist.group.WORLD.group_name
    backend = "NCCL" if name == "nccl-window" else "CUDA"
    if symmetric.get_backend("cuda") != backend:  # the default is in use already, and set_backend does not find it
        symmetric.set_backend(backend)

    def allocate(tensor: Any) -> Any:
        buffer = symmetric.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
        symmetric.rendezvous(buffer, group)
        return buffer

    if name == "nccl-window":
        library(torch.ones(1, device="cuda"))  # registering waits for ever where the communicator is not yet made
        return SymmetricSum(allocate, library)
    if name == "symm-one-shot":
        return SymmetricSum(allocate, lambda buffer: torch.ops.symm_mem.one_shot_all_reduce(buffer, "sum", group))
    return SymmetricSum(allocate, lambda buffer: torch.ops.symm_mem.two_shot_all_reduce_(buffer, "sum", group))
