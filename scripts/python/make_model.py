"""scripts/make-model: seeded random checkpoints of any shape, as Hugging Face directories.

With the numpy generator (the default) the bytes depend on the options alone, on every machine: values come from
PCG64's raw words through integer sums, whose meaning no numpy version changes.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
import zlib
from pathlib import Path

import numpy as np

from architectures import (ARCHITECTURES, BIAS, BLOCKS, EMBEDDING, EXPERTS, HEAD, NORM_FROM_ONE, OUTER, ROUTER, SCALES,
                           Tensor, tensors_of)
from checkpoint import DTYPES, Stored, to_stored, write_checkpoint, write_json
from model_config import ROPE_TYPES, config_of, rope_scaling

BEGIN = time.monotonic()
PRESETS: dict[str, dict[str, object]] = {
    # Llama-2-7B's shape
    "7b": {"hidden": 4096, "intermediate": 11008, "layers": 32, "heads": 32, "kv_heads": 32, "head_dim": 128,
           "vocab": 32000, "max_positions": 4096, "dtype": "bfloat16", "shards_files": 4},
    "qwen3-8b": {"architecture": "qwen3", "hidden": 4096, "intermediate": 12288, "layers": 36, "heads": 32, "kv_heads": 8,
                 "head_dim": 128, "vocab": 151936, "max_positions": 40960, "dtype": "bfloat16", "shards_files": 5},
    "gemma2-9b": {"architecture": "gemma2", "hidden": 3584, "intermediate": 14336, "layers": 42, "heads": 16, "kv_heads": 8,
                  "head_dim": 256, "vocab": 256000, "max_positions": 8192, "sliding_window": 4096, "dtype": "bfloat16",
                  "shards_files": 4},
    # Mixtures for a study on one GPU: 700 and 550 million parameters
    "mixtral-small": {"architecture": "mixtral", "hidden": 1024, "intermediate": 2048, "layers": 12, "heads": 16,
                      "kv_heads": 4, "head_dim": 64, "vocab": 32000, "max_positions": 4096, "experts": 8,
                      "experts_per_token": 2, "dtype": "bfloat16"},
    "qwen3-moe-small": {"architecture": "qwen3-moe", "hidden": 1024, "intermediate": 3072, "layers": 12, "heads": 16,
                        "kv_heads": 4, "head_dim": 64, "vocab": 32000, "max_positions": 4096, "experts": 32,
                        "experts_per_token": 4, "expert_intermediate": 384, "renormalize": True, "dtype": "bfloat16"},
}


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGIN:4.0f}s] {text}", flush=True)


def usage(text: str) -> None:
    print(f"error: {text}", file=sys.stderr)
    sys.exit(64)


# -- values --------------------------------------------------------------------------------------------------


def spread_of(tensor: Tensor, a: argparse.Namespace) -> float:
    """Standard deviation of a matrix (math.sqrt rounds the same everywhere, ** does not). Scaled: products of
    unit-variance inputs stay near unit variance."""
    if a.init == "normal0.02":
        return 0.02
    if tensor.role == EMBEDDING and ARCHITECTURES[a.architecture].scales_embedding:
        return 1.0 / math.sqrt(a.hidden)  # the stream begins at unit variance
    if tensor.role == HEAD or (a.tied and tensor.role == EMBEDDING):
        return 3.0 / math.sqrt(a.hidden)  # logits spread as a trained model's do
    if tensor.role == EMBEDDING:
        return 1.0
    scale = 1.0 / math.sqrt(tensor.inputs or math.prod(tensor.shape[1:]))
    if tensor.role == ROUTER:
        return 2 * scale  # the experts' logits spread as a trained router's do
    if tensor.role == OUTER:
        scale /= math.sqrt(2 * a.layers)  # the residual stream grows by a constant over all layers
    return scale


def middle_of(tensor: Tensor) -> float:
    return 0.0 if tensor.role in (BIAS, NORM_FROM_ONE) else 1.0


def words_of(name: str, a: argparse.Namespace) -> np.random.PCG64:
    return np.random.PCG64(np.random.SeedSequence([a.seed, zlib.crc32(name.encode())]))


def unit_values(source: np.random.PCG64, count: int) -> np.ndarray:
    """Nearly normal, mean 0, variance 1: the sum of each word's four 16-bit quarters. Integers, so exact."""
    quarters = source.random_raw(count).astype("<u8", copy=False).view("<u2").reshape(count, 4)
    total = quarters.sum(axis=1, dtype=np.int64) - 2 * 65535
    return total / math.sqrt((65536.0 * 65536.0 - 1) / 3)


