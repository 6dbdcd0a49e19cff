"""vLLM started for a measurement, by record_vllm.py and probe_vllm.py. Imports vLLM when it is started, not before."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from record_program import Refused
from this_machine import kept_variables

VARIABLES = ("VLLM_", "CUDA_", "CUBLAS_", "NCCL_", "OMP_", "MKL_", "ONEDNN_", "DNNL_", "TORCH_", "TORCHINDUCTOR_", "PYTORCH_", "ATEN_",
             "NVIDIA_TF32")
FED = "shardrift_fed"  # of SamplingParams.extra_args: the tokens that vllm_follow.py feeds


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
    flags = {"dtype": "--dtype", "tensor_parallel_size": "--tensor-parallel", "model": "--model"}
    for i, (name, _) in enumerate(a.option):
        if name in flags:
            raise Refused(f"--option {name}: say it by {flags[name]}", 64)
        if name in ours:
            raise Refused(f"--option {name}: is set by this script ({json.dumps(ours[name])})", 64)
        if any(name == other for other, _ in a.option[:i]):
            raise Refused(f"--option {name}: is given twice", 64)
    return dict(a.option) | ours


def check_heads(config: dict[str, Any], ranks: int) -> None:
    """vLLM cuts heads evenly, and copies those of keys and values to several ranks where there are fewer of them."""
    heads = config.get("num_attention_heads") or ranks
    shared = config.get("num_key_value_heads") or heads
    if heads % ranks != 0 or (shared % ranks != 0 and ranks % shared != 0):
        raise Refused(f"--tensor-parallel {ranks}: vLLM cannot cut {heads} heads and {shared} of keys and values into {ranks}: use another "
                      "number of ranks, or another model", 64)


def set_environment(a: argparse.Namespace) -> dict[str, str]:
    """Before anything imports torch, which reads the number of threads as it is loaded. Gives the variables to be recorded, before vLLM
    adds names of its own, that are others each time."""
    # The last: a text may reach the model's end, and a row of it is one more than vLLM takes.
    for name, value in (("VLLM_LOGGING_LEVEL", "ERROR"), ("VLLM_ENABLE_V1_MULTIPROCESSING", "0"), ("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "1")):
        os.environ.setdefault(name, value)
    if a.device == "cpu":
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB a rank; else nearly all of the machine's memory is filled
        os.environ["OMP_NUM_THREADS"] = str(a.threads)
    if "torch" in sys.modules:
        raise RuntimeError("torch was imported before its number of threads was set")
    return kept_variables(VARIABLES)


def start(a: argparse.Namespace, fixed: dict[str, Any], variables: dict[str, str]) -> Started:
    """In this process, with which it ends; ranks are processes of their own where there are several. `variables` is set_environment's."""
    settings = arguments(a, fixed)
    import vllm
    from vllm.platforms import current_platform

    if current_platform.device_type != a.device:
        raise Refused(f"--device {a.device}: this vLLM {vllm.__version__} runs on {current_platform.device_type or 'nothing here'}: name that, "
                      "or use a Python whose vLLM is built for it", 70)
    return Started(vllm, current_platform, vllm.LLM(**settings), settings, variables)
