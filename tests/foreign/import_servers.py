#!/usr/bin/env python3
"""shardrift import of servers' answers: every API's shape gives the same record; what is missing or hostile is one error
that names line, key and what to ask for: tests/foreign/import_servers.py SOURCE BUILD"""

from __future__ import annotations

import copy
import json
import shutil

from program import Scratch, says

import h5py
import numpy as np

VOCABULARY = 50
PROMPT = [5, 9, 2]
# Of each generated token: it, and the most likely ones there (greedy: itself first).
PLACES = [(7, [(7, -0.25), (3, -1.5), (11, -4.0)]), (11, [(11, -0.5), (7, -0.5), (49, -3.0)]), (3, [(3, -0.125), (0, -2.5), (9, -6.0)])]
# Of each token of the prompt but the first: the most likely tokens there.
GIVEN = [[(9, -0.75), (1, -0.875), (4, -2.0)], [(30, -0.5), (2, -1.0), (31, -5.0)]]
ENGINE = ("--engine", "vLLM 0.11, TP=4", "--vocabulary", str(VOCABULARY))


def completion(**more) -> dict:
    """/v1/completions of vLLM with return_tokens_as_token_ids."""
    name = "token_id:{}".format
    return {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [{
        "index": 0, "text": "…", "finish_reason": "length", "logprobs": {
            "text_offset": [0, 1, 2], "tokens": [name(token) for token, _ in PLACES],
            "token_logprobs": [dict(top)[token] for token, top in PLACES],
            "top_logprobs": [{name(token): value for token, value in top} for _, top in PLACES]}, **more}]}


def chat() -> dict:
    name = "token_id:{}".format
    return {"id": "chat-1", "object": "chat.completion", "choices": [{
        "index": 0, "message": {"role": "assistant", "content": "…"}, "finish_reason": "stop", "logprobs": {"content": [
            {"token": name(token), "logprob": dict(top)[token], "bytes": None,
             "top_logprobs": [{"token": name(one), "logprob": value, "bytes": None} for one, value in reversed(top)]}
            for token, top in PLACES]}}]}


def sglang(prompt: bool = False) -> dict:
    meta = {"id": "x", "finish_reason": {"type": "length", "length": 3}, "prompt_tokens": len(PROMPT), "completion_tokens": 3,
            "output_token_logprobs": [[dict(top)[token], token, None] for token, top in PLACES],
            "output_top_logprobs": [[[value, one, None] for one, value in top] for _, top in PLACES]}
    if prompt:
        meta["input_token_logprobs"] = [[None, PROMPT[0], None]] + [[-1.0, token, None] for token in PROMPT[1:]]
        meta["input_top_logprobs"] = [None] + [[[value, one, None] for one, value in top] for top in GIVEN]
    return {"text": "…", "output_ids": [token for token, _ in PLACES], "meta_info": meta}


def vllm_prompt() -> list:
    """vLLM's prompt_logprobs: the prompt's own token stands in it with its rank, here once behind the three most likely."""
    own = [(9, -0.75, 1), (2, -1.0, 2)]
    entries = [None]
    for top, (token, value, rank) in zip(GIVEN, own):
        entry = {str(one): {"logprob": logprob, "rank": i + 1, "decoded_token": "…"} for i, (one, logprob) in enumerate(top)}
        entry.setdefault(str(token), {"logprob": value, "rank": rank, "decoded_token": "…"})
        entries.append(entry)
    return entries


def save(scratch: Scratch, name: str, *lines) -> str:
    (scratch / name).write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    return name


def generated_rows(prompt: h5py.Group) -> tuple:
    first = len(PROMPT) - 1 - int(prompt["positions"][0])
    return (prompt["input_ids"][first:].tolist(), prompt["positions"][first:].tolist(), prompt["chosen"][first:].tolist(),
            prompt["top/ids"][first:].tolist(), prompt["top/log_probabilities"][first:].tolist())


EXPECTED = ([2, 7, 11], [2, 3, 4], [7, 7, 3], [[7, 3, 11], [7, 11, 49], [3, 0, 9]],
            [[-0.25, -1.5, -4.0], [-0.5, -0.5, -3.0], [-0.125, -2.5, -6.0]])  # lowest id first at ties: row 1 chose 7


