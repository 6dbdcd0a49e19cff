#!/usr/bin/env python3
"""docs/file-format.md's writer makes records that can be analysed, and --validate says what any other lacks:
tests/foreign/minimal_writer.py SOURCE BUILD"""

from __future__ import annotations

import json
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
         "/environment: which devices", "/timing: how long the run took", "/@resume_key: ", "/@prompts_hash: ", "/@schema_minor: ",
         "/model/@generation_config: ", "/prompts/*/@hash", "/prompts/*/checksums: explain cannot name the first operation")
    says_not(output, "wrong", "/@level")
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
    # Nothing passes on it, and every command says so first.
    shutil.copy(scratch / "bad.h5", scratch / "odds.h5")
    for files in (("odds.h5", "odds.h5"), ("odds.h5", "one.h5"), ("one.h5", "odds.h5")):
        same = files[0] == files[1]
        for command, code in (("compare", 2 if same else 1), ("gate", 2)):
            output = scratch.run(command, *files, code=code)
            says(output, "probabilities: the rows of odds" if not same else "probabilities: the rows of odds and odds", "are no logits but sum to 1")
            assert output.index("no logits but sum to 1") < output.index("verdict"), output
    says(scratch.run("compare", "odds.h5", "odds.h5", "--tolerance", "1", code=2), "they hold no logits", "kept as far as")

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
            ("mode", np.bytes_(""), "/@mode: is ''; it has to be 'greedy'"),
            ("level", np.bytes_(""), "/@level: is ''; it has to be 'top'"),
            ("plan", np.bytes_(""), "/@plan: is empty; it has to say who computed this"),
            ("plan", np.bytes_('{"tensor_parallel": -3, "shards": 2}'), "/@plan: has tensor_parallel -3, which is no number from 1"),
            ("plan", np.bytes_('{"shards": 0}'), "/@plan: has shards 0, which is no number from 1"),
            ("plan", np.bytes_('{"shards": "x"}'), '/@plan: has shards "x", which is no number from 1'),
            ("schema_minor", -1, "/@schema_minor: is -1; it has to be an int64 from 0"),
            ("mode", np.bytes_("score"), "/prompts/a/tokens: are 3, but rows stand at positions up to 6: in mode score"),
            ("mode", np.bytes_("weird"), "/@mode: is 'weird'; it has to be 'greedy', 'follow'"),
            ("level", np.bytes_("all"), "/@level: is 'all'; it has to be 'top', 'logits' or 'hidden'"),
            ("plan", np.bytes_("some engine"), "/@plan: is no JSON: \"some engine\"; it has to say who computed this"),
            ("plan", np.bytes_("[1, 2]"), "/@plan: is [1,2], no JSON object"),
            ("plan", np.bytes_('{"engine": 7}'), "/@plan: names the engine 7, which is no text"),
            ("plan", np.bytes_('{"engine": " "}'), "/@plan: names an engine without a name"),
            ("plan", np.bytes_('{"who": "me"}'), "/@plan: has no engine, and no shards"),
            ("status", np.bytes_("done"), "/@status: 'done' is neither complete nor partial")):
        says(changed(scratch, attribute(name, value)), expected)
    says(changed(scratch, attribute("content", np.bytes_("zz"), "b")), "/prompts/b: bad.h5: /prompts/b: SHA-256 ", "but zz… was recorded: edited")
    says(changed(scratch, attribute("index", 0, "b")), "/prompts/b/@index: is 0, as that of /prompts/a")
    says(changed(scratch, attribute("index", -1, "b")), "/prompts/b/@index: is -1")
    says(changed(scratch, attribute("status", np.bytes_("partial"), "b")), "/prompts/b/@status: is 'partial'; it has to be 'complete'")
    says(changed(scratch, lambda f: put(f, "prompts/a/tokens", np.array([], np.int32))), "/prompts/a/tokens: is empty; it has to be int32")
    shutil.copy(scratch / "one.h5", scratch / "partial.h5")
    with h5py.File(scratch / "partial.h5", "r+", libver="v110") as file:
        file.attrs["status"] = np.bytes_("partial")
    says(scratch.run("inspect", "partial.h5", "--validate"), "/@status: 'partial' says that prompts are still to come", "it can be analysed")

    def minor(file):  # promises hashes, and has none
        file.attrs["schema_minor"] = 8
    says(changed(scratch, minor), "/prompts/a/@hash: is missing, and files of schema_minor 8 have it", "/prompts/b/@content: is missing")
    says(scratch.run("inspect", "bad.h5", "--verify", code=65), "shardrift: bad.h5: /prompts/b/@hash: is missing, and files of")

    def of_model(name: str, value):
        return lambda file: file["model"].attrs.__setitem__(name, value)
    for name in ("weights", "identity"):
        for hash in ("zz", "0" * 63, "A" * 64):
            says(changed(scratch, of_model(name, np.bytes_(hash))), f'/model/@{name}: is "{hash}", no SHA-256; it has to be 64 hex')
    output = changed(scratch, of_model("vocabulary", -1))
    says(output, "/model/@vocabulary: is -1; it has to be the number of logits in a row")
    says_not(output, "18446744073709551615")
    for values, expected in (([2, 3, 4, 5, 50], "goes from 5 to 50 at row 4"), ([2, 3, 4, 5, 2**31 - 1], "goes from 5 to 2147483647"),
                             ([3, 4, 5, 6, 7], "begins at 3, but the prompt's 3 tokens end at 2")):
        says(changed(scratch, lambda f: put(f, "prompts/a/positions", np.array(values, np.int32))), "/prompts/a/positions: " + expected)


