#!/usr/bin/env python3
"""shardrift import of servers' answers: every API's shape gives the same record; what is missing or hostile is one error
that names line, key and what to ask for: tests/foreign/import_servers.py SOURCE BUILD"""

from __future__ import annotations

import copy
import json
import shutil

from program import Scratch, says, says_not

import h5py
import numpy as np

VOCABULARY = 50
PROMPT = [5, 9, 2]
# Of each generated token: it, and the most likely ones there (greedy: itself first).
PLACES = [(7, [(7, -0.25), (3, -1.75), (11, -4.0)]), (11, [(11, -0.75), (7, -0.75), (49, -3.0)]), (3, [(3, -0.125), (0, -2.5), (9, -6.0)])]
# Of each token of the prompt but the first: the most likely tokens there.
GIVEN = [[(9, -0.75), (1, -0.875), (4, -2.5)], [(30, -0.5), (2, -1.0), (31, -5.0)]]
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


def with_ids(entries: list) -> list:
    """llama.cpp's: an id beside each text, which may be cut within a character."""
    for entry in entries:
        entry["id"] = int(entry["token"].removeprefix("token_id:"))
        entry["token"] = "\ufffd"
        with_ids(entry.get("top_logprobs", []))
    return entries


def llama_chat() -> dict:
    answer = chat()
    with_ids(answer["choices"][0]["logprobs"]["content"])
    return answer


def llama_completion() -> dict:
    """/completion of llama-server, with n_probs."""
    return {"content": "…", "tokens": [], "stop": True, "stop_type": "limit", "tokens_predicted": 3,
            "completion_probabilities": llama_chat()["choices"][0]["logprobs"]["content"]}


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


EXPECTED = ([2, 7, 11], [2, 3, 4], [7, 11, 3], [[7, 3, 11], [11, 7, 49], [3, 0, 9]],
            [[-0.25, -1.75, -4.0], [-0.75, -0.75, -3.0], [-0.125, -2.5, -6.0]])  # a tie: 11 was generated, 7 is as likely


def check_shapes(scratch: Scratch) -> None:
    save(scratch, "prompts.jsonl", {"id": "first", "tokens": PROMPT}, {"id": "second", "tokens": PROMPT})
    shapes = {"completion": completion(), "ids": completion(prompt_token_ids=PROMPT, token_ids=[token for token, _ in PLACES]),
              "chat": chat(), "llama-chat": llama_chat(), "llama": llama_completion(), "sglang": sglang(), "sglang-prompt": sglang(True), "prompt": completion(prompt_logprobs=vllm_prompt())}
    for place, (name, answer) in enumerate(shapes.items()):
        named = [{"custom_id": one, "response": {"status_code": 200, "body": answer}} for one in ("first", "second")]
        save(scratch, name + ".jsonl", *(named if place % 2 else [answer] * 2))
        output = scratch.run("import", name + ".jsonl", "--prompts", "prompts.jsonl", "--output", name + ".h5", *ENGINE)
        says(output, "2 prompts", "the most likely tokens alone (level top)", "mode greedy")
        says_not(output, "not the most likely")
        with h5py.File(scratch / (name + ".h5")) as file:
            assert file.attrs["level"] == b"top" and "logits" not in file["prompts/first"]
            for prompt in ("first", "second"):
                assert generated_rows(file["prompts/" + prompt]) == EXPECTED, name
            assert file["prompts/first"].attrs["stop"] == (b"eos" if "chat" in name else b"length")
            assert len(file["prompts/first/input_ids"]) == 3
        if name in ("prompt", "sglang-prompt"):
            check_prompt_rows(scratch, name, output)
        else:
            assert "prompt's own tokens" not in output, output
    # Without a prompts file, from what the server says of the prompt.
    for name in ("ids", "sglang-prompt"):
        save(scratch, "alone.jsonl", shapes[name])
        scratch.run("import", "alone.jsonl", "--output", "alone.h5", *ENGINE, "--overwrite")
        with h5py.File(scratch / "alone.h5") as file:
            assert file["prompts/p0/tokens"][:].tolist() == PROMPT


