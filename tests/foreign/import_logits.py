#!/usr/bin/env python3
"""shardrift import of .npy and safetensors logits: the record has their words and tokens; anything else is one error that
names file, value and fix: tests/foreign/import_logits.py SOURCE BUILD"""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

from program import Scratch, says

import h5py
import numpy as np

VOCABULARY = 13
random = np.random.default_rng(5)


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Its words, rounded towards zero."""
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def save_safetensors(path: Path, tensors: dict) -> None:
    """{name: array, or (dtype, array of its words)}"""
    names = {np.float64: "F64", np.float32: "F32", np.float16: "F16", np.int64: "I64", np.int32: "I32", np.uint8: "U8"}
    header, data = {}, b""
    for name, value in tensors.items():
        dtype, array = value if isinstance(value, tuple) else (names[value.dtype.type], value)
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += np.ascontiguousarray(array).tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def logits_of(rows: int) -> np.ndarray:
    return random.standard_normal((rows, VOCABULARY)).astype(np.float32)


ENGINE = ("--engine", "some engine 1.0, TP=2")


def check_generated(scratch: Scratch) -> None:
    """Of two prompts in a safetensors file: greedy, one without its generated tokens."""
    a, b = logits_of(4), logits_of(2)
    save_safetensors(scratch / "run.safetensors",
                     {"a.logits": a, "a.prompt": np.array([[3, 1, 4]]), "a.generated": a.argmax(1), "a.hidden": a,
                      "b.logits": b[None], "b.prompt": np.array([7], np.int32)})
    output = scratch.run("import", "run.safetensors", "--output", "run.h5", *ENGINE)
    says(output, "run.h5: 2 prompts, 6 rows, float32 logits, mode greedy", 'tensor "a.hidden" is none of logits')
    with h5py.File(scratch / "run.h5") as file:
        prompt = file["prompts/a"]
        assert (prompt["logits"][:] == a).all() and prompt["tokens"][:].tolist() == [3, 1, 4]
        assert prompt["input_ids"][:].tolist() == [4, *a.argmax(1)[:-1]]
        assert prompt["positions"][:].tolist() == [2, 3, 4, 5] and prompt["chosen"][:].tolist() == a.argmax(1).tolist()
        assert file["prompts/b/input_ids"][:].tolist() == [7, b[0].argmax()]
        assert json.loads(file.attrs["plan"]) == {"engine": "some engine 1.0, TP=2"}
    says(scratch.run("inspect", "run.h5", "--validate"), "it can be analysed")
    says(scratch.run("inspect", "run.h5", "--verify"), "2 of 2 prompts are what their hashes say")
    # The same again is done already; other words under the name are another run.
    scratch.run("import", "run.safetensors", "--output", "run.h5", *ENGINE)
    scratch.refuses("import", "run.safetensors", "--output", "run.h5", "--engine", "other", says="holds another run", code=64)
    scratch.run("import", "run.safetensors", "--output", "run.h5", "--engine", "other", "--overwrite")


def check_sampled(scratch: Scratch) -> None:
    logits = logits_of(3)
    chosen = logits.argmax(1)
    np.save(scratch / "p.npy", logits.astype(np.float64))
    np.save(scratch / "in.npy", np.array([2, 3]))
    (scratch / "out.json").write_text(json.dumps([int(chosen[0] + 1) % VOCABULARY, int(chosen[1])]))
    says(scratch.run("import", "p.npy", "--prompt-tokens", "in.npy", "--generated-tokens", "out.json", "--output", "p.h5", *ENGINE),
         "1 prompt, 3 rows, float64 logits, mode follow")
    (scratch / "prompts.jsonl").write_text('{"id": "p", "tokens": [2, 3]}\n{"id": "q", "tokens": [1]}\n')
    says(scratch.run("import", "p.npy", "--prompts", "prompts.jsonl", "--output", "q.h5", *ENGINE), "mode greedy")


def check_given(scratch: Scratch) -> None:
    """A text's tokens, bfloat16 words; with and without all rows; beside a generated run of the same text."""
    logits = logits_of(6)
    words = bfloat16(logits)
    save_safetensors(scratch / "t.safetensors", {"logits": ("BF16", words), "tokens": np.arange(6)})
    says(scratch.run("import", "t.safetensors", "--output", "t.h5", *ENGINE), "6 rows, bfloat16 logits, mode score")
    with h5py.File(scratch / "t.h5") as file:
        assert (bfloat16(file["prompts/p0/logits"][:]) == words).all()
    np.save(scratch / "tail.npy", words[3:].view("V2"))  # as NumPy saves a bfloat16 of ml_dtypes
    (scratch / "text.json").write_text(json.dumps(list(range(6))))
    scratch.refuses("import", "tail.npy", "--tokens", "text.json", "--output", "tail.h5", *ENGINE, says="3 rows for 6 tokens: say with")
    says(scratch.run("import", "tail.npy", "--tokens", "text.json", "--first-position", "3", "--output", "tail.h5", *ENGINE), "3 rows")
    shutil.copy(scratch / "tail.h5", scratch / "tail2.h5")
    with h5py.File(scratch / "tail.h5") as file:
        assert file["prompts/tail/positions"][:].tolist() == [3, 4, 5]
    scratch.refuses("import", "tail.npy", "--tokens", "text.json", "--first-position", "4", "--output", "x.h5", *ENGINE,
                    says="3 rows after the tokens from position 4 on, but there are 6")
    # The same text, once scored and once generated: rows go together by position and token.
    text = [0, 1, 2, 3, 4, 5]
    save_safetensors(scratch / "s.safetensors", {"logits": logits, "tokens": np.array(text)})
    save_safetensors(scratch / "g.safetensors", {"logits": logits[2:], "prompt": np.array(text[:3]), "generated": np.array(text[3:] + [9])})
    for name in ("s", "g"):
        scratch.run("import", f"{name}.safetensors", "--output", f"{name}.h5", *ENGINE)
    output = scratch.run("compare", "s.h5", "g.h5", code=2)
    says(output, "4 of 6", "inconclusive")
    save_safetensors(scratch / "h.safetensors", {"logits": logits[2:], "prompt": np.array([0, 9, 2]), "generated": np.array(text[3:] + [9])})
    scratch.run("import", "h.safetensors", "--output", "h.h5", *ENGINE)
    scratch.refuses("compare", "s.h5", "h.h5", says="prompt p0 has other tokens than in s.h5 (6 and 3 tokens, at position 1 1 against 9)")


