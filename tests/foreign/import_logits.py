#!/usr/bin/env python3
"""shardrift import of .npy and safetensors logits: the record has their words and tokens; anything else is one error that
names file, value and fix: tests/foreign/import_logits.py SOURCE BUILD"""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

from program import Scratch, says, says_not

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


def check_ties(scratch: Scratch) -> None:
    """Of several largest the one that was generated is chosen, the last row's too; what was sampled is no choice."""
    logits = np.random.default_rng(9).standard_normal((3, VOCABULARY)).astype(np.float32)
    logits[1, 9] = logits[1, 2] = logits[1].max() + 1
    logits[2, 11] = logits[2, 4] = logits[2].max() + 1
    for name, generated, chosen, mode in (("tied", [9, 11], [9, 11], "greedy"), ("lowest", [2, 4], [2, 4], "greedy"),
                                          ("drawn", [9, 0], [9, 4], "follow")):
        made = [int(logits[0].argmax()), *generated]
        save_safetensors(scratch / f"{name}.safetensors",
                         {"a.logits": logits, "a.prompt": np.array([3, 1]), "a.generated": np.array(made)})
        says(scratch.run("import", f"{name}.safetensors", "--output", f"{name}.h5", *ENGINE), f"mode {mode}")
        with h5py.File(scratch / f"{name}.h5") as file:
            assert file["prompts/a/chosen"][:].tolist() == [made[0], *chosen], name
        says(scratch.run("inspect", f"{name}.h5", "--verify"), "1 of 1 prompt")
    says(scratch.run("compare", "lowest.h5", "tied.h5", code=1), "token 2")


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
    says(output, "rows: g generated a text, s scored a given one: 4 of 6 rows meet", "inconclusive")
    save_safetensors(scratch / "h.safetensors", {"logits": logits[2:], "prompt": np.array([0, 9, 2]), "generated": np.array(text[3:] + [9])})
    scratch.run("import", "h.safetensors", "--output", "h.h5", *ENGINE)
    scratch.refuses("compare", "s.h5", "h.h5", says="prompt p0 has other tokens than in s.h5 (6 and 3 tokens, at position 2 1 against 9)")


def check_dtypes(scratch: Scratch) -> None:
    """The same numbers stored as another dtype: no bits to compare, and nothing differs; one number that does."""
    words = bfloat16(logits_of(4))
    wide = (words.astype(np.uint32) << 16).view(np.float32)
    other = wide.astype(np.float64)
    other[2, 5] += 1e-9
    for name, array in (("b", ("BF16", words)), ("f", wide), ("d", wide.astype(np.float64)), ("o", other)):
        save_safetensors(scratch / f"{name}.safetensors", {"logits": array, "prompt": np.array([3, 1])})
        scratch.run("import", f"{name}.safetensors", "--output", f"{name}.h5", *ENGINE)
    for a, b, dtypes in (("b", "f", "bfloat16 beside float32"), ("f", "b", "float32 beside bfloat16"),
                         ("f", "d", "float32 beside float64")):
        output = scratch.run("compare", f"{a}.h5", f"{b}.h5", "--json", f"{a}{b}.json")
        says(output, f"verdict: the same numbers in 1 of 1 prompt ({dtypes}: no bits to compare)", "compared as numbers, no bits")
        assert json.loads((scratch / f"{a}{b}.json").read_text())["candidates"][0]["verdict"] == "same-numbers"
        scratch.run("compare", f"{a}.h5", f"{b}.h5", "--tolerance", "0")
        says(scratch.run("gate", f"{a}.h5", f"{b}.h5", "--preset", "bitwise", code=2), "no bits to compare")
        says(scratch.run("gate", f"{a}.h5", f"{b}.h5", "--preset", "serving"), "Yes, to the number")
        scratch.run("report", f"{a}.h5", f"{b}.h5", "--output", f"{a}{b}.html")
    says(scratch.run("compare", "f.h5", "o.h5", code=1), "verdict: differs", "1/4")
    says(scratch.run("compare", "f.h5", "f.h5"), "verdict: bit-equal in 1 of 1 prompt")