def check_prompt_rows(scratch: Scratch, name: str, output: str) -> None:
    """Rows of the prompt's tokens beside generated ones: left out and said, or kept where they are asked for."""
    says(output, f"{name}.jsonl: log-probabilities of the prompt's own tokens are left out of 2 of 2 answers", "--prompt-rows keeps them")
    words = ("import", name + ".jsonl", "--prompts", "prompts.jsonl", "--output", name + ".h5", *ENGINE)
    scratch.refuses(*words, "--prompt-rows", says="holds another run", code=64)
    says_not(scratch.run(*words, "--prompt-rows", "--overwrite"), "prompt's own tokens")
    with h5py.File(scratch / (name + ".h5")) as file:
        assert file["prompts/first/input_ids"][:].tolist() == [5, 9, 2, 7, 11]
        assert file["prompts/first/top/ids"][:2].tolist() == [[one for one, _ in top] for top in GIVEN]
        assert generated_rows(file["prompts/first"]) == EXPECTED


def check_cut_characters(scratch: Scratch) -> None:
    """llama-server says nothing of tokens that end within a character: rows after them would stand at other tokens' places."""
    whole = llama_completion() | {"tokens_predicted": 5, "tokens": [7, 11, 20, 21, 3]}
    save(scratch, "cut.jsonl", whole, llama_completion())
    save(scratch, "two.jsonl", {"id": "a", "tokens": PROMPT}, {"id": "b", "tokens": PROMPT})
    words = ("import", "cut.jsonl", "--prompts", "two.jsonl", *ENGINE, "--output")
    says(scratch.run(*words, "cut.h5"), "2 prompts, 5 rows",
         "cut.jsonl line 1: the server says nothing of 2 of 5 tokens, which end within a character: kept up to the first of them, token 2")
    with h5py.File(scratch / "cut.h5") as file:
        assert file["prompts/a/chosen"][:].tolist() == [7, 11] and file["prompts/b/chosen"][:].tolist() == [7, 11, 3]
    chats = llama_chat() | {"usage": {"completion_tokens": 4}}
    for answer, makes in ((whole | {"tokens": []}, 5), (whole | {"tokens": [20, 7, 11, 21, 3]}, 5), (chats, 4)):
        save(scratch, "cut.jsonl", answer, llama_completion())
        says(scratch.run(*words, "one.h5", "--overwrite"), "1 prompt, 3 rows",
             f"cut.jsonl line 1: the server has {makes} tokens, and log-probabilities of 3: which ones are missing is not known", "left out of the record")
    save(scratch, "cut.jsonl", chats, chats)
    scratch.refuses(*words, "none.h5", says="the server has 4 tokens, and log-probabilities of 3")
    # Of other servers, that count the end of a text, one more is none too many.
    for count, code in ((3, 0), (4, 0), (5, 65)):
        save(scratch, "cut.jsonl", *[chat() | {"usage": {"completion_tokens": count}}] * 2)
        scratch.run(*words, "end.h5", "--overwrite", code=code)


def generated_only(answer: dict, count: int) -> dict:
    """With its first tokens alone."""
    one = copy.deepcopy(answer)
    lists = one["choices"][0]["logprobs"] if "choices" in one else one["meta_info"]
    for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset", "content", "output_token_logprobs", "output_top_logprobs"):
        if key in lists:
            lists[key] = lists[key][:count]
    return one


def check_greedy_with_prompt(scratch: Scratch) -> None:
    """Of a greedy answer with the prompt's log-probabilities the record is that of the answer without them: mode greedy, the
    same numbers of tokens. Where nothing, or one token, was generated, the prompt was scored, and its rows stay."""
    plain = completion(prompt_token_ids=PROMPT)
    lists = plain["choices"][0]["logprobs"]
    lists["tokens"][1] = "token_id:7"  # the other of the tie
    asked = copy.deepcopy(plain)
    asked["choices"][0]["prompt_logprobs"] = vllm_prompt()
    for name, answer in (("plain", plain), ("asked", asked)):
        save(scratch, name + ".jsonl", answer)
        says(scratch.run("import", name + ".jsonl", "--output", name + ".h5", *ENGINE), "1 prompt, 3 rows", "mode greedy")
    says(scratch.run("compare", "plain.h5", "asked.h5", code=2), "p0         3  inconclusive", "no chosen token differs")
    for answer in (asked, sglang(True)):
        for count, rows, mode in ((1, 3, "follow"), (0, 2, "score")):
            save(scratch, "scored.jsonl", generated_only(answer, count))
            output = scratch.run("import", "scored.jsonl", "--output", "scored.h5", "--overwrite", *ENGINE)
            says(output, f"1 prompt, {rows} rows", f"mode {mode}")
            says_not(output, "prompt's own tokens")
    np.save(scratch / "p.npy", np.zeros((1, 3), np.float32))
    scratch.refuses("import", "p.npy", "--prompt-rows", "--output", "x.h5", "--engine", "x", says="--prompt-rows is for a server's answers", code=64)


