#!/usr/bin/env python3
"""Writes data/sentencepiece.*: tokenizers in the shape of Llama 2's, Mistral's, Gemma's, Phi-3's and InternLM2's, and the ids
that Hugging Face `tokenizers` and `sentencepiece` give for them.

    pip install mistral-common==1.13.1 tokenizers==0.23.3 sentencepiece==0.2.3 protobuf
    python make_families.py

Their vocabulary is cut from Mistral-7B-v0.1's own SentencePiece model, which mistral-common holds (Apache-2.0).
"""
import copy
import importlib.util
import json
import pathlib

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer

from make_fixtures import TEXTS, byte_level, merge_patch, sequence, split, write

HERE = pathlib.Path(__file__).parent / "data"
PIECES = 900  # the first of the merged ones
SPACE = "▁"

MORE = ["a<s>b</s> c", "<|user|>\n  hi <|end|>\n<|assistant|> x", " [L] x  [N] y [N]z", "▁a ▁▁b", "<0x0A><0xE6>", "<unk> <unk>x",
        "漢字と\n\n\nかな \u0000\u0001", "\u3000wide\u00a0", "𝒜😀a漢😀", "½ ① ﬁ Å e\u0301", "\n", "\n\n a"]


def cut_model():
    """The SentencePiece model with control pieces, bytes, the first merged pieces and the characters they consist of."""
    package = pathlib.Path(importlib.util.find_spec("mistral_common").submodule_search_locations[0])
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((package / "data" / "tokenizer.model.v1").read_bytes())
    normal = model.pieces[0].NORMAL
    merged = [p for p in model.pieces if p.type == normal and len(p.piece) > 1][:PIECES]
    letters = set("".join(p.piece for p in merged)) | set("漢字のé½Привет") | set(map(chr, range(0x21, 0x7F)))
    chosen = {p.piece for p in merged} | letters
    cut = copy.deepcopy(model)
    del cut.pieces[:]
    cut.pieces.extend(p for p in model.pieces if p.type != normal or p.piece in chosen)
    cut.trainer_spec.vocab_size = len(cut.pieces)
    return cut


def merges_of(vocabulary, scores):
    """As transformers converts a SentencePiece model: each way to cut a piece in two pieces, the best score first."""
    merges = []
    for piece in vocabulary:
        pairs = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in vocabulary and piece[i:] in vocabulary]
        merges += [(scores[piece], a, b) for a, b in sorted(pairs, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))]
    merges.sort(key=lambda merge: (merge[0], len(merge[1]), len(merge[2])), reverse=True)
    return [[a, b] for _, a, b in merges]


def token(content, id_, **flags):
    return {"id": id_, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": False} | flags


def template(*before, after=()):
    def special(name):
        return {"SpecialToken": {"id": name, "type_id": 0}}
    ids = {"<s>": 1, "</s>": 2}
    return {"type": "TemplateProcessing",
            "single": [special(n) for n in before] + [{"Sequence": {"id": "A", "type_id": 0}}] + [special(n) for n in after],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {n: {"id": n, "ids": [ids[n]], "tokens": [n]} for n in {*before, *after}}}


def decoder(*more):
    return {"type": "Sequence", "decoders": [replace(SPACE, " "), {"type": "ByteFallback"}, {"type": "Fuse"}, *more]}


def replace(old, new, kind="String"):
    return {"type": "Replace", "pattern": {kind: old}, "content": new}


def normalizer(*steps):
    return {"type": "Sequence", "normalizers": list(steps)}


PREPEND = {"type": "Prepend", "prepend": SPACE}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
NAMED = [token("<unk>", 0, special=True), token("<s>", 1, special=True), token("</s>", 2, special=True)]


def metaspace(scheme, split_=True):
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split_}


