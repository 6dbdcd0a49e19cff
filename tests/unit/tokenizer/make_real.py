#!/usr/bin/env python3
"""Writes data/real.ids.json: what `tokenizers` and `sentencepiece` make of data/multilingual.txt with real tokenizers.

    scripts/fetch-tokenizers
    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    python make_real.py [--text FILE --out FILE]

With --text, of another text, for a longer comparison: SHARDRIFT_TOKENIZER_TEXT=FILE SHARDRIFT_TOKENIZER_IDS=FILE test_tokenizer.
"""
import argparse
import json
import pathlib

import sentencepiece
import tokenizers

HERE = pathlib.Path(__file__).resolve().parent / "data"
ROOT = HERE.parents[3]
# A tokenizer.model has no tokenizer_config.json beside it: bos is put before a text, eos is not put behind it.
SPECIAL = ["<unk>", "<s>", "</s>"]


def encoder(path):
    if path.suffix == ".json":
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        return lambda text: tokenizer.encode(text).ids
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def encode(text):
        ids = [model.bos_id()]
        while text:
            at, name = min(((text.find(n), n) for n in SPECIAL if n in text), default=(len(text), ""))
            ids += model.encode(text[:at]) if at else []
            ids += [model.piece_to_id(name)] if name else []
            text = text[at + len(name):]
        return ids
    return encode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=pathlib.Path, default=HERE / "multilingual.txt")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "real.ids.json")
    args = parser.parse_args()
    whole = args.text.read_bytes().decode("utf-8")
    folder = ROOT / "models" / "tokenizers"
    files = sorted(folder.glob("*/tokenizer.*")) + [ROOT / "models" / "smollm2-135m" / "tokenizer.json"]
    rows = {}
    for path in files:
        encode = encoder(path)
        # All at once, and line by line.
        rows[str(path.relative_to(ROOT / "models"))] = [encode(whole)] + [encode(line) for line in whole.removesuffix("\n").split("\n")]
    document = {"made_by": f"tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}", "ids": rows}
    args.out.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