def check_whose(scratch: Scratch) -> None:
    """Answers without ids are told by their places: as many as prompts, and ids on every line or on none."""
    words = ("import", "whose.jsonl", "--prompts", "prompts.jsonl", "--output", "whose.h5", *ENGINE)

    def refused(answers: list, says: str) -> None:
        save(scratch, "whose.jsonl", *answers)
        scratch.refuses(*words, says=says)
        assert not list(scratch.folder.glob("whose.h5*"))

    for count in (1, 3):
        refused([chat()] * count, f"whose.jsonl: {count} answers without ids, but prompts.jsonl has 2 prompts: the n-th answer is the n-th "
                'prompt\'s, so one is needed of each. Give each line its prompt\'s id, {"id": "first", "response": {…}}')
    named = {"id": "second", "response": chat()}
    for answers, without, with_id in (([chat(), named], 1, 2), ([named, chat()], 2, 1)):
        refused(answers, f"whose.jsonl line {without}: has no id, whose.jsonl line {with_id} has (second): give every line its prompt's, "
                '{"id": "first", "response": {…}}, or none')
    save(scratch, "whose.jsonl", named)  # of some of the prompts
    says(scratch.run(*words), "1 prompt, 3 rows")


def check_empty(scratch: Scratch) -> None:
    """An answer without any token is left out by name, and its place still counts."""
    for answer in (completion(), chat(), sglang(), completion(prompt_logprobs=vllm_prompt())):
        save(scratch, "some.jsonl", generated_only(answer, 0), answer)
        words = ("import", "some.jsonl", "--prompts", "prompts.jsonl", "--output", "some.h5", "--overwrite", *ENGINE)
        says(scratch.run(*words), "some.jsonl line 1: nothing was generated: left out of the record", "1 prompt, 3 rows")
        with h5py.File(scratch / "some.h5") as file:
            assert list(file["prompts"]) == ["second"]
    empty = {"id": "first", "response": generated_only(chat(), 0)}
    save(scratch, "some.jsonl", empty, {"id": "second", "response": chat()}, empty)
    says(scratch.run(*words), "some.jsonl line 1 (id first): nothing was generated: left out of the record, as in 2 answers")
    save(scratch, "some.jsonl", empty, empty)
    scratch.refuses(*words, says="some.jsonl: nothing was generated in 2 of 2 answers")


def check_short_lists(scratch: Scratch) -> None:
    """One short list cuts the others, and that is said of it; a sampled token behind the most likely is no short list."""
    short = chat()
    content = short["choices"][0]["logprobs"]["content"]
    content[2]["top_logprobs"] = content[2]["top_logprobs"][-1:]
    save(scratch, "short.jsonl", chat(), short)
    words = ("import", "short.jsonl", "--prompts", "prompts.jsonl", "--output", "short.h5", "--overwrite", *ENGINE)
    output = scratch.run(*words)
    says(output, "short.jsonl line 2: the list of generated token 2 has 1 of the most likely tokens, others up to 3: all lists of this answer "
         "are cut to the shortest")
    says_not(output, "taken for the most likely")
    with h5py.File(scratch / "short.h5") as file:
        assert file["prompts/first/top/ids"].shape == (3, 3) and file["prompts/second/top/ids"].shape == (3, 1)
    content[2]["top_logprobs"] = []
    save(scratch, "short.jsonl", chat(), short)
    says(scratch.run(*words), "1 tokens of 1 of 2 answers have no list of the most likely ones: the token itself is taken for the most likely",
         "line 2: the list of generated token 2 has 1 ")
    sampled = completion()
    lists = sampled["choices"][0]["logprobs"]
    lists["tokens"][1] = "token_id:30"
    lists["token_logprobs"][1] = lists["top_logprobs"][1]["token_id:30"] = -7.5
    save(scratch, "short.jsonl", sampled, chat())
    output = scratch.run(*words)
    says_not(output, "cut to the shortest")
    says(output, "1 of 6 generated tokens is not the most likely of its row (sampled, or another model's?): mode follow "
         "(first: short.jsonl line 1, generated token 1)")


