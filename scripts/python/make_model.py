"""scripts/make-model: seeded random checkpoints of any shape, as Hugging Face directories.

With the numpy generator (the default) the bytes depend on the options alone, on every machine: values come from
PCG64's raw words through integer sums, whose meaning no numpy version changes.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import time
import zlib
from pathlib import Path

import numpy as np

from checkpoint import to_stored, write_checkpoint, write_json

BEGIN = time.monotonic()
PRESETS: dict[str, dict[str, object]] = {
    # Llama-2-7B's shape
    "7b": {"hidden": 4096, "intermediate": 11008, "layers": 32, "heads": 32, "kv_heads": 32, "head_dim": 128,
           "vocab": 32000, "max_positions": 4096, "dtype": "bfloat16", "shards_files": 4},
}

Shape = tuple[int, ...]


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGIN:4.0f}s] {text}", flush=True)


def usage(text: str) -> None:
    print(f"error: {text}", file=sys.stderr)
    sys.exit(64)


# -- shapes --------------------------------------------------------------------------------------------------


def tensor_shapes(a: argparse.Namespace) -> list[tuple[str, Shape]]:
    query, key = a.heads * a.head_dim, a.kv_heads * a.head_dim
    shapes: list[tuple[str, Shape]] = [("model.embed_tokens.weight", (a.vocab, a.hidden))]
    for layer in range(a.layers):
        for name, shape in (
            ("input_layernorm", (a.hidden,)),
            ("self_attn.q_proj", (query, a.hidden)),
            ("self_attn.k_proj", (key, a.hidden)),
            ("self_attn.v_proj", (key, a.hidden)),
            ("self_attn.o_proj", (a.hidden, query)),
            ("post_attention_layernorm", (a.hidden,)),
            ("mlp.gate_proj", (a.intermediate, a.hidden)),
            ("mlp.up_proj", (a.intermediate, a.hidden)),
            ("mlp.down_proj", (a.hidden, a.intermediate)),
        ):
            shapes.append((f"model.layers.{layer}.{name}.weight", shape))
            if a.biases and len(shape) == 2:
                shapes.append((f"model.layers.{layer}.{name}.bias", shape[:1]))
    shapes.append(("model.norm.weight", (a.hidden,)))
    if not a.tied:
        shapes.append(("lm_head.weight", (a.vocab, a.hidden)))
    return shapes


def config_of(a: argparse.Namespace) -> dict[str, object]:
    """config.json as transformers 4 or 5 spells it."""
    config: dict[str, object] = {
        "architectures": [{"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM"}[a.architecture]],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "head_dim": a.head_dim,
        "hidden_act": "silu",
        "hidden_size": a.hidden,
        "intermediate_size": a.intermediate,
        "max_position_embeddings": a.max_positions,
        "model_type": a.architecture,
        "num_attention_heads": a.heads,
        "num_hidden_layers": a.layers,
        "num_key_value_heads": a.kv_heads,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": a.tied,
        "vocab_size": a.vocab,
    }
    if a.architecture == "llama":
        config |= {"attention_bias": a.biases, "mlp_bias": a.biases}
    else:
        config["sliding_window"] = a.sliding_window or None
    scaling: dict[str, object] | None = None
    if a.rope_scaling == "llama3":
        scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": max(1, a.max_positions // 8)}
    if a.config_style == "v4":
        config |= {"rope_theta": a.rope_theta, "rope_scaling": scaling, "torch_dtype": a.dtype}
    else:
        config |= {"rope_parameters": {**(scaling or {"rope_type": "default"}), "rope_theta": a.rope_theta},
                   "dtype": a.dtype}
    return config


# -- values --------------------------------------------------------------------------------------------------


def spread_of(name: str, shape: Shape, a: argparse.Namespace) -> float:
    """Standard deviation of a matrix (math.sqrt rounds the same everywhere, ** does not). Scaled: products of unit-variance inputs stay near unit variance."""
    if a.init == "normal0.02":
        return 0.02
    if name == "lm_head.weight" or (a.tied and name == "model.embed_tokens.weight"):
        return 3.0 / math.sqrt(a.hidden)  # logits spread as a trained model's do
    if name == "model.embed_tokens.weight":
        return 1.0
    scale = 1.0 / math.sqrt(shape[1])
    if "o_proj" in name or "down_proj" in name:
        scale /= math.sqrt(2 * a.layers)  # the residual stream grows by a constant over all layers
    return scale


def words_of(name: str, a: argparse.Namespace) -> np.random.PCG64:
    return np.random.PCG64(np.random.SeedSequence([a.seed, zlib.crc32(name.encode())]))


def unit_values(source: np.random.PCG64, count: int) -> np.ndarray:
    """Nearly normal, mean 0, variance 1: the sum of each word's four 16-bit quarters. Integers, so exact."""
    quarters = source.random_raw(count).astype("<u8", copy=False).view("<u2").reshape(count, 4)
    total = quarters.sum(axis=1, dtype=np.int64) - 2 * 65535
    return total / math.sqrt((65536.0 * 65536.0 - 1) / 3)