def variants(size):
    """Merge patches of the base, which is Llama 2's and Mistral-7B-v0.1's."""
    chat = [token(name, size + i, special=True, rstrip=True) for i, name in enumerate(["<|user|>", "<|end|>", "<|assistant|>"])]
    yield "llama 2, mistral", {}
    yield "mistral, later", {"normalizer": None, "pre_tokenizer": metaspace("first", False)}
    yield "phi-3", {"post_processor": template(), "added_tokens": NAMED[:2] + [token("</s>", 2, rstrip=True)] + chat}
    yield "internlm2", {"added_tokens": NAMED + chat, "post_processor": template("<s>")}
    yield "gemma 2, gemma 3", {"normalizer": replace(" ", SPACE), "pre_tokenizer": split(" ", "MergedWithPrevious", kind="String"),
                               "decoder": decoder(),
                               "added_tokens": NAMED + [token("\n\n", size), token("\n\n\n", size + 1), token(SPACE * 2, size + 2)]}
    for scheme in ["always", "first", "never"]:
        for split_ in [True, False]:
            space = metaspace(scheme, split_)
            yield f"metaspace {scheme} {split_}", {"normalizer": None, "pre_tokenizer": space, "decoder": space, "post_processor": None}
    yield "metaspace after a split", {"normalizer": None, "pre_tokenizer": sequence(split(r"\d|\n", "Isolated"), metaspace("first"))}
    yield "added and normalized", {"added_tokens": NAMED + [token("[N]", size, normalized=True), token("[L]", size + 1, lstrip=True),
                                                            token("y", size + 2, single_word=True, normalized=True)]}
    for fuse in [False, True]:
        yield f"unknown {fuse}", {"model": {"byte_fallback": False, "fuse_unk": fuse}}
        yield f"some bytes {fuse}", {"model": {"fuse_unk": fuse}, "without": ["<0xE6>", "<0x9D>"]}
    yield "neither bytes nor unknown", {"model": {"byte_fallback": False, "unk_token": None}}
    yield "whole words", {"model": {"ignore_merges": True}, "pre_tokenizer": split(SPACE, "MergedWithNext", kind="String")}
    for form in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase"]:
        yield form, {"normalizer": normalizer({"type": form}, PREPEND, replace(" ", SPACE))}
    yield "strip", {"normalizer": normalizer({"type": "Strip", "strip_left": True, "strip_right": False}, PREPEND)}
    yield "strip right", {"normalizer": normalizer({"type": "Strip", "strip_left": False, "strip_right": True})}
    yield "strip both", {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}, "decoder": STRIP | {"stop": 2}}
    yield "replace by pattern", {"normalizer": normalizer(replace(r"\s+", SPACE, "Regex"), replace("x*", "ab", "Regex")),
                                 "decoder": replace("[ab]|^", "<>", "Regex")}
    yield "byte level normalizer", {"normalizer": {"type": "ByteLevel"}, "decoder": byte_level()}
    yield "no decoder", {"decoder": None, "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]}}
    yield "bos and eos", {"decoder": {"type": "ByteFallback"}, "post_processor": template("<s>", after=["</s>"])}


def base(vocabulary, scores):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": NAMED,
            "normalizer": normalizer(PREPEND, replace(" ", SPACE)), "pre_tokenizer": None, "post_processor": template("<s>"),
            "decoder": decoder(STRIP),
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": vocabulary, "merges": merges_of(vocabulary, scores)}}


def patched(document, patch):
    document = merge_patch(document, {k: v for k, v in patch.items() if k != "without"})
    for piece in patch.get("without", []):
        del document["model"]["vocab"][piece]
    return document


def main():
    model = cut_model()
    (HERE / "sentencepiece.model").write_bytes(model.SerializeToString())
    vocabulary = {p.piece: i for i, p in enumerate(model.pieces)}
    document = base(vocabulary, {p.piece: p.score for p in model.pieces})
    write(HERE / "sentencepiece.tokenizer.json", document)
    texts = TEXTS[:20] + MORE + (HERE / "multilingual.txt").read_text(encoding="utf-8").split("\n")
    rows = []
    for name, patch in variants(len(vocabulary)):
        tokenizer = Tokenizer.from_str(json.dumps(patched(document, patch)))
        ids = [tokenizer.encode(t).ids for t in texts]
        decoded = [tokenizer.decode(i, skip_special_tokens=False) for i in ids]
        rows.append({"name": name, "patch": patch, "ids": ids, "decoded": [None if d == t else d for d, t in zip(decoded, texts)]})
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    plain = [processor.encode(t) for t in texts]
    write(HERE / "sentencepiece.ids.json",
          {"made_by": f"tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}", "texts": texts, "sentencepiece": plain, "variants": rows})


if __name__ == "__main__":
    main()