def check_doubts(scratch: Scratch) -> None:
    """What cannot be, but keeps nothing from being analysed: said, with what is not known then."""
    shutil.copy(scratch / "one.h5", scratch / "doubt.h5")
    with h5py.File(scratch / "doubt.h5", "r+", libver="v110") as file:
        file.attrs["mode"] = np.bytes_("follow")
        put(file, "prompts/a/positions", np.array([2, 3, 4, 5, 50], np.int32))
        file["prompts/a"].attrs["stop"] = np.bytes_("banana")
        file["model"].attrs.update(dtype=np.bytes_("banana"), weights=np.bytes_("0123456789abcdef" * 4))
        file.create_group("timing").attrs.update(load_seconds=np.nan, decode_seconds=-1.0, prefill_seconds=2.0, decode_tokens=-3)
    output = scratch.run("inspect", "doubt.h5", "--validate")
    says(output, '/model/@dtype: is "banana", which is none', '/prompts/*/@stop (1 of 2 prompts): is "banana", none of eos, length,',
         "/timing/@load_seconds: is nan", "/timing/@decode_seconds: is -1", "/timing/@decode_tokens: is -3",
         "/prompts/a/positions: goes from 5 to 50 at row 4")
    says_not(output, "@prefill_seconds", "@weights")


def check_json(scratch: Scratch) -> None:
    """inspect --json is JSON whatever the texts are."""
    for name, value, plan in (("plan", b"", None), ("plan", b"\xff", "\ufffd"), ("plan", b"some engine", "some engine"),
                              ("plan", b"[1]", "[1]"), ("command", b"\xff\xfe", {"engine": "some engine 1.0"})):
        shutil.copy(scratch / "one.h5", scratch / "text.h5")
        with h5py.File(scratch / "text.h5", "r+", libver="v110") as file:
            file.attrs[name] = np.bytes_(value)
            file["model"].attrs["architecture"] = np.bytes_(b"\xff\xfe")
        scratch.run("inspect", "text.h5", "--json", "text.json")
        read = json.loads((scratch / "text.json").read_text())
        assert (read["plan"], read["model"]["architecture"]) == (plan, "\ufffd\ufffd"), read


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


