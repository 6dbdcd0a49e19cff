#!/usr/bin/env python3
"""The prompt sets are what experiments/prompts/README.md says: tests/golden/prompt_sets.py BUILD_FOLDER

Writes every prompt's token ids as Hugging Face's tokenizers gives them to BUILD_FOLDER/golden/prompt-tokens.json, which
prompt_sets_test.cpp compares with the worker's.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "python"))
sys.dont_write_bytecode = True
import prompt_table as sets  # noqa: E402

SKIPPED = 77
COUNTS = {"short": {"en": 52, "zh": 26, "ja": 26}, "medium": {"en": 24, "zh": 12, "ja": 12},
          "long": {"en": 8, "zh": 8, "ja": 8}}
TOKENS = {"short": (5, 40), "medium": (100, 400), "long": (1200, 1600)}  # least and most
ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
KANA, HAN = re.compile("[\u3041-\u309f\u30a1-\u30fa]"), re.compile("[\u4e00-\u9fff]")
SENTENCE = re.compile("[.!?。！？\n]+")


def language_of(text: str) -> str:
    """By script: kana is Japanese, Han characters without kana are Chinese."""
    if KANA.search(text):
        return "ja"
    return "zh" if HAN.search(text) else "en"


def repeated_sentence(text: str) -> str | None:
    sentences = [s.strip() for s in SENTENCE.split(text) if len(s.strip()) >= 20]
    return next((s for s in sentences if sentences.count(s) > 1), None)


def problems(prompts: list[sets.Prompt], tokens: dict[str, list[int]]) -> list[str]:
    found = []
    ids, texts = set(), set()
    for prompt in prompts:
        def report(message: str) -> None:
            found.append(f"{prompt.where}: {prompt.id}: {message}")
        if not ID.fullmatch(prompt.id) or prompt.id.split("-")[1] != prompt.set:
            report("no valid id, or not that of its set")
        if prompt.id in ids:
            report("the id is used twice")
        if prompt.text in texts:
            report("the text is used twice")
        ids.add(prompt.id)
        texts.add(prompt.text)
        if language_of(prompt.text) != prompt.language:
            report(f"the text looks like {language_of(prompt.text)}")
        if prompt.text != prompt.text.strip():
            report("white space at an end")
        least, most = TOKENS[prompt.set]
        if not least <= len(tokens[prompt.id]) <= most:
            report(f"{len(tokens[prompt.id])} tokens, not {least} to {most}")
        if (sentence := repeated_sentence(prompt.text)) is not None:
            report(f"a sentence stands there twice: {sentence}")
    for name, languages in COUNTS.items():
        for language, wanted in languages.items():
            count = sum(p.set == name and p.language == language for p in prompts)
            if count != wanted:
                found.append(f"{name}.jsonl: {count} prompts in {language}, not {wanted}")
    return found


def control(prompts: list[sets.Prompt], tokens: dict[str, list[int]]) -> None:
    """Each kind of damage is seen, so that a clean result means something."""
    first = prompts[0]
    damaged = {
        "the id is used twice": [*prompts, first],
        "no valid id": [sets.Prompt("", first.set, f".{first.id}", first.text)],
        "the text looks like ja": [sets.Prompt("", first.set, first.id, "これは")],
        "white space": [sets.Prompt("", first.set, first.id, first.text + " ")],
        "stands there twice": [sets.Prompt("", first.set, first.id, "This stands here more than once. " * 2)],
        "prompts in en": prompts[1:],
    }
    for message, case in damaged.items():
        lengths = {p.id: tokens.get(p.id, []) for p in case}
        assert any(message in problem for problem in problems(case, lengths)), message
    assert any("tokens, not" in problem for problem in problems(prompts, {p.id: [] for p in prompts}))


def main() -> int:
    build = Path(sys.argv[1])
    prompts = sets.read_all()
    if not sets.TOKENIZER.is_file():
        print(f"{sets.TOKENIZER} is absent: run scripts/fetch-model smollm2-135m")
        return 1 if "SHARDRIFT_REQUIRE_MODEL" in os.environ else SKIPPED
    tokens = sets.encode(prompts, sets.TOKENIZER)
    found = problems(prompts, tokens)
    readme = (sets.FOLDER / "README.md").read_text(encoding="utf-8")
    if sets.replace_table(readme, sets.table(tokens, prompts)) != readme:
        found.append("README.md: the table is old: run scripts/python/prompt_table.py --write")
    print("\n".join(found) or f"{len(prompts)} prompts, {sum(map(len, tokens.values()))} tokens")
    control(prompts, tokens)
    (build / "golden").mkdir(exist_ok=True)
    (build / "golden" / "prompt-tokens.json").write_text(json.dumps(tokens))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