def check_own(scratch: Scratch) -> None:
    """A generated token as likely as its list's first is the choice, in a list or not; one whose log-probability, or id, is
    said twice and differs is refused by line and place."""
    words = ("import", "own.jsonl", "--prompts", "prompts.jsonl", "--output", "own.h5", "--overwrite", *ENGINE)
    for k in (1, 2):  # lists that broke the tie otherwise: the generated 11 is not in them, and 7 is as likely
        answer = sglang()
        answer["meta_info"]["output_top_logprobs"] = [[[value, one, None] for one, value in top if (i, one) != (1, 11)][:k]
                                                      for i, (_, top) in enumerate(PLACES)]
        save(scratch, "own.jsonl", answer, answer)
        output = scratch.run(*words)
        says(output, "2 prompts, 6 rows", "mode greedy")
        says_not(output, "note:")
        with h5py.File(scratch / "own.h5") as file:
            assert file["prompts/first/chosen"][:].tolist() == [7, 11, 3]
            assert file["prompts/first/top/ids"][:].tolist() == [[7, 3][:k], [11, 7][:k], [3, 0][:k]]
            assert file["prompts/first/top/log_probabilities"][1].tolist() == [-0.75, -0.75][:k]
    # Less likely than the list's first, and not in it: it was sampled.
    answer["meta_info"]["output_token_logprobs"][1] = [-0.875, 12, None]
    answer["output_ids"][1] = 12
    save(scratch, "own.jsonl", answer, answer)
    says(scratch.run(*words), "2 of 6 generated tokens are not the most likely", "mode follow")

    def refused(says: str, value: dict) -> None:
        save(scratch, "own.jsonl", chat(), value)
        scratch.refuses(*words, says=f"own.jsonl line 2: {says}")

    def changed(change, value: dict) -> dict:
        one = copy.deepcopy(value)
        change(one["choices"][0] if "choices" in one else one["meta_info"])
        return one

    refused("generated token 0: token 7 has log-probability -9.9, but -0.25 in the list of the most likely there: which is right?",
            changed(lambda c: c["logprobs"]["token_logprobs"].__setitem__(0, -9.9), completion()))
    refused("generated token 2: token 3 has log-probability -0.5, but -0.125 in the list",
            changed(lambda m: m["output_token_logprobs"].__setitem__(2, [-0.5, 3, None]), sglang()))
    refused("generated token 0: token 12 has log-probability -0.125, more than all in the list of the most likely there, up to -0.25, "
            "which lacks it", changed(lambda c: c["logprobs"]["tokens"].__setitem__(0, "token_id:12") or
                                      c["logprobs"]["token_logprobs"].__setitem__(0, -0.125), completion()))
    refused("generated token 1: the probabilities of its list sum to 1.85, more than 1",
            changed(lambda c: c["logprobs"]["top_logprobs"].__setitem__(1, {"token_id:11": -0.125, "token_id:7": -0.125, "token_id:5": -2.5})
                    or c["logprobs"]["token_logprobs"].__setitem__(1, -0.125), completion()))
    ids = [token for token, _ in PLACES]
    for answer, key in ((completion(), "tokens"), (chat(), "token")):
        one = changed(lambda c: c.__setitem__("token_ids", [7, 4, 3]), answer)
        save(scratch, "own.jsonl", one, one)
        output = scratch.run(*words, code=65)
        says(output, "own.jsonl line 1", key, '"token_id:11"', "generated token 1 is 4 in token_ids: which is right?")
        save(scratch, "own.jsonl", *[changed(lambda c: c.__setitem__("token_ids", ids), answer)] * 2)
        says(scratch.run(*words), "mode greedy")
    refused("output_ids is 4; generated token 1 is 11 in output_token_logprobs", sglang() | {"output_ids": [7, 4, 3]})
    # Rounded to two digits, as some servers do, all of it is one number.
    rounded = changed(lambda c: c["logprobs"].__setitem__("token_logprobs", [-0.254, -0.751, -0.13]), completion())
    save(scratch, "own.jsonl", rounded, rounded)
    says(scratch.run(*words), "mode greedy")