def check_shapes(scratch: Scratch) -> None:
    save(scratch, "prompts.jsonl", {"id": "first", "tokens": PROMPT}, {"id": "second", "tokens": PROMPT})
    shapes = {"completion": completion(), "ids": completion(prompt_token_ids=PROMPT, token_ids=[token for token, _ in PLACES]),
              "chat": chat(), "sglang": sglang(), "sglang-prompt": sglang(True), "prompt": completion(prompt_logprobs=vllm_prompt())}
    for name, answer in shapes.items():
        save(scratch, name + ".jsonl", answer, {"custom_id": "second", "response": {"status_code": 200, "body": answer}})
        output = scratch.run("import", name + ".jsonl", "--prompts", "prompts.jsonl", "--output", name + ".h5", *ENGINE)
        says(output, "2 prompts", "the most likely tokens alone (level top)", "mode follow")  # the tie: 11 was fed, 7 is the lowest
        with h5py.File(scratch / (name + ".h5")) as file:
            assert file.attrs["level"] == b"top" and "logits" not in file["prompts/first"]
            for prompt in ("first", "second"):
                assert generated_rows(file["prompts/" + prompt]) == EXPECTED, name
            assert file["prompts/first"].attrs["stop"] == (b"eos" if name == "chat" else b"length")
            if name in ("prompt", "sglang-prompt"):
                assert file["prompts/first/input_ids"][:].tolist() == [5, 9, 2, 7, 11]
                assert file["prompts/first/top/ids"][:2].tolist() == [[one for one, _ in top] for top in GIVEN]
    # Without a prompts file, from what the server says of the prompt.
    for name in ("ids", "sglang-prompt"):
        save(scratch, "alone.jsonl", shapes[name])
        scratch.run("import", "alone.jsonl", "--output", "alone.h5", *ENGINE, "--overwrite")
        with h5py.File(scratch / "alone.h5") as file:
            assert file["prompts/p0/tokens"][:].tolist() == PROMPT


def check_analysis(scratch: Scratch) -> None:
    """Choices are compared, and what is not is said first."""
    says(scratch.run("inspect", "chat.h5", "--validate"), "6 rows, 0 with all logits", "choices are compared")
    output = scratch.run("compare", "chat.h5", "completion.h5", code=2)
    says(output, "top-k only: chat and completion have not every logit of 2 of 2 prompts", "weights: chat and completion do not say",
         "verdict: inconclusive")
    assert output.index("not comparable") < output.index("prompt ")
    other = chat()
    other["choices"][0]["logprobs"]["content"][2]["top_logprobs"][0]["logprob"] = -0.001  # token 9 is the most likely now
    save(scratch, "other.jsonl", other, other)
    scratch.run("import", "other.jsonl", "--prompts", "prompts.jsonl", "--output", "other.h5", *ENGINE)
    says(scratch.run("compare", "chat.h5", "other.h5", code=1), "verdict: differs", "token 3 of first",
         "at the 2 choices that differ the reference's first token led its second by 2.38 to 2.38 in logits")
    for command in (("gate",), ("explain",), ("report", "--output", "page.html")):
        output = scratch.run(command[0], "chat.h5", "other.h5", *command[1:], code=2 if command[0] == "gate" else 0)
        if command[0] != "report":
            says(output, "top-k only")
            assert output.index("not comparable") < 400, output


def check_parts_of_prompts(scratch: Scratch) -> None:
    """SGLang's lists of some of the prompt's tokens: said, and of more than there are: refused. The last token alone is its default."""
    def asked(count: int, tokens: int | None = len(PROMPT)) -> dict:
        answer = sglang(True)
        meta = answer["meta_info"]
        meta["prompt_tokens"] = tokens
        for key in ("input_token_logprobs", "input_top_logprobs"):
            meta[key] = (meta[key] * 2)[:count] if count > len(PROMPT) else meta[key][len(PROMPT) - count:]
        if tokens is None:
            del meta["prompt_tokens"]
        return answer

    words = ("import", "part.jsonl", "--prompts", "prompts.jsonl", "--output", "part.h5", "--overwrite", *ENGINE)
    save(scratch, "part.jsonl", asked(2), asked(2))
    says(scratch.run(*words), "part.jsonl line 1: input_token_logprobs has 2 tokens, the prompt 3: the prompt's tokens are left out of the record, "
         'as in 2 answers: ask for all of them (SGLang: "logprob_start_len": 0)')
    save(scratch, "part.jsonl", asked(2, None))
    says(scratch.run(*words), "input_token_logprobs has 2 tokens, the prompt a number that prompt_tokens does not say")
    for count in (0, 1, 3):
        save(scratch, "part.jsonl", asked(count))
        output = scratch.run(*words)
        assert "note" not in output, output
    save(scratch, "part.jsonl", asked(4))
    scratch.refuses(*words[:-len(ENGINE)], *ENGINE, says="part.jsonl line 1: meta_info: input_token_logprobs is")