def check_moved(scratch: Scratch) -> None:
    """Rows and what they chose, moved by one: greedy rows were then fed other tokens than were chosen. --validate calls it wrong;
    compare and gate leave such prompts out and say so, pass nothing and call nothing a difference."""
    for name in ("moved", "all"):
        shutil.copy(scratch / "one.h5", scratch / f"{name}.h5")
        with h5py.File(scratch / f"{name}.h5", "r+", libver="v110") as file:
            group = file["prompts/a"]
            group["chosen"][:] = np.roll(group["chosen"][:], 1)
            group["logits"][:] = np.roll(group["logits"][:], 1, 0)
            if name == "all":
                del file["prompts/b"]  # of one row, which cannot be moved
        said = "(a: moved: row 0 chose token" if name == "moved" else "a: of all: row 0 chose token"
        says(scratch.run("inspect", f"{name}.h5", "--validate", code=65), "/prompts/a/input_ids: row 0 chose token")
        for files in (("one.h5", f"{name}.h5"), (f"{name}.h5", "one.h5"), (f"{name}.h5", f"{name}.h5")):
            for command in ("compare", "gate"):
                for _ in range(2):  # measured, and kept
                    output = " ".join(scratch.run(command, *files, code=2 if name == "moved" else 65).split())
                    says_not(output, "No.", "verdict: differs")
                    if name == "moved":
                        says(output, "damaged or wrong: 1 of 2 prompts is left out, of which a record contradicts itself", said,
                             "in mode greedy the chosen one is fed", "--validate says all of it", "verdict: inconclusive")
                    else:
                        says(output, "row 0 chose token", "no prompt is left to compare; shardrift inspect FILE --validate says all")


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
    says(scratch.run("inspect", "top.h5", "--validate"), "6 rows, 0 with all logits", "/prompts/*/logits: only its most likely",
         "/@level: 'logits' says that all logits are there, but 2 of 2 prompts have none: 'top' where only the most likely tokens are")
    for name, level, expected in (("one", "top", "/@level: 'top' says that no logits are there, but 2 of 2 prompts have them"),
                                  ("one", "hidden", "/@level: 'hidden' says that the residual stream is there, but 2 of 2"), ("top", "top", "")):
        shutil.copy(scratch / f"{name}.h5", scratch / "level.h5")
        with h5py.File(scratch / "level.h5", "r+", libver="v110") as file:
            file.attrs["level"] = np.bytes_(level)
        output = scratch.run("inspect", "level.h5", "--validate")
        says(output, expected, "it can be analysed") if expected else says_not(output, "/@level")
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
    for changed_list, expected in ((lambda top: top["ids"].__setitem__((0, 2), top["ids"][0, 1]), "row 0: the list names token"),
                                   (lambda top: top["log_probabilities"].__setitem__(0, [-0.1, -0.2, -0.3]),
                                    "row 0: the probabilities of its list sum to 2.46, more than 1")):
        shutil.copy(scratch / "top.h5", scratch / "list.h5")
        with h5py.File(scratch / "list.h5", "r+", libver="v110") as file:
            changed_list(file["prompts/a/top"])
        says(scratch.run("inspect", "list.h5", "--validate", code=65), "/prompts/a/top: " + expected)
    for value in ("a", "b"):  # what compare makes of such a list
        said = "damaged or wrong: 1 of 2 prompts" if value == "a" else "list: row 0: the probabilities of its list sum to 2.46"
        says(scratch.run("compare", "top.h5", "list.h5", code=2), said)
    shutil.copy(scratch / "one.h5", scratch / "nan.h5")
    with h5py.File(scratch / "nan.h5", "r+", libver="v110") as file:
        file["prompts/a/logits"][2, 3] = np.nan
    says(scratch.run("inspect", "nan.h5", "--validate"), "1 of 6 rows hold NaN or an infinity")


def main() -> None:
    scratch = Scratch()
    check_the_writer(scratch)
    check_faults(scratch)
    check_doubts(scratch)
    check_json(scratch)
    check_other_files(scratch)
    check_moved(scratch)
    check_top(scratch)
    shutil.rmtree(scratch.folder)


if __name__ == "__main__":
    main()
