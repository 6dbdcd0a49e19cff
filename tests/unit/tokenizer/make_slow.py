#!/usr/bin/env python3
"""Writes data/slow.ids.json: ids of transformers' last Python tokenizer for SentencePiece models (transformers 5 has it no more).

    pip install transformers==4.46.3 sentencepiece==0.2.0 protobuf
    python make_slow.py
"""
import json
import pathlib
import shutil
import tempfile

import transformers
from transformers import LlamaTokenizer

HERE = pathlib.Path(__file__).parent / "data"
SIZE = len(json.loads((HERE / "sentencepiece.tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
MORE = ["<|user|> hi<|end|>  x <|assistant|>", "a <s> b", "<s>", "<s> a", " <s>a", "x</s>  y", "<|user|>", "▁<s>",
        "  <|user|>\n\n<|end|> ", "<|pad|>x", " </s>", " x", "▁x", "<|end|>x"]


def token(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True} | flags


NAMED = {"0": token("<unk>"), "1": token("<s>"), "2": token("</s>")}
CHAT = NAMED | {str(SIZE): token("<|user|>", rstrip=True), str(SIZE + 1): token("<|end|>", rstrip=True),
                str(SIZE + 2): token("<|assistant|>", lstrip=True, special=False)}
# tokenizer_config.json, added_tokens.json
CASES = [({}, {}),
         ({"legacy": True, "add_bos_token": True, "add_eos_token": True, "added_tokens_decoder": NAMED}, {}),
         ({"legacy": True, "add_bos_token": False, "added_tokens_decoder": CHAT, "eos_token": "<|end|>"}, {}),
         ({"legacy": False, "add_bos_token": True, "added_tokens_decoder": CHAT, "pad_token": "<|end|>"}, {}),
         ({"legacy": False, "add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": NAMED}, {}),
         ({"pad_token": "<|pad|>"}, {}),
         ({}, {"<|user|>": SIZE, "<|end|>": SIZE + 1})]


def main():
    texts = json.loads((HERE / "sentencepiece.ids.json").read_text(encoding="utf-8"))["texts"] + MORE
    rows = []
    for config, added in CASES:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(HERE / "sentencepiece.model", pathlib.Path(folder) / "tokenizer.model")
            (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
            if added:
                (pathlib.Path(folder) / "added_tokens.json").write_text(json.dumps(added), encoding="utf-8")
            tokenizer = LlamaTokenizer.from_pretrained(folder)
            rows.append({"config": config, "added": added, "ids": [tokenizer.encode(text) for text in texts]})
    document = {"made_by": f"transformers {transformers.__version__}", "texts": texts, "cases": rows}
    (HERE / "slow.ids.json").write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