def check_contradictions(scratch: Scratch) -> None:
    """A prompt that is there twice, or whose tokens are said in two ways: nothing is taken silently."""
    good, tokens = logits_of(2), np.array([1, 2])
    parts = {"p.logits": good, "p.prompt": tokens}
    for name in ("one", "two"):
        save_safetensors(scratch / f"{name}.safetensors", parts)
    np.save(scratch / "p.npy", good)

    def bad(*words: str, says: str, code: int = 65) -> None:
        scratch.refuses("import", *words, "--output", "both.h5", *ENGINE, says=says, code=code)
        assert not list(scratch.folder.glob("both.h5*"))

    bad("one.safetensors", "two.safetensors", code=64,
        says='prompt p has logits twice, in one.safetensors: tensor "p.logits" and in two.safetensors: tensor "p.logits"')
    bad("one.safetensors", "p.npy", code=64, says='prompt p has logits twice, in one.safetensors: tensor "p.logits" and in p.npy')
    save_safetensors(scratch / "same.safetensors", {"logits": good, "p0.logits": good, "prompt": tokens})
    bad("same.safetensors", code=64, says='prompt p0 has logits twice')
    # Parts of a prompt may come from two files, and tokens be said twice; other ones may not.
    save_safetensors(scratch / "made.safetensors", {"p.generated": good.argmax(1), "p.prompt": tokens})
    scratch.run("import", "one.safetensors", "made.safetensors", "--output", "made.h5", *ENGINE)
    save_safetensors(scratch / "made.safetensors", {"p.prompt": np.array([1, 3, 2])})
    bad("one.safetensors", "made.safetensors", says='prompt p: one.safetensors: tensor "p.prompt" has 2 tokens, '
        'made.safetensors: tensor "p.prompt" has 3, other ones from place 1 on')
    save_safetensors(scratch / "text.safetensors", {"p.logits": good, "p.tokens": tokens})
    for file, tensor, flag in (("one", "p.prompt", "--prompt-tokens"), ("text", "p.tokens", "--tokens")):
        for given, wrong in (([1, 2], False), ([1, 7], True)):
            (scratch / "given.json").write_text(json.dumps(given))
            (scratch / "given.jsonl").write_text(json.dumps({"id": "p", "tokens": given}))
            for words, where in (((flag, "given.json"), "given.json"), (("--prompts", "given.jsonl"), "given.jsonl line 1")):
                if wrong:
                    bad(f"{file}.safetensors", *words,
                        says=f'{file}.safetensors: tensor "{tensor}" has 2 tokens, {where} has 2, other ones from place 1 on')
                else:
                    scratch.run("import", f"{file}.safetensors", *words, "--output", "said.h5", "--overwrite", *ENGINE)
    save_safetensors(scratch / "text.safetensors", {"p.logits": good, "p.tokens": tokens, "p.generated": tokens})
    bad("text.safetensors", says='generated tokens (text.safetensors: tensor "p.generated") beside those of a given text '
        '(text.safetensors: tensor "p.tokens")')


