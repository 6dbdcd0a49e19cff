#!/usr/bin/env python3
"""docs/file-format.md's writer makes records that can be analysed, and --validate says what any other lacks:
tests/foreign/minimal_writer.py SOURCE BUILD"""

from __future__ import annotations

import shutil

from program import Scratch, documented_writer, says, says_not

import h5py
import numpy as np

VOCABULARY = 11
random = np.random.default_rng(3)


def generated(steps: int, shift: float = 0.0):
    logits = random.standard_normal((steps, VOCABULARY)).astype(np.float32)
    logits[-1, 4] += shift
    return logits, logits.argmax(1).tolist()


def prompts() -> dict:
    made = {}
    for name, steps in (("a", 5), ("b", 1)):
        logits, chosen = generated(steps)
        made[name] = ([1, 2, 3], chosen, logits)
    return made


def check_the_writer(scratch: Scratch) -> None:
    made = prompts()
    write = documented_writer()
    write(scratch / "one.h5", "some engine 1.0", made)
    other = {name: (tokens, chosen, logits.copy()) for name, (tokens, chosen, logits) in made.items()}
    other["a"][2][4, 0] -= 0.5  # of the last row: the same tokens
    write(scratch / "two.h5", "some engine 2.0", other)
    output = scratch.run("inspect", "one.h5", "--validate")
    says(output, "2 prompts, 6 rows of logits", "it can be analysed", "/model/@weights: whether two records ran the same weights",
         "/environment: which devices", "/prompts/*/@hash", "/prompts/*/checksums: explain cannot name the first operation")
    says_not(output, "wrong")
    says(scratch.run("inspect", "one.h5"), "some engine 1.0", "weights        not known")
    says(scratch.run("compare", "one.h5", "one.h5"), "bit-equal in 2 of 2 prompts")
    says(scratch.run("compare", "one.h5", "two.h5", code=1), "some engine 2.0", "verdict: differs", "0.5")
    with h5py.File(scratch / "one.h5") as file:
        assert (file["prompts/a/logits"][:] == made["a"][2]).all()


def changed(scratch: Scratch, change) -> str:
    """Of one.h5, changed: what --validate says of it; it cannot be analysed."""
    shutil.copy(scratch / "one.h5", scratch / "bad.h5")
    with h5py.File(scratch / "bad.h5", "r+", libver="v110") as file:
        change(file)
    output = scratch.run("inspect", "bad.h5", "--validate", code=65)
    says(output, "cannot be analysed as it is", "shardrift: bad.h5: cannot be analysed: ")
    return output


def put(file: h5py.File, name: str, values) -> None:
    del file[name]
    file.create_dataset(name, data=values)


def check_faults(scratch: Scratch) -> None:
    def two(file):
        del file["prompts/a/chosen"]
        del file["prompts/b"].attrs["index"]
        del file.attrs["mode"]
        file.attrs["level"] = "logits"  # h5py's own texts have variable length
    says(changed(scratch, two), "/@mode: missing attribute; it has to be 'greedy'", "/prompts/a/chosen: missing dataset",
         "/prompts/b/@index: missing attribute", "/@level: is not a text of fixed length", "(3 more above)")

    says(changed(scratch, lambda f: put(f, "prompts/a/logits", np.zeros((5, 10), np.float32))),
         "/prompts/a/logits: has shape [5, 10], not [5, 11]; it has to be float32 [5 steps, 11 in the vocabulary]")
    says(changed(scratch, lambda f: put(f, "prompts/a/positions", np.arange(4, dtype=np.int32))), "has 4 rows, input_ids has 5")
    says(changed(scratch, lambda f: put(f, "prompts/a/positions", np.arange(5, dtype=np.int64))), "is not of type int32")
    says(changed(scratch, lambda f: put(f, "prompts/a/tokens", np.array([1, 2, 99], np.int32))), "token 99 is outside the vocabulary")
    says(changed(scratch, lambda f: put(f, "prompts/a/tokens", np.array([1, 2, 4], np.int32))),
         "row 0 is fed token 3 at position 2, where the prompt has 4; row i holds the logits after token input_ids[i]")

    def one_off(file):  # the fed tokens and not the chosen ones
        put(file, "prompts/a/chosen", np.roll(file["prompts/a/chosen"][:], 1))
    says(changed(scratch, one_off), "in mode greedy the chosen one is fed", "the largest logit is token")

    def probabilities(file):
        for prompt in file["prompts"].values():
            values = np.exp(prompt["logits"][:].astype(np.float64))
            put(file, prompt.name + "/logits", (values / values.sum(1, keepdims=True)).astype(np.float32))
    says(changed(scratch, probabilities), "are probabilities (they sum to 1), not logits")

    def no_rows(file):
        del file["prompts/a/logits"]
    says(changed(scratch, no_rows), "is not there, and no top/ids and top/log_probabilities either")
    says(changed(scratch, lambda f: f.create_group("prompts/not an id")), "/prompts/not an id: is no prompt's id")

    def attribute(name: str, value, prompt: str = ""):
        def change(file):
            holder = file["prompts/" + prompt] if prompt else file
            holder.attrs[name] = value
        return change
    for name, value, expected in (
            ("mode", np.bytes_("weird"), "/@mode: is 'weird'; it has to be 'greedy', 'follow'"),
            ("level", np.bytes_("all"), "/@level: is 'all'; it has to be 'top', 'logits' or 'hidden'"),
            ("plan", np.bytes_("some engine"), "/@plan: is no JSON: \"some engine\"; it has to say who computed this"),
            ("plan", np.bytes_("[1, 2]"), "/@plan: is [1,2], no JSON object"),
            ("plan", np.bytes_('{"engine": 7}'), "/@plan: names the engine 7, which is no text"),
            ("plan", np.bytes_('{"engine": " "}'), "/@plan: names an engine without a name"),
            ("plan", np.bytes_('{"who": "me"}'), "/@plan: has no engine, and no shards"),
            ("status", np.bytes_("done"), "/@status: 'done' is neither complete nor partial")):
        says(changed(scratch, attribute(name, value)), expected)
    says(changed(scratch, attribute("index", 0, "b")), "/prompts/b/@index: is 0, as that of /prompts/a")
    says(changed(scratch, attribute("index", -1, "b")), "/prompts/b/@index: is -1")
    says(changed(scratch, attribute("status", np.bytes_("partial"), "b")), "/prompts/b/@status: is 'partial'; it has to be 'complete'")
    says(changed(scratch, lambda f: put(f, "prompts/a/tokens", np.array([], np.int32))), "/prompts/a/tokens: is empty; it has to be int32")
    shutil.copy(scratch / "one.h5", scratch / "partial.h5")
    with h5py.File(scratch / "partial.h5", "r+", libver="v110") as file:
        file.attrs["status"] = np.bytes_("partial")
    says(scratch.run("inspect", "partial.h5", "--validate"), "/@status: 'partial' says that prompts are still to come", "it can be analysed")

    def minor(file):  # promises hashes, and has none
        file.attrs["schema_minor"] = 7
    says(changed(scratch, minor), "edited")