def random_tensor(name: str, shape: Shape, a: argparse.Namespace) -> np.ndarray:
    source = words_of(name, a)
    if len(shape) == 1:
        middle = 0.0 if name.endswith(".bias") else 1.0
        return to_stored(middle + 0.1 * unit_values(source, shape[0]), a.dtype)
    spread = spread_of(name, shape, a)
    rows, columns = shape
    block = max(1, (1 << 22) // columns)  # a few ten megabytes at a time
    parts = [to_stored(spread * unit_values(source, min(block, rows - row) * columns), a.dtype)
             for row in range(0, rows, block)]
    return np.concatenate(parts)


def exact_tensor(name: str, shape: Shape, a: argparse.Namespace) -> np.ndarray:
    """One power of two a row (none of a sum's terms but one is non-zero), so every order of adding is exact.

    Embedding and norm weights are powers of two all over: nothing is ever added up there.
    """
    source = words_of(name, a)

    def powers(count: int, low: int, high: int, signed: bool) -> np.ndarray:
        raw = source.random_raw(count)
        exponent = ((raw >> np.uint64(8)) % np.uint64(high - low + 1)).astype(np.int32) + low
        sign = np.where(raw & np.uint64(1), -1.0, 1.0) if signed else 1.0
        return np.ldexp(sign, exponent)

    if len(shape) == 1:
        return to_stored(powers(shape[0], -1, 1, signed=False), a.dtype)
    rows, columns = shape
    if name == "model.embed_tokens.weight":
        return to_stored(powers(rows * columns, -2, 1, signed=True), a.dtype)
    # Row r reads input r modulo the columns, over a shuffled order: every input is used before one is used twice.
    order = np.argsort(source.random_raw(columns), kind="stable")
    weight = np.zeros(shape)
    weight[np.arange(rows), order[np.arange(rows) % columns]] = powers(rows, -2, 1, signed=True)
    return to_stored(weight, a.dtype)


def cuda_generator(a: argparse.Namespace):
    """The same kind of values made by torch on the GPU: other bytes than numpy's, in seconds for 7B."""
    import torch

    if not torch.cuda.is_available():
        usage("--generator cuda: torch sees no GPU here; use --generator numpy")
    dtype = getattr(torch, a.dtype)

    def make(name: str, shape: Shape) -> np.ndarray:
        generator = torch.Generator("cuda").manual_seed((a.seed << 32) + zlib.crc32(name.encode()))
        values = torch.randn(shape, generator=generator, device="cuda")
        middle = 0.0 if name.endswith(".bias") else 1.0
        values = middle + 0.1 * values if len(shape) == 1 else spread_of(name, shape, a) * values
        stored = values.to(dtype).flatten()
        view = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.int16}[a.dtype]
        return stored.view(view).cpu().numpy()

    return make