def check_masks(scratch: Scratch) -> None:
    """Finite masks are taken, and said once; logits that no mask makes are not."""
    for name, dtype, number, shown in (("f", np.float32, -1e9, "-1e+09"), ("min", np.float32, np.finfo(np.float32).min, "-3.4e+38"),
                                       ("wide", np.float64, -1e300, "-1e+300"), ("half", np.float16, np.finfo(np.float16).min, "-6.55e+04"),
                                       ("none", np.float32, -5e4, ""), ("b", None, -1e9, "-9.98e+08")):
        parts = {}
        for prompt in ("a", "b"):
            logits = logits_of(4)
            logits[1:3, [2, 7]] = 0
            logits = logits.astype(dtype or np.float32)
            if prompt == "b":
                logits[1, 7] = logits[2, 2] = logits[2, 7] = number
            parts |= {f"{prompt}.logits": ("BF16", bfloat16(logits)) if dtype is None else logits, f"{prompt}.prompt": np.array([3, 1])}
        save_safetensors(scratch / f"mask-{name}.safetensors", parts)
        output = scratch.run("import", f"mask-{name}.safetensors", "--output", f"mask-{name}.h5", *ENGINE)
        assert output.count("finite masks") == (1 if shown else 0), output
        if shown:
            says(output, f"note: 2 of 13 columns hold numbers down to {shown} in 2 of 8 rows (first: ", '"b.logits", row 1)',
                 "max|Δ|, RMS and ULP mean nothing beside a record that masks other columns")


def log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    return wide - np.log(np.exp(wide).sum(1, keepdims=True))


def check_kinds(scratch: Scratch) -> None:
    """Probabilities are refused; log-probabilities are taken, and every comparison with logits says so first."""
    logits = logits_of(5)
    log = log_softmax(logits)
    np.save(scratch / "in.npy", np.array([2, 3]))
    words = ("--prompt-tokens", "in.npy", *ENGINE)
    for dtype in (np.float64, np.float32, np.float16):
        np.save(scratch / "odds.npy", np.exp(log).astype(dtype))
        scratch.refuses("import", "odds.npy", *words, "--output", "odds.h5",
                        says="odds.npy: row 0 holds probabilities (0 to 1, their sum is 1), as all 5 of its rows do: give the logits")
        np.save(scratch / "log.npy", log.astype(dtype))
        says(scratch.run("import", "log.npy", *words, "--output", "log.h5", "--overwrite"), "log-probabilities, mode greedy")
        with h5py.File(scratch / "log.h5") as file:
            assert file["environment/settings"].attrs["logits"].startswith(b"log-probabilities")
        says(scratch.run("inspect", "log.h5", "--validate"), "it can be analysed")
    save_safetensors(scratch / "odds.safetensors", {"a.logits": logits, "a.tokens": np.arange(5), "b.logits": ("BF16", bfloat16(np.exp(log))),
                                                    "b.tokens": np.arange(5)})
    scratch.refuses("import", "odds.safetensors", "--output", "odds.h5", *ENGINE, says="bfloat16 of a vocabulary of 13, the prompt before it float32")
    save_safetensors(scratch / "odds.safetensors", {"b.logits": ("BF16", bfloat16(np.exp(log))), "b.tokens": np.arange(5)})
    scratch.refuses("import", "odds.safetensors", "--output", "odds.h5", *ENGINE, says='tensor "b.logits": row 0 holds probabilities')
    assert not list(scratch.folder.glob("odds.h5*"))
    save_safetensors(scratch / "both.safetensors", {"a.logits": logits, "a.tokens": np.arange(5), "b.logits": log.astype(np.float32),
                                                    "b.tokens": np.arange(5)})
    scratch.refuses("import", "both.safetensors", "--output", "mixed.h5", *ENGINE,
                    says='tensor "b.logits": holds log-probabilities (each row\'s exponentials sum to 1), both.safetensors: tensor "a.logits" logits')
    # One row of the many is none: nothing is taken for what it is not.
    some = log.astype(np.float32)
    some[3] += 0.5
    for name, rows in (("plain", logits), ("log", log.astype(np.float32)), ("some", some)):
        save_safetensors(scratch / f"{name}.safetensors", {"p.logits": rows, "p.prompt": np.array([2, 3])})
        scratch.run("import", f"{name}.safetensors", "--output", f"{name}.h5", "--overwrite", *ENGINE)
    with h5py.File(scratch / "some.h5") as file:
        assert "logits" not in file["environment/settings"].attrs
    output = scratch.run("compare", "plain.h5", "log.h5", code=1)
    says(output, "logits: those of log are log-probabilities", "logits against log-probabilities: KL, probabilities")
    assert output.index("those of log are") < output.index("verdict"), output