def is_vector(tensor: Tensor) -> bool:
    return len(tensor.shape) == 1 or tensor.role == BIAS  # experts' biases lie below one another


def code_bytes(tensor: Tensor, source: np.random.PCG64, a: argparse.Namespace) -> np.ndarray:
    """Of MXFP4: any bytes, and exponents around that which gives the matrix its spread."""
    raw = source.random_raw(math.prod(tensor.shape))
    if tensor.role == BLOCKS:
        return (raw & np.uint64(0xFF)).astype(np.uint8)
    rms = 2.93  # of the sixteen numbers
    middle = round(math.log2(spread_of(tensor, a) / rms)) + 127
    return (middle - 1 + (raw % np.uint64(3)).astype(np.int64)).astype(np.uint8)


def random_tensor(tensor: Tensor, dtype: str, a: argparse.Namespace) -> np.ndarray:
    source = words_of(tensor.drawn_by, a)
    if tensor.role in (BLOCKS, SCALES):
        return code_bytes(tensor, source, a)
    if is_vector(tensor):
        return to_stored(middle_of(tensor) + 0.1 * unit_values(source, math.prod(tensor.shape)), dtype)
    spread = spread_of(tensor, a)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    block = max(1, (1 << 22) // columns)  # a few ten megabytes at a time
    parts = [to_stored(spread * unit_values(source, min(block, rows - row) * columns), dtype)
             for row in range(0, rows, block)]
    return np.concatenate(parts)


def exact_tensor(tensor: Tensor, dtype: str, a: argparse.Namespace) -> np.ndarray:
    """One power of two a row (none of a sum's terms but one is non-zero), so every order of adding is exact.

    Embedding and norm weights are powers of two all over: nothing is ever added up there.
    """
    source, shape = words_of(tensor.drawn_by, a), tensor.shape

    def powers(count: int, low: int, high: int, signed: bool) -> np.ndarray:
        raw = source.random_raw(count)
        exponent = ((raw >> np.uint64(8)) % np.uint64(high - low + 1)).astype(np.int32) + low
        sign = np.where(raw & np.uint64(1), -1.0, 1.0) if signed else 1.0
        return np.ldexp(sign, exponent)

    if len(shape) == 1:
        return to_stored(powers(shape[0], -1, 1, signed=False), dtype)
    rows, columns = shape
    if tensor.role == EMBEDDING:
        return to_stored(powers(rows * columns, -2, 1, signed=True), dtype)
    # Row r reads input r modulo the columns, over a shuffled order: every input is used before one is used twice.
    order = np.argsort(source.random_raw(columns), kind="stable")
    weight = np.zeros(shape)
    weight[np.arange(rows), order[np.arange(rows) % columns]] = powers(rows, -2, 1, signed=True)
    return to_stored(weight, dtype)


def cuda_generator(a: argparse.Namespace):
    """The same kind of values made by torch on the GPU: other bytes than numpy's, in seconds for 7B."""
    import torch

    if not torch.cuda.is_available():
        usage("--generator cuda: torch sees no GPU here; use --generator numpy")

    def make(tensor: Tensor, dtype: str) -> np.ndarray:
        generator = torch.Generator("cuda").manual_seed((a.seed << 32) + zlib.crc32(tensor.drawn_by.encode()))
        values = torch.randn(tensor.shape, generator=generator, device="cuda")
        values = middle_of(tensor) + 0.1 * values if is_vector(tensor) else spread_of(tensor, a) * values
        stored = values.to(getattr(torch, dtype)).flatten()
        return (stored.view(torch.int16) if dtype == "bfloat16" else stored).cpu().numpy()

    return make


# -- command line --------------------------------------------------------------------------------------------


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/make-model", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Writes a random Hugging Face checkpoint of any shape, from a seed. For tests and benchmarks: the "
                    "text it would write is noise, its arithmetic is a real model's.",
        epilog="example: scripts/make-model models/tiny --heads 9 --kv-heads 3 --vocab 259    "
               "example: scripts/make-model models/qwen3-8b --preset qwen3-8b")
    parser.add_argument("output", type=Path, help="the directory to write (replaced if it is a checkpoint)")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="take the shape of a known model")
    add = parser.add_argument
    add("--architecture", choices=list(ARCHITECTURES), default="llama",
        help="gemma3-wrapper: the text model of gemma3 inside the one that sees images too, with a few tensors of the rest")
    add("--hidden", type=int, default=64, help="width of the residual stream")
    add("--intermediate", type=int, default=160, help="columns of the MLP")
    add("--layers", type=int, default=4)
    add("--heads", type=int, default=4, help="query heads")
    add("--kv-heads", type=int, help="key and value heads; default: as many as query heads")
    add("--head-dim", type=int, help="default: hidden / heads")
    add("--vocab", type=int, default=256)
    add("--eps", type=float, default=1e-5, help="of the RMS norms")
    add("--max-positions", type=int, default=256, help="context length")
    add("--sliding-window", type=int, default=0, help="keys that a query sees, 0 for all, or the architecture's default")
    add("--max-window-layers", type=int, help="the first layer that has the window (qwen2, qwen3); default: none has")
    add("--window-pattern", type=int, default=6, help="every how manieth layer sees all keys (gemma3)")
    add("--experts", type=int, default=8, help="of each layer that has some (mixtral, qwen3-moe, gpt-oss)")
    add("--experts-per-token", type=int, default=2)
    add("--expert-intermediate", type=int, default=48, help="columns of an expert's MLP (qwen3-moe)")
    add("--sparse-step", type=int, default=1, help="every how manieth layer has experts (qwen3-moe)")
    add("--dense-layers", type=json.loads, default=[], metavar="JSON", help="layers without experts: '[0,3]' (qwen3-moe)")
    add("--renormalize", action="store_true", help="the chosen experts' weights add up to 1 (qwen3-moe: norm_topk_prob)")
    add("--mxfp4", action="store_true", help="experts' weights as published ones have them: 4 bits and scales (gpt-oss)")
    add("--rope-theta", type=float, default=10000.0)
    add("--rope-local-theta", type=float, default=10000.0, help="of the layers with a window (gemma3)")
    add("--rope-scaling", choices=ROPE_TYPES, default="none", help="gemma3, olmo3: of the layers that see all keys")
    add("--rope-parameters", type=json.loads, default={}, metavar="JSON",
        help="replaces or adds parameters of --rope-scaling, as config.json spells them: '{\"factor\":2.5}'")
    add("--original-positions", type=int, default=0,
        help="context length before rope scaling; default: max-positions / 8 (yarn, llama3, longrope)")
    add("--partial-rotary-factor", type=float, default=1.0, help="share of a head that rope turns (phi3)")
    add("--config-style", choices=["v4", "v5"], default="v4",
        help="keys as transformers 4 (rope_theta, torch_dtype) or 5 (rope_parameters, layer_types, dtype) writes them")
    add("--set", action="append", default=[], metavar="KEY=JSON", help="a key of config.json as it shall be; may be repeated")
    add("--attention-bias", action="store_true", help="biases in attention's linear layers (qwen2 always has some)")
    add("--mlp-bias", action="store_true", help="biases in the MLP's linear layers (llama, granite)")
    add("--biases", action="store_true", help="both")
    add("--tied", action=argparse.BooleanOptionalAction, default=False, help="the head is the embedding: no lm_head.weight")
    add("--dtype", choices=[*DTYPES, "mixed"], default="float32",
        help="mixed: tensor by tensor float64, float32, float16, bfloat16")
    add("--seed", type=int, default=1)
    add("--shards-files", type=int, default=1, help="safetensors files, with an index where more than one")
    add("--init", choices=["scaled", "normal0.02"], default="scaled",
        help="scaled: activations stay near 1; normal0.02: transformers' initializer_range")
    add("--exact", action="store_true",
        help="one power of two a row: sums have one non-zero term, so every plan must give the same bits")
    add("--generator", choices=["auto", "numpy", "cuda"], default="auto",
        help="numpy: the same bytes everywhere; cuda: other values, made in seconds; auto: cuda for a preset where "
             "torch sees a GPU")
    known = parser.parse_known_args()[0]
    shape = PRESETS[known.preset] if known.preset else {}
    kind = ARCHITECTURES[str(shape.get("architecture", known.architecture))]
    parser.set_defaults(**kind.defaults)
    parser.set_defaults(**shape)
    a = parser.parse_args()
    a.kv_heads = a.kv_heads or a.heads
    a.attention_bias |= a.biases
    a.mlp_bias |= a.biases
    a.set = dict(setting(text) for text in a.set)
    check(a, parser)
    return a