def check_lists_of_prompts(scratch: Scratch) -> None:
    """Tokens without a list are counted where they become rows: those of the prompt with --prompt-rows alone."""
    answer = sglang(True)
    answer["meta_info"]["input_top_logprobs"] = [None] * len(PROMPT)
    save(scratch, "lists.jsonl", answer)
    words = ("import", "lists.jsonl", "--output", "lists.h5", "--overwrite", *ENGINE)
    output = scratch.run(*words)
    says(output, "prompt's own tokens are left out")
    says_not(output, "have no list")
    says(scratch.run(*words, "--prompt-rows"), "2 tokens of 1 of 1 answers have no list of the most likely ones")
    answer["meta_info"]["output_top_logprobs"][1] = []
    save(scratch, "lists.jsonl", answer)
    says(scratch.run(*words), "1 tokens of 1 of 1 answers have no list of the most likely ones")


def check_analysis(scratch: Scratch) -> None:
    """Choices are compared, and what is not is said first."""
    output = scratch.run("inspect", "chat.h5", "--validate")
    says(output, "6 rows, 0 with all logits", "choices are compared")
    # Empty texts say as little as none.
    says(output, *(f"/model/@{name}: " for name in ("architecture", "dtype", "quantization", "config", "identity", "weights", "tokenizer")))
    says_not(output, "/@hash", "/@stop", "/@version")
    output = scratch.run("compare", "chat.h5", "completion.h5", code=2)
    says(output, "top-k only: chat and completion have not every logit of 2 of 2 prompts", "weights: chat and completion do not say",
         "verdict: inconclusive")
    assert output.index("not comparable") < output.index("prompt ")
    other = chat()
    last = other["choices"][0]["logprobs"]["content"][2]  # token 9 is the most likely now
    last["top_logprobs"][0]["logprob"], last["logprob"] = -0.25, -2.0
    last["top_logprobs"][2]["logprob"] = -2.0
    save(scratch, "other.jsonl", other, other)
    scratch.run("import", "other.jsonl", "--prompts", "prompts.jsonl", "--output", "other.h5", *ENGINE)
    says(scratch.run("compare", "chat.h5", "other.h5", code=1), "verdict: differs", "token 3 of first",
         "at the 2 choices that differ the reference's first token led its second by 2.38 to 2.38 in logits")
    check_gate(scratch)
    for command in (("gate",), ("explain",), ("report", "--output", "page.html")):
        output = scratch.run(command[0], "chat.h5", "other.h5", *command[1:], code=2 if command[0] == "gate" else 0)
        if command[0] != "report":
            says(output, "top-k only")
            assert output.index("not comparable") < 400, output