def check_shifted(scratch: Scratch) -> None:
    """Rows one place off against the generated tokens are refused and say which way; texts that were scored, sampled or short pass."""
    logits = logits_of(12)
    made = logits.argmax(1)
    np.save(scratch / "in.npy", np.array([2, 3]))

    def generated(rows, tokens, name="shift") -> tuple:
        np.save(scratch / f"{name}.npy", rows)
        np.save(scratch / "out.npy", tokens)
        return ("import", f"{name}.npy", "--prompt-tokens", "in.npy", "--generated-tokens", "out.npy", "--output", f"{name}.h5", *ENGINE)

    late = np.vstack([logits_of(1), logits[:-1]])
    scratch.refuses(*generated(late, made), says="shift.npy: rows are one place off: row i has to hold the logits that chose generated "
                    "token i, but in 9 of 9 rows the largest is that of the token before it")
    scratch.refuses(*generated(logits[1:], made[:-1]), says="is that of the token after it")
    assert not list(scratch.folder.glob("shift.h5*"))
    # What the errors say to do.
    says(scratch.run(*generated(late[1:], made[:-1], "mended")), "11 rows, float32 logits, mode greedy")
    np.save(scratch / "in.npy", np.array([2, 3, made[0]]))
    says(scratch.run(*generated(logits[1:], made[1:], "mended2")), "11 rows, float32 logits, mode greedy")
    np.save(scratch / "in.npy", np.array([2, 3]))
    # Tokens of another model, of sampling, and too few to tell.
    says(scratch.run(*generated(logits, (made + 1) % VOCABULARY, "other")), "mode follow")
    mixed = np.where(np.arange(12) % 3 == 0, np.roll(made, 1), made)
    off = int((mixed != made).sum())
    says(scratch.run(*generated(logits, mixed, "sampled")), "mode follow",
         f"{off} of 12 generated tokens are not the most likely of their row (sampled, or another model's?): mode follow (first: sampled.npy, "
         "generated token 0)")
    says(scratch.run(*generated(late[:4], made[:4], "short")), "mode follow")
    # The same shifted rows of a given text: of it nothing was chosen, whatever the largest is.
    text = [2, 3, *made.tolist()]
    for name, rows in (("scored", late), ("scored2", logits)):
        np.save(scratch / f"{name}.npy", rows)
        (scratch / "text.json").write_text(json.dumps([int(token) for token in text]))
        for first in ("1", "2"):
            says(scratch.run("import", f"{name}.npy", "--tokens", "text.json", "--first-position", first, "--output", f"{name}-{first}.h5",
                             *ENGINE), "12 rows, float32 logits, mode score")
            says(scratch.run("inspect", f"{name}-{first}.h5", "--validate"), "it can be analysed")
    # A model that does choose the token that it was fed: the way around that the error tells.
    scratch.refuses(*generated(late, made), says="If the model really chooses so, import the text as one that was given: --tokens FILE (in "
                    "safetensors ID.tokens), the prompt's and the generated tokens in one, with --first-position 1")
    says(scratch.run("import", "shift.npy", "--tokens", "text.json", "--first-position", "1", "--output", "around.h5", *ENGINE),
         "12 rows, float32 logits, mode score")
    with h5py.File(scratch / "around.h5") as file:
        assert file["prompts/shift/input_ids"][:].tolist() == [3, *made[:-1].tolist()] and file["prompts/shift/positions"][0] == 1
        assert (file["prompts/shift/logits"][:] == late).all()
    # The same file read from elsewhere on is another run.
    scratch.refuses("import", "shift.npy", "--tokens", "text.json", "--first-position", "2", "--output", "around.h5", *ENGINE,
                    says="holds another run", code=64)
    check_one_shifted(scratch)
    # A record of one's own, in mode follow, is asked.
    with h5py.File(scratch / "other.h5", "r+", libver="v110") as file:
        fed = file["prompts/other/input_ids"]
        fed[1:] = logits.argmax(1)[1:]  # row i was fed what it chose itself
        for name in ("hash", "content"):
            del file["prompts/other"].attrs[name]
        del file.attrs["schema_minor"]
    says(scratch.run("inspect", "other.h5", "--validate"), "/prompts/*/logits: in 9 of 9 rows the largest is that of the token before the one that follows")