def setting(text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        usage(f"--set {text}: a key of config.json, =, and its value as JSON is expected")
        raise


def check(a: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    for name in ("hidden", "intermediate", "layers", "heads", "kv_heads", "vocab", "max_positions", "shards_files",
                 "window_pattern", *EXPERTS, "expert_intermediate", "sparse_step"):
        if getattr(a, name) < 1:
            usage(f"--{name.replace('_', '-')} {getattr(a, name)}: must be 1 or more")
    if a.heads % a.kv_heads:
        usage(f"--heads {a.heads} is not a multiple of --kv-heads {a.kv_heads}")
    accepts = ARCHITECTURES[a.architecture].accepts
    if a.head_dim is None:
        if a.hidden % a.heads:
            usage(f"--hidden {a.hidden} is not a multiple of --heads {a.heads}: give --head-dim")
        a.head_dim = a.hidden // a.heads
    elif "head_dim" not in accepts and a.head_dim * a.heads != a.hidden:
        usage(f"--head-dim {a.head_dim}: {a.architecture} has hidden / heads")
    if a.head_dim % 2:
        usage(f"--head-dim {a.head_dim} is odd: rope turns pairs")
    for name in ("sliding_window", "max_window_layers", "window_pattern", "rope_local_theta", "partial_rotary_factor",
                 "attention_bias", "mlp_bias", *EXPERTS, "expert_intermediate", "sparse_step", "dense_layers", "renormalize",
                 "mxfp4"):
        if name not in accepts and getattr(a, name) != parser.get_default(name):
            having = [other for other, kind in ARCHITECTURES.items() if name in kind.accepts]
            usage(f"--{name.replace('_', '-')} needs --architecture {' or '.join(having)}")
    if a.rope_parameters and rope_scaling(a) is None:
        usage("--rope-parameters needs --rope-scaling")
    if a.experts_per_token > a.experts:
        usage(f"--experts-per-token {a.experts_per_token}: there are {a.experts} experts")
    if a.mxfp4 and (a.hidden % 32 or a.intermediate % 32 or a.generator == "cuda"):
        usage("--mxfp4: has groups of 32, so --hidden and --intermediate must be multiples of it; made by numpy")
    if a.exact and "experts" in accepts:
        usage(f"--exact: a row of {a.architecture} is a sum over experts")
    if a.exact and a.tied:
        usage("--exact needs an untied head: its embedding rows are full of powers of two")
    if a.exact and ARCHITECTURES[a.architecture].norm_role == NORM_FROM_ONE:
        usage(f"--exact: the norms of {a.architecture} multiply by 1 + w, which is no power of two")


def main() -> None:
    a = parse()
    if a.output.exists() and any(a.output.iterdir()) and not (a.output / "config.json").exists():
        usage(f"{a.output} exists and is no checkpoint (no config.json): give another directory")
    generator = a.generator
    if generator == "auto":
        generator = "numpy"
        if a.preset and not a.exact and not a.mxfp4:
            try:
                import torch

                generator = "cuda" if torch.cuda.is_available() else "numpy"
            except ImportError:
                pass
    if generator == "cuda":
        make = cuda_generator(a)
    else:
        values = exact_tensor if a.exact else random_tensor
        make = lambda tensor, dtype: values(tensor, dtype, a)  # noqa: E731
    tensors = tensors_of(a)
    stored = [Stored(tensor.name, tensor.shape,
                     tensor.dtype or (DTYPES[number % len(DTYPES)] if a.dtype == "mixed" else a.dtype),
                     lambda tensor=tensor, number=number: make(tensor, stored[number].dtype))
              for number, tensor in enumerate(tensors)]
    # Beside its place, renamed at the end: an interrupted run leaves no half checkpoint there.
    partial = a.output.with_name(a.output.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_json(partial / "config.json", config_of(a))
    write_checkpoint(partial, stored, a.shards_files, lambda name: say(f"{a.output / name} ({generator})"))
    shutil.rmtree(a.output, ignore_errors=True)
    partial.rename(a.output)
    parameters = sum(math.prod(tensor.shape) for tensor in tensors)
    say(f"{a.output}: {a.architecture}, {parameters / 1e6:.3g} million parameters in {a.dtype}, seed {a.seed}")


if __name__ == "__main__":
    main()
