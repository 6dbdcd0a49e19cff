"""vLLM started for a measurement, by record_vllm.py and probe_vllm.py. Imports vLLM when it is started, not before."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from typing import Any

from record_program import Refused

VARIABLES = ("VLLM_", "CUDA_", "CUBLAS_", "NCCL_", "OMP_", "MKL_", "ONEDNN_", "DNNL_", "TORCH_", "TORCHINDUCTOR_", "PYTORCH_", "ATEN_",
             "NVIDIA_TF32")


@dataclass
class Started:
    vllm: Any  # the package
    platform: Any
    llm: Any  # vllm.LLM
    settings: dict[str, Any]  # its arguments
    variables: dict[str, str]


def option(word: str) -> tuple[str, Any]:
    """NAME=VALUE, an argument of vllm.LLM: JSON, or else text."""
    name, separator, value = word.partition("=")
    if not separator or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{word}: NAME=VALUE is expected, an argument of vllm.LLM")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def arguments(a: argparse.Namespace, fixed: dict[str, Any]) -> dict[str, Any]:
    """vllm.LLM's: --option's, and what `fixed` says and the flags ask for, which no --option changes."""
    ours = {"model": str(a.model), "skip_tokenizer_init": True, "dtype": a.dtype, "tensor_parallel_size": a.tensor_parallel, "seed": 0,
            **fixed}
    for name, _ in a.option:
        if name in ours:
            raise Refused(f"--option {name}: is set by this script ({json.dumps(ours[name])})", 64)
    return dict(a.option) | ours


def start(a: argparse.Namespace, fixed: dict[str, Any]) -> Started:
    """In this process, with which it ends; its ranks are processes of their own where there are several, and always on CPUs."""
    settings = arguments(a, fixed)
    for name, value in (("VLLM_LOGGING_LEVEL", "ERROR"), ("VLLM_ENABLE_V1_MULTIPROCESSING", "0")):
        os.environ.setdefault(name, value)
    if a.device == "cpu":
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB a rank; else nearly all of the machine's memory is filled
        os.environ["OMP_NUM_THREADS"] = str(a.threads)
    # Before vLLM sets names of its own, that are others each time.
    variables = {key: value for key, value in os.environ.items() if key.startswith(VARIABLES)}
    import vllm
    from vllm.platforms import current_platform

    if current_platform.device_type != a.device:
        raise Refused(f"--device {a.device}: this vLLM {vllm.__version__} runs on {current_platform.device_type or 'nothing here'}: name that, "
                      "or use a Python whose vLLM is built for it", 70)
    return Started(vllm, current_platform, vllm.LLM(**settings), settings, variables)