def check_gate(scratch: Scratch) -> None:
    """Whatever the thresholds, nothing passes without logits; what choices decide can fail."""
    limit = "[data]\nprompts = 1\ntokens = 3\n[limits]\n"
    for name, limits, other, code, state in (("flips", "flips = 0.999\n", "completion", 2, "inconclusive"),
                                             ("texts", "changed_prompts = 0.99\n", "completion", 2, "inconclusive"),
                                             ("far", "flips = 0.999\n", "other", 2, "inconclusive"),
                                             ("none", "changed_prompts = 0.001\n", "other", 1, "fail")):
        (scratch / f"{name}.toml").write_text(limit + limits)
        output = scratch.run("gate", "chat.h5", f"{other}.h5", "--thresholds", f"{name}.toml", code=code)
        says(output, f"verdict: {state}", "No." if other == "other" else "Not known yet.")
        says_not(output, "keeps every limit")
        if code == 2:
            says(" ".join(output.split()), "choices alone pass no limit: no logits of chat and " + other)


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

    words = ("import", "part.jsonl", "--prompts", "prompts.jsonl", "--output", "part.h5", "--overwrite", "--prompt-rows", *ENGINE)
    save(scratch, "part.jsonl", asked(2), asked(2))
    says(scratch.run(*words), "part.jsonl line 1: input_token_logprobs has 2 tokens, the prompt 3: the prompt's tokens are left out of the record, "
         'as in 2 answers: ask for all of them (SGLang: "logprob_start_len": 0)')
    says_not(scratch.run(*[word for word in words if word != "--prompt-rows"]), "left out", "input_token_logprobs")
    save(scratch, "part.jsonl", *[asked(2, None)] * 2)
    says(scratch.run(*words), "input_token_logprobs has 2 tokens, the prompt a number that prompt_tokens does not say")
    for count in (0, 1, 3):
        save(scratch, "part.jsonl", *[asked(count)] * 2)
        without = [word for word in words if word != "--prompt-rows"]
        says_not(scratch.run(*(words if count == 3 else without)), "left out", "input_token_logprobs")
        if count < 3:
            scratch.refuses(*words, says="part.jsonl: --prompt-rows, but no answer has log-probabilities of its prompt's tokens: ask for them")
    save(scratch, "part.jsonl", *[asked(4)] * 2)
    scratch.refuses(*words[:-len(ENGINE)], *ENGINE, says="part.jsonl line 1: meta_info: input_token_logprobs is")


