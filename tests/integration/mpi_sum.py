#!/usr/bin/env python3
"""mpirun -np N mpi_sum.py PROFILE COUNT,…: probes OpenMPI's own MPI_Allreduce from Python, on float32 and float64 messages.

By ctypes: the same library, the same call, as the worker's, so `shardrift-run probe` must see the same orders.
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts/python"))
from probe_collective import Ranks, probe  # noqa: E402

MPI = ctypes.CDLL("libmpi.so.40", ctypes.RTLD_GLOBAL)
IN_PLACE = ctypes.c_void_p(1)
LONGEST = 4000  # bytes of what a rank has to say


def handle(name: str) -> ctypes.c_void_p:
    return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(MPI, name)))


WORLD, SUM, BYTE = handle("ompi_mpi_comm_world"), handle("ompi_mpi_op_sum"), handle("ompi_mpi_byte")
TYPES = {"float32": handle("ompi_mpi_float"), "float64": handle("ompi_mpi_double")}


def asked(function: str) -> int:
    value = ctypes.c_int()
    getattr(MPI, function)(WORLD, ctypes.byref(value))
    return value.value


def all_reduce(buffer: np.ndarray) -> None:
    code = MPI.MPI_Allreduce(IN_PLACE, buffer.ctypes.data_as(ctypes.c_void_p), len(buffer), TYPES[buffer.dtype.name], SUM, WORLD)
    if code != 0:
        raise RuntimeError(f"MPI_Allreduce: {code}")


def main(profile: str, counts: list[int]) -> None:
    MPI.MPI_Init(None, None)
    size = asked("MPI_Comm_size")

    def gather(value: object) -> list:
        said = json.dumps(value).encode().ljust(LONGEST)
        assert len(said) == LONGEST
        all_said = ctypes.create_string_buffer(LONGEST * size)
        MPI.MPI_Allgather(said, LONGEST, BYTE, all_said, LONGEST, BYTE, WORLD)
        return [json.loads(all_said.raw[LONGEST * rank : LONGEST * (rank + 1)]) for rank in range(size)]

    probe(all_reduce, counts, ["float32", "float64"], "numpy", "OpenMPI by ctypes", "4.1", profile, quiet=True,
          ranks=Ranks(asked("MPI_Comm_rank"), size, gather))
    MPI.MPI_Finalize()


main(sys.argv[1], [int(count) for count in sys.argv[2].split(",")])