def check_refusals(scratch: Scratch) -> None:
    def bad(answer, *expected: str, words=("--prompts", "prompts.jsonl"), code: int = 65) -> None:
        (scratch / "bad.jsonl").write_text(answer if isinstance(answer, str) else json.dumps(answer) + "\n")
        output = scratch.run("import", "bad.jsonl", "--output", "bad.h5", *ENGINE, *words, code=code)
        says(output, "bad.jsonl line 1", *expected)
        assert not (scratch / "bad.h5").exists()

    def changed(change, answer=None) -> dict:
        one = copy.deepcopy(answer or completion())
        change(one["choices"][0] if "choices" in one else one["meta_info"])
        return one

    bad("[1]", "bad.jsonl line 1")
    bad("{", "bad.jsonl line 1")
    bad({"error": {"message": "overloaded"}}, "error is", "the server gave no answer")
    bad({"object": "list"}, "neither choices (OpenAI-style, vLLM) nor meta_info")
    bad({"choices": []}, "one is expected")
    bad(changed(lambda c: c.pop("logprobs")), 'logprobs is null; ask the server for them (completions: "logprobs": 20')
    bad(changed(lambda c: c["logprobs"]["token_logprobs"].pop()), "token_logprobs is")
    bad(changed(lambda c: c["logprobs"]["top_logprobs"].pop()), "a list of 3, as tokens, is expected")
    bad(changed(lambda c: c["logprobs"]["tokens"].__setitem__(1, " the")), 'tokens is " the"; no token of the tokenizer\'s: give --model')
    bad(changed(lambda c: c["logprobs"]["tokens"].__setitem__(0, "token_id:50")), "token 50 at place 1 of the answer: the vocabulary has 50")
    bad(changed(lambda c: c["logprobs"]["top_logprobs"].__setitem__(0, {"token_id:99": -1})), "token 99 among the most likely")
    bad(changed(lambda c: c["logprobs"]["top_logprobs"].__setitem__(1, {})), "place 1: its list of the most likely tokens is empty")
    bad(changed(lambda c: c["logprobs"]["token_logprobs"].__setitem__(0, 0.5)), "token_logprobs is 0.5; a log-probability, at most 0")
    bad(changed(lambda c: c["logprobs"]["token_logprobs"].__setitem__(0, None)), '"echo": false')
    bad(changed(lambda c: c["logprobs"]["token_logprobs"].__setitem__(0, "x")), "a log-probability, at most 0, is expected")
    bad(json.dumps(completion()).replace("-0.25", "NaN"), "bad.jsonl line 1")
    bad(changed(lambda c: c.__setitem__("token_ids", [1])), "token_ids has 1, this list 3")
    bad(changed(lambda c: c.__setitem__("prompt_token_ids", [5, 9])), "the server was fed 2 tokens, prompts.jsonl has 3 for prompt 'first'")
    bad(completion(), "which tokens the server was fed is not said: give --prompts", words=())
    bad(changed(lambda c: c.__setitem__("prompt_logprobs", [{}, {}])), "a list whose first entry is null is expected")
    bad(changed(lambda c: c.__setitem__("prompt_logprobs", [None, {"x": {"logprob": -1}}, {}])), 'key "x" is no token id')
    bad(changed(lambda c: c.__setitem__("prompt_logprobs", [None, {"1": {"logprob": -1}}])), "log-probabilities of 1 tokens of the prompt, which has 3")
    bad({"id": "no", "response": completion()}, "id no is no prompt's of prompts.jsonl")
    bad({"id": "a b", "response": completion()}, "an id of 1 to 64")
    meta = sglang()
    bad(changed(lambda m: m.pop("output_token_logprobs"), meta), '"return_logprob": true')
    bad(changed(lambda m: m["output_token_logprobs"].__setitem__(0, [-1.0]), meta), "[log-probability, token id, text] is expected")
    bad(changed(lambda m: m["output_top_logprobs"][0].__setitem__(0, [-1.0, -3, None]), meta), "an integer from 0")
    bad(changed(lambda m: m["output_top_logprobs"].pop(), meta), "a list of 3, as output_token_logprobs, is expected")
    bad(changed(lambda m: m["output_top_logprobs"][0].append([-7.0, 7, None]), meta), "token 7 is there twice")
    for first, second in (("second", "second"), (None, "first")):  # without an id: the prompt at its line
        named = [{"custom_id": name, "response": chat()} if name else chat() for name in (first, second)]
        save(scratch, "twice.jsonl", *named)
        scratch.refuses("import", "twice.jsonl", "--prompts", "prompts.jsonl", "--output", "twice.h5", *ENGINE,
                        says=f"twice.jsonl line 2: response: id {second} is that of twice.jsonl line 1")
        assert not list(scratch.folder.glob("twice.h5*"))
    (scratch / "empty.jsonl").write_text("\n")
    scratch.refuses("import", "empty.jsonl", "--output", "bad.h5", *ENGINE, says="empty.jsonl: holds no answer")
    scratch.refuses("import", "chat.jsonl", "--output", "bad.h5", "--engine", "x", says="give --model or --vocabulary", code=64)
    for size in ("0", "4194305", "2000000000"):
        scratch.refuses("import", "ids.jsonl", "--output", "large.h5", "--engine", "x", "--vocabulary", size, code=64,
                        says=f"--vocabulary {size}: must be 1 to 4194304")
    assert not list(scratch.folder.glob("large.h5*"))
    (scratch / "three.jsonl").write_text("\n".join([json.dumps(chat())] * 3))
    scratch.refuses("import", "three.jsonl", "--prompts", "prompts.jsonl", "--output", "bad.h5", *ENGINE, says="answer 3 without an id")


def main() -> None:
    scratch = Scratch()
    assert np.float32(-0.875) == -0.875  # every value here is one of float32's
    check_shapes(scratch)
    check_analysis(scratch)
    check_parts_of_prompts(scratch)
    check_refusals(scratch)
    shutil.rmtree(scratch.folder)


if __name__ == "__main__":
    main()