def check_one_shifted(scratch: Scratch) -> None:
    """One prompt of several is one place off: it is named, the others are taken."""
    parts = {}
    for name in ("a", "b", "c"):
        logits = logits_of(12)
        made = logits.argmax(1)
        first = 1 if name == "b" else 0
        parts |= {f"{name}.logits": logits[:12 - first], f"{name}.prompt": np.array([2] * (2 + len(parts))), f"{name}.generated": made[first:]}
    save_safetensors(scratch / "several.safetensors", parts)
    output = scratch.run("import", "several.safetensors", "--output", "several.h5", *ENGINE)
    says(output, 'tensor "b.logits": its rows seem to be one place off, though not those of all prompts: in ', "that of the token before it",
         "mode follow")
    says_not(output, 'tensor "a.logits"', 'tensor "c.logits"')
    check_shifted_with_repeats(scratch, dict(parts))
    for name in ("a", "c"):
        del parts[f"{name}.logits"], parts[f"{name}.prompt"], parts[f"{name}.generated"]
    save_safetensors(scratch / "several.safetensors", parts | {f"x.{kind}": parts[f"b.{kind}"] for kind in ("logits", "generated")} |
                     {"x.prompt": np.array([3])})
    scratch.refuses("import", "several.safetensors", "--output", "several2.h5", *ENGINE,
                    says="with --first-position 4 for prompts of this length, the others in imports of their own")


def check_shifted_with_repeats(scratch: Scratch, parts: dict) -> None:
    """A token that stands twice in a row is right beside either: it hides no shift, whichever way."""
    logits = logits_of(12)
    logits[4], logits[9] = logits[3], logits[8]
    made = logits.argmax(1)
    for rows, tokens, side in ((logits[:-1], made[1:], "before"), (logits[1:], made[:-1], "after")):
        save_safetensors(scratch / "repeats.safetensors", parts | {"b.logits": rows, "b.generated": tokens})
        output = scratch.run("import", "repeats.safetensors", "--output", "repeats.h5", "--overwrite", *ENGINE)
        says(output, f'tensor "b.logits": its rows seem to be one place off, though not those of all prompts: in ',
             f"rows the largest is that of the token {side} it (0 are right)")
        says_not(output, 'tensor "a.logits"', 'tensor "c.logits"')


def check_other_kinds(scratch: Scratch) -> None:
    """What import does not take says what it is."""
    np.save(scratch / "p.npy", logits_of(3))
    np.save(scratch / "in.npy", np.array([2, 3]))
    scratch.run("import", "p.npy", "--prompt-tokens", "in.npy", "--output", "kind.h5", *ENGINE)
    np.savez(scratch / "p.npz", logits=logits_of(3))
    (scratch / "cut.npy").write_bytes((scratch / "p.npy").read_bytes()[:5])
    with h5py.File(scratch / "other.hdf5", "w", libver="v110") as file:
        file["logits"] = logits_of(3)
    for name, words in (("kind.h5", "kind.h5: is a record already: give it to compare"), ("other.hdf5", "is an HDF5 file, and no record"),
                        ("p.npz", "p.npz: is a zip archive, as .npz"), ("cut.npy", "cut.npy: does not begin as a .npy file: cut off")):
        scratch.refuses("import", name, "--output", "kind2.h5", *ENGINE, says=words)
        scratch.refuses("import", "p.npy", "--prompt-tokens", name, "--output", "kind2.h5", *ENGINE, says=words)