def check_other_files(scratch: Scratch) -> None:
    with h5py.File(scratch / "old.h5", "w"):
        pass
    scratch.refuses("inspect", "old.h5", "--validate", says="h5py: libver='v110'")
    (scratch / "text.h5").write_text("no HDF5")
    scratch.refuses("inspect", "text.h5", "--validate", says="cannot be analysed")
    scratch.refuses("inspect", "none.h5", "--validate", says="none.h5: no such file")
    (scratch / "run.h5.parts").mkdir()
    for name in ("run.h5.parts", "run.h5"):
        scratch.refuses("inspect", name, "--validate", says="inspect: run.h5.parts holds a run's finished prompts, not yet its record", code=64)
    scratch.refuses("inspect", "one.h5", "--validate", "--json", "x.json", says="--validate", code=64)


def check_top(scratch: Scratch) -> None:
    """A record of the most likely tokens alone, and one whose rows hold a NaN."""
    shutil.copy(scratch / "one.h5", scratch / "top.h5")
    with h5py.File(scratch / "top.h5", "r+", libver="v110") as file:
        for prompt in file["prompts"].values():
            logits = prompt["logits"][:].astype(np.float64)
            log = logits - np.log(np.exp(logits).sum(1, keepdims=True))
            ids = np.argsort(-log, axis=1, kind="stable")[:, :3]
            prompt["top/ids"] = ids.astype(np.int32)
            prompt["top/log_probabilities"] = np.take_along_axis(log, ids, 1).astype(np.float32)
            del prompt["logits"]
    says(scratch.run("inspect", "top.h5", "--validate"), "6 rows, 0 with all logits", "/prompts/*/logits: only its most likely")
    # Lists that contradict what was chosen: the prompt is left out, and said first; where none is left, refused.
    for name, prompts in (("torn", ("a",)), ("worn", ("a", "b"))):
        shutil.copy(scratch / "top.h5", scratch / f"{name}.h5")
        with h5py.File(scratch / f"{name}.h5", "r+", libver="v110") as file:
            for prompt in prompts:
                file[f"prompts/{prompt}/top/ids"][0] = file[f"prompts/{prompt}/top/ids"][0][[1, 0, 2]]
        output = scratch.run("inspect", f"{name}.h5", "--validate", code=65)
        says(output, "/prompts/a/top: row 0 chose token", "but its list of the most likely tokens has")
    output = scratch.run("compare", "top.h5", "torn.h5", code=2)
    says(output, "damaged or wrong: 1 of 2 prompts is left out, of which a record contradicts itself (a: torn: row 0 chose token",
         "no difference in the 1 of 2 prompts that could be compared")
    says(scratch.run("compare", "torn.h5", "top.h5", code=2), "damaged or wrong: 1 of 2 prompts")
    says(scratch.run("gate", "top.h5", "torn.h5", code=2), "damaged or wrong: 1 of 2 prompts", "1 prompt of which a record contradicts itself")
    scratch.refuses("compare", "top.h5", "worn.h5", says="no prompt is left to compare; shardrift inspect FILE --validate says all")
    with h5py.File(scratch / "torn.h5", "r+", libver="v110") as file:
        file["prompts/a/top/ids"][2, 0] = (file["prompts/a/top/ids"][2].max() + 1) % VOCABULARY
        file["prompts/a/top/ids"][0] = file["prompts/a/top/ids"][0][[1, 0, 2]]
    says(scratch.run("inspect", "torn.h5", "--validate", code=65), "row 2 chose token", "which is not in its list of the most likely tokens")
    shutil.copy(scratch / "one.h5", scratch / "nan.h5")
    with h5py.File(scratch / "nan.h5", "r+", libver="v110") as file:
        file["prompts/a/logits"][2, 3] = np.nan
    says(scratch.run("inspect", "nan.h5", "--validate"), "1 of 6 rows hold NaN or an infinity")


def main() -> None:
    scratch = Scratch()
    check_the_writer(scratch)
    check_faults(scratch)
    check_other_files(scratch)
    check_top(scratch)
    shutil.rmtree(scratch.folder)


if __name__ == "__main__":
    main()