def check_refusals(scratch: Scratch) -> None:
    def bad(answer, *expected: str, words=("--prompts", "one.jsonl"), code: int = 65) -> None:
        (scratch / "bad.jsonl").write_text(answer if isinstance(answer, str) else json.dumps(answer) + "\n")
        (scratch / "one.jsonl").write_text(json.dumps({"id": "first", "tokens": PROMPT}) + "\n")
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
    one = llama_completion()
    del one["completion_probabilities"]
    bad(one, 'ask the server for them ("n_probs": 20)')
    one = llama_completion()
    one["completion_probabilities"][0] |= {"prob": 0.5, "top_probs": []}
    del one["completion_probabilities"][0]["logprob"]
    bad(one, 'ask for log-probabilities ("post_sampling_probs": false)')
    one = llama_chat()
    one["choices"][0]["token_ids"] = [7, 12, 3]
    bad(one, "generated token 1 is 12 in token_ids: which is right?")
    for tokens, first in (([7, 12, 3], 1), ([7], 1), ([7, 11, 3, 4], 3)):
        bad(llama_completion() | {"tokens": tokens}, f"has others than its log-probabilities, from token {first} on")
    one = llama_completion()
    one["completion_probabilities"][0]["token"] = "token_id:9"
    bad(one, 'its token says "token_id:9": which is right?')
    for answer in (llama_completion() | {"tokens_evaluated": 4}, chat() | {"usage": {"prompt_tokens": 4}}):
        bad(answer, "the server was fed 4 tokens, prompt '", "has 3: did it add a BOS token, or a chat template?")
    bad(llama_completion() | {"truncated": True}, "the server cut the prompt")
    bad(llama_completion() | {"completion_probabilities": None}, 'ask the server for them ("n_probs": 20)')
    one = llama_chat()
    one["choices"][0]["logprobs"]["content"][0]["id"] = "7"
    bad(one, "id")
    bad({"object": "list"}, "neither choices (OpenAI-style, vLLM) nor meta_info")
    bad({"choices": []}, "one is expected")
    bad(changed(lambda c: c.pop("logprobs")), 'logprobs is null; ask the server for them (completions: "logprobs": 20')
    bad(changed(lambda c: c["logprobs"]["token_logprobs"].pop()), "token_logprobs is")
    bad(changed(lambda c: c["logprobs"]["top_logprobs"].pop()), "a list of 3, as tokens, is expected")
    bad(changed(lambda c: c["logprobs"]["tokens"].__setitem__(1, " the")), 'tokens is " the"; no token of the tokenizer\'s: give --model')
    bad(changed(lambda c: c["logprobs"]["tokens"].__setitem__(0, "token_id:50")), "token 50 at place 0 of the answer: the vocabulary has 50")
    bad(changed(lambda c: c["logprobs"]["top_logprobs"].__setitem__(0, {"token_id:99": -1})), "token 99 among the most likely")
    bad(changed(lambda c: c["logprobs"]["top_logprobs"].__setitem__(1, {})), "generated token 1: its list of the most likely tokens is empty")
    bad(changed(lambda c: c["logprobs"]["token_logprobs"].__setitem__(0, 0.5)), "token_logprobs is 0.5; a log-probability, at most 0")
    bad(changed(lambda c: c["logprobs"]["token_logprobs"].__setitem__(0, None)), '"echo": false')
    bad(changed(lambda c: c["logprobs"]["token_logprobs"].__setitem__(0, "x")), "a log-probability, at most 0, is expected")
    bad(json.dumps(completion()).replace("-0.25", "NaN"), "bad.jsonl line 1")
    bad(changed(lambda c: c.__setitem__("token_ids", [1])), "token_ids has 1, this list 3")
    bad(changed(lambda c: c.__setitem__("prompt_token_ids", [5, 9])), "the server was fed 2 tokens, one.jsonl has 3 for prompt 'first'")
    for answer in (completion(), completion(prompt_logprobs=vllm_prompt())):  # of the latter the first token is not there
        bad(answer, 'which tokens the server was fed is not said: give --prompts FILE.jsonl, or ask it (vLLM: "return_token_ids": true; SGLang', words=())
    bad(changed(lambda c: c.__setitem__("prompt_logprobs", [{}, {}])), "a list whose first entry is null is expected")
    bad(changed(lambda c: c.__setitem__("prompt_logprobs", [None, {"x": {"logprob": -1}}, {}])), 'key "x" is no token id')
    bad(changed(lambda c: c.__setitem__("prompt_logprobs", [None, {"1": {"logprob": -1}}])), "log-probabilities of 1 tokens of the prompt, which has 3")
    bad({"id": "no", "response": completion()}, "id no is no prompt's of one.jsonl")
    bad({"id": "a b", "response": completion()}, "an id of 1 to 64")
    meta = sglang()
    bad(changed(lambda m: m.pop("output_token_logprobs"), meta), '"return_logprob": true')
    bad(changed(lambda m: m["output_token_logprobs"].__setitem__(0, [-1.0]), meta), "[log-probability, token id, text] is expected")
    bad(changed(lambda m: m["output_top_logprobs"][0].__setitem__(0, [-1.0, -3, None]), meta), "an integer from 0")
    bad(changed(lambda m: m["output_top_logprobs"].pop(), meta), "a list of 3, as output_token_logprobs, is expected")
    bad(changed(lambda m: m["output_top_logprobs"][0].append([-7.0, 7, None]), meta), "token 7 is there twice")
    save(scratch, "twice.jsonl", *[{"custom_id": "second", "response": chat()}] * 2)
    scratch.refuses("import", "twice.jsonl", "--prompts", "prompts.jsonl", "--output", "twice.h5", *ENGINE,
                    says="twice.jsonl line 2: id second is that of twice.jsonl line 1")
    assert not list(scratch.folder.glob("twice.h5*"))
    (scratch / "empty.jsonl").write_text("\n")
    scratch.refuses("import", "empty.jsonl", "--output", "bad.h5", *ENGINE, says="empty.jsonl: holds no answer")
    scratch.refuses("import", "chat.jsonl", "--output", "bad.h5", "--engine", "x", says="give --model or --vocabulary", code=64)
    for size in ("0", "4194305", "2000000000"):
        scratch.refuses("import", "ids.jsonl", "--output", "large.h5", "--engine", "x", "--vocabulary", size, code=64,
                        says=f"--vocabulary {size}: must be 1 to 4194304")
    assert not list(scratch.folder.glob("large.h5*"))


def main() -> None:
    scratch = Scratch()
    assert np.float32(-0.875) == -0.875  # every value here is one of float32's
    check_shapes(scratch)
    check_cut_characters(scratch)
    check_greedy_with_prompt(scratch)
    check_whose(scratch)
    check_empty(scratch)
    check_short_lists(scratch)
    check_own(scratch)
    check_lists_of_prompts(scratch)
    check_analysis(scratch)
    check_parts_of_prompts(scratch)
    check_refusals(scratch)
    shutil.rmtree(scratch.folder)


if __name__ == "__main__":
    main()