def check_missing(scratch: Scratch) -> None:
    """Answers to one prompt of four beside four: what both have is compared, what one lacks is said first, by name."""
    four = {}
    for name in ("a", "b", "c", "d"):
        four |= {f"{name}.logits": logits_of(3), f"{name}.prompt": np.array([2, 3])}
    save_safetensors(scratch / "four.safetensors", four)
    save_safetensors(scratch / "one.safetensors", {name: value for name, value in four.items() if name.startswith("b.")})
    save_safetensors(scratch / "else.safetensors", {"x" + name: value for name, value in four.items()})
    for name in ("four", "one", "else"):
        scratch.run("import", f"{name}.safetensors", "--output", f"{name}.h5", *ENGINE)
    lacks = "prompts: 1 of 4 prompts is in both records; one lacks a, c, d"
    for files in (("four.h5", "one.h5"), ("one.h5", "four.h5")):
        for _ in range(2):  # measured, then kept
            output = scratch.run("compare", *files, "--json", "out.json", code=2)
            says(output, lacks, "1/1 of 4", "verdict: inconclusive, no difference in the 1 of 4 prompts that could be compared")
            assert output.index(lacks) < 300, output
        one = json.loads((scratch / "out.json").read_text())["candidates"][0]
        assert one["missing"] == ["a", "c", "d"] and one["prompts_compared"] == 1 and one["verdict"] == "inconclusive"
        assert one["missing_in_candidate" if files[0] == "four.h5" else "missing_in_reference"] == ["a", "c", "d"]
        says(scratch.run("gate", *files, code=2), lacks, "bit-equal in 1 of 4 prompts; 3 prompts in one file only",
             "but of 4 prompts only 1 could be compared")
        says(scratch.run("explain", *files), lacks)
        scratch.run("report", *files, "--output", "page.html")
        assert "one lacks a, c, d" in (scratch / "page.html").read_text()
    changed = {name: value.copy() for name, value in four.items() if name.startswith("b.")}
    changed["b.logits"][0, 1] -= 9
    save_safetensors(scratch / "changed.safetensors", changed)
    scratch.run("import", "changed.safetensors", "--output", "changed.h5", *ENGINE)
    says(scratch.run("compare", "four.h5", "changed.h5", code=1), "verdict: differs; 1 of 4 prompts could be compared")
    scratch.refuses("explain", "--ladder", "four.h5", "one.h5", says="four.h5: is another engine's record, whose plan is no rung of the ladder", code=64)
    rungs = ("--rung", "a=four.h5", "--rung", "b=one.h5", "--rung", "c=changed.h5")
    says(scratch.run("explain", *rungs), "left out: one.h5 lacks prompts a, c, d", "1 prompt, 3 rows")
    scratch.refuses("compare", "four.h5", "else.h5", says="else.h5: its prompts are xa, xb, xc and 1 more, those of four.h5 are a, b, c and 1 more: "
                    "none is in both")


def check_generated_beside_scored(scratch: Scratch) -> None:
    logits = logits_of(12)
    made = logits.argmax(1)
    text = [2, 3, 5, *made[:2].tolist(), *range(7)]
    save_safetensors(scratch / "generated.safetensors", {"p.logits": logits, "p.prompt": np.array(text[:3])})
    save_safetensors(scratch / "scored.safetensors", {"p.logits": np.vstack([logits_of(2), logits[:10]]), "p.tokens": np.array(text)})
    for name in ("generated", "scored"):
        scratch.run("import", f"{name}.safetensors", "--output", f"{name}.h5", *ENGINE)
    sentence = "rows: generated generated a text, scored scored a given one: 3 of 12 rows meet"
    for files in (("generated.h5", "scored.h5"), ("scored.h5", "generated.h5")):
        says(scratch.run("compare", *files, code=2), sentence)
        says(scratch.run("gate", *files, code=2), "rows: generated generated a text")
        says(scratch.run("explain", *files), sentence)


def check_other_output(scratch: Scratch) -> None:
    """What lies under the name says what it is instead."""
    logits = logits_of(3)
    np.save(scratch / "same.npy", logits)
    np.save(scratch / "in.npy", np.array([2, 3]))
    (scratch / "text.json").write_text("[2, 3, 4]")
    words = ("same.npy", "--output", "same.h5", *ENGINE)
    scratch.run("import", *words, "--prompt-tokens", "in.npy")
    scratch.refuses("import", *words, "--tokens", "text.json", says="the mode, greedy there and score here", code=64)
    np.save(scratch / "same.npy", logits + 1)
    scratch.refuses("import", *words, "--prompt-tokens", "in.npy", says="what differs: the command is the same, so a file that it names", code=64)
    shutil.copy(scratch / "in.npy", scratch / "in2.npy")
    scratch.refuses("import", *words, "--prompt-tokens", "in2.npy", says="what differs: the command; it was: ", code=64)


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
    check_ties(scratch)
    check_given(scratch)
    check_kinds(scratch)
    check_shifted(scratch)
    check_other_kinds(scratch)
    check_missing(scratch)
    check_generated_beside_scored(scratch)
    check_other_output(scratch)
    check_contradictions(scratch)
    check_arguments(scratch)
    check_refusals(scratch)
    check_dtypes(scratch)
    check_masks(scratch)
    shutil.rmtree(scratch.folder)


if __name__ == "__main__":
    main()