# -- command line --------------------------------------------------------------------------------------------


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/make-model", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Writes a random Hugging Face checkpoint of any shape, from a seed. For tests and benchmarks: the "
                    "text it would write is noise, its arithmetic is a real model's.",
        epilog="example: scripts/make-model models/tiny --heads 9 --kv-heads 3 --vocab 259    "
               "example: scripts/make-model models/7b --preset 7b")
    parser.add_argument("output", type=Path, help="the directory to write (replaced if it is a checkpoint)")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="take the shape of a known model")
    add = parser.add_argument
    add("--architecture", choices=["llama", "mistral"], default="llama")
    add("--hidden", type=int, default=64, help="width of the residual stream")
    add("--intermediate", type=int, default=160, help="columns of the MLP")
    add("--layers", type=int, default=4)
    add("--heads", type=int, default=4, help="query heads")
    add("--kv-heads", type=int, help="key and value heads; default: as many as query heads")
    add("--head-dim", type=int, help="default: hidden / heads")
    add("--vocab", type=int, default=256)
    add("--max-positions", type=int, default=256, help="context length")
    add("--sliding-window", type=int, default=0, help="keys that a query sees, 0 for all (mistral)")
    add("--rope-theta", type=float, default=10000.0)
    add("--rope-scaling", choices=["none", "llama3"], default="none",
        help="llama3: factor 8 over an original context of max-positions / 8")
    add("--config-style", choices=["v4", "v5"], default="v4",
        help="keys as transformers 4 (rope_theta, torch_dtype) or 5 (rope_parameters, dtype) writes them")
    add("--biases", action="store_true", help="biases in all linear layers of attention and MLP (llama)")
    add("--tied", action="store_true", help="the head is the embedding: no lm_head.weight")
    add("--dtype", choices=["float32", "float16", "bfloat16"], default="float32")
    add("--seed", type=int, default=1)
    add("--shards-files", type=int, default=1, help="safetensors files, with an index where more than one")
    add("--init", choices=["scaled", "normal0.02"], default="scaled",
        help="scaled: activations stay near 1; normal0.02: transformers' initializer_range")
    add("--exact", action="store_true",
        help="one power of two a row: sums have one non-zero term, so every plan must give the same bits")
    add("--generator", choices=["auto", "numpy", "cuda"], default="auto",
        help="numpy: the same bytes everywhere; cuda: other values, made in seconds; auto: cuda for a preset where "
             "torch sees a GPU")
    preset = parser.parse_known_args()[0].preset
    if preset:
        parser.set_defaults(**PRESETS[preset])
    a = parser.parse_args()
    a.kv_heads = a.kv_heads or a.heads
    for name in ("hidden", "intermediate", "layers", "heads", "kv_heads", "vocab", "max_positions", "shards_files"):
        if getattr(a, name) < 1:
            usage(f"--{name.replace('_', '-')} {getattr(a, name)}: must be 1 or more")
    if a.heads % a.kv_heads:
        usage(f"--heads {a.heads} is not a multiple of --kv-heads {a.kv_heads}")
    if a.head_dim is None:
        if a.hidden % a.heads:
            usage(f"--hidden {a.hidden} is not a multiple of --heads {a.heads}: give --head-dim")
        a.head_dim = a.hidden // a.heads
    if a.head_dim % 2:
        usage(f"--head-dim {a.head_dim} is odd: rope turns pairs")
    if a.sliding_window and a.architecture != "mistral":
        usage("--sliding-window needs --architecture mistral")
    if a.exact and a.tied:
        usage("--exact needs an untied head: its embedding rows are full of powers of two")
    return a


def main() -> None:
    a = parse()
    if a.output.exists() and any(a.output.iterdir()) and not (a.output / "config.json").exists():
        usage(f"{a.output} exists and is no checkpoint (no config.json): give another directory")
    generator = a.generator
    if generator == "auto":
        generator = "numpy"
        if a.preset and not a.exact:
            try:
                import torch

                generator = "cuda" if torch.cuda.is_available() else "numpy"
            except ImportError:
                pass
    if generator == "cuda":
        make = cuda_generator(a)
    elif a.exact:
        make = lambda name, shape: exact_tensor(name, shape, a)  # noqa: E731
    else:
        make = lambda name, shape: random_tensor(name, shape, a)  # noqa: E731
    shapes = tensor_shapes(a)
    # Beside its place, renamed at the end: an interrupted run leaves no half checkpoint there.
    partial = a.output.with_name(a.output.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_json(partial / "config.json", config_of(a))
    write_checkpoint(partial, shapes, a.dtype, a.shards_files, make,
                     lambda name: say(f"{a.output / name} ({generator})"))
    shutil.rmtree(a.output, ignore_errors=True)
    partial.rename(a.output)
    parameters = sum(int(np.prod(shape)) for _, shape in shapes)
    say(f"{a.output}: {a.architecture}, {parameters / 1e6:.3g} million parameters in {a.dtype}, seed {a.seed}")


if __name__ == "__main__":
    main()