def check_arguments(scratch: Scratch) -> None:
    np.save(scratch / "p.npy", logits_of(2))
    np.save(scratch / "large.npy", np.zeros((1, 2**22 + 1), np.float16))
    scratch.refuses("import", "large.npy", "--prompt-tokens", "in.npy", "--output", "large.h5", *ENGINE,
                    says="large.npy: a vocabulary of 4194305: a record has at most 4194304")
    assert not list(scratch.folder.glob("large.h5*"))
    os.mkfifo(scratch / "pipe")
    for flag in ("--prompt-tokens", "--generated-tokens", "--tokens", "--prompts"):
        scratch.refuses("import", "p.npy", flag, "pipe", "--output", "pipe.h5", *ENGINE, says="pipe: is not a regular file")
        scratch.refuses("import", "p.npy", flag, "none", "--output", "pipe.h5", *ENGINE, says="none: no such file")
    scratch.refuses("import", "p.npy", "--output", "x.h5", "--engine", os.fsdecode(b"TP\xff"), says="--engine \"TP\ufffd\": byte 2 is not UTF-8",
                    code=64)


def check_refusals(scratch: Scratch) -> None:
    good, tokens = logits_of(2), np.array([1, 2])
    np.save(scratch / "in.npy", tokens)

    def bad(name: str, says: str, *words: str, code: int = 65) -> None:
        scratch.refuses("import", name, "--output", "bad.h5", *ENGINE, *words, says=says, code=code)
        assert not (scratch / "bad.h5").exists()

    def bad_npy(array, expected: str, *words: str) -> None:
        np.save(scratch / "bad.npy", array)
        bad("bad.npy", expected, *(words or ("--prompt-tokens", "in.npy")))

    for value, shown in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")):
        broken = good.copy()
        broken[1, 7] = value
        bad_npy(broken, f"bad.npy: row 1, token 7 is {shown}: logits have to be finite")
    bad_npy(good[0], "shape [13]: one prompt's logits are [rows, vocabulary]")
    bad_npy(np.stack([good, good]), "shape [2, 2, 13]")
    bad_npy(good[:0], "shape [0, 13]")
    bad_npy(good.astype(np.int32), "of type I32: logits are float64")
    bad_npy(good.astype(">f4"), "is big-endian")
    bad_npy(np.asfortranarray(np.vstack([good, good])), "in Fortran order")
    bad_npy(good.astype(np.complex64), "dtype '<c8'")
    bad_npy(good, "which tokens is it of?", "--dtype", "float32")
    bad_npy(good, "token 13 at place 1 of prompt: the vocabulary has 13", "--prompt-tokens", str(wide(scratch)))
    np.save(scratch / "long.npy", np.arange(5))
    bad_npy(good, "2 rows, but 5 generated tokens", "--prompt-tokens", "in.npy", "--generated-tokens", "long.npy")
    np.save(scratch / "minus.npy", np.array([1, -100]))
    bad_npy(good, "minus.npy: -100 at place 1 is no token id", "--prompt-tokens", "minus.npy")
    np.save(scratch / "float.npy", good[0])
    bad_npy(good, "float.npy: of type F32: token ids are integers", "--prompt-tokens", "float.npy")
    for text, expected in (("[1, 2.5]", "2.5 at place 1 is no token id"), ("{}", "a list of token ids is expected"),
                           ("[1,", "no JSON"), ("[]", "a list of token ids")):
        (scratch / "in.json").write_text(text)
        bad_npy(good, expected, "--prompt-tokens", "in.json")

    whole = (scratch / "bad.npy").read_bytes()
    for cut in (*range(6, 12), 60, 127, len(whole) - 1):
        (scratch / "cut.npy").write_bytes(whole[:cut])
        bad("cut.npy", "cut.npy: ", "--prompt-tokens", "in.npy")
    for wrong in (b"(9223372036854775807, 9)", b"(2, -13)", b"(2, 13", b"'x'", b"()"):
        (scratch / "cut.npy").write_bytes(whole.replace(b"(2, 13)", wrong))
        bad("cut.npy", "cut.npy: ", "--prompt-tokens", "in.npy")
    (scratch / "more.npy").write_bytes(whole + b"x")
    bad("more.npy", "its header tells of 104 bytes, 105 follow it", "--prompt-tokens", "in.npy")

    def bad_tensors(tensors: dict, expected: str) -> None:
        save_safetensors(scratch / "bad.safetensors", tensors)
        bad("bad.safetensors", expected)

    bad_tensors({"logits": good}, "which tokens is it of?")
    bad_tensors({"tokens": tokens}, "no tensor of logits")
    bad_tensors({"weight": good}, "no tensor of logits")
    bad_tensors({"logits": good, "tokens": tokens, "prompt": tokens}, "both tokens")
    bad_tensors({"a.logits": good, "a.tokens": tokens, "b.tokens": tokens}, "prompt b: tokens, but no logits")
    bad_tensors({"a.logits": good, "a.tokens": tokens, "b.logits": good.astype(np.float16), "b.tokens": tokens},
                "float16 of a vocabulary of 13, the prompt before it float32 of 13")
    bad_tensors({"a.logits": good, "a.tokens": tokens, "b.logits": good, "b.prompt": tokens}, "import them apart")
    bad_tensors({"a b.logits": good, "a b.tokens": tokens}, "is no prompt's id")
    (scratch / "empty.safetensors").write_bytes(b"")
    bad("empty.safetensors", "too short for a safetensors file")
    scratch.refuses("import", "in.npy", "bad.npy", "--prompt-tokens", "in.npy", "--output", "bad.h5", *ENGINE, says="of one prompt", code=64)
    scratch.refuses("import", "bad.npy", "--output", "bad.npy", *ENGINE, "--prompt-tokens", "in.npy", says="bad.npy", code=64)
    scratch.refuses("import", "none.npy", "--output", "bad.h5", *ENGINE, says="none.npy: no such file")
    for words in (("bad.npy",), ("--output", "x.h5"), ("bad.npy", "--output", "x.h5"), ("bad.npy", "--output", "x.h5", *ENGINE, "--bos", "1")):
        scratch.run("import", *words, code=64)


def wide(scratch: Scratch) -> Path:
    np.save(scratch / "wide.npy", np.array([1, VOCABULARY]))
    return scratch / "wide.npy"


def main() -> None:
    scratch = Scratch()
    check_generated(scratch)
    check_sampled(scratch)
    check_given(scratch)
    check_contradictions(scratch)
    check_arguments(scratch)
    check_refusals(scratch)
    shutil.rmtree(scratch.folder)


if __name__ == "__main__":
    main()
