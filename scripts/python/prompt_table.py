#!/usr/bin/env python3
"""How many prompts each set in experiments/prompts holds, and how many tokens they have, as a Markdown table.

  .venv/bin/python scripts/python/prompt_table.py           prints the table
  .venv/bin/python scripts/python/prompt_table.py --write   puts it into experiments/prompts/README.md

Lengths are those of a tokenizer.json as Hugging Face's tokenizers encodes, special tokens added: SmolLM2's (fetched by
scripts/fetch-model smollm2-135m) unless --tokenizer names another one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "experiments" / "prompts"
TOKENIZER = ROOT / "models" / "smollm2-135m" / "tokenizer.json"
BEGIN, END = "<!-- made by scripts/python/prompt_table.py --write -->", "<!-- end -->"
SETS = ("short", "medium", "long")
LANGUAGES = {"en": "English", "zh": "Chinese", "ja": "Japanese"}


@dataclass
class Prompt:
    where: str  # "short.jsonl line 3"
    set: str
    id: str
    text: str

    @property
    def language(self) -> str:
        return self.id.split("-")[0]


def read_set(name: str) -> list[Prompt]:
    """The prompts of one set; raises ValueError naming file and line where it is not one {"id", "text"} a line."""
    path = FOLDER / f"{name}.jsonl"
    prompts = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name} line {number}"
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: not JSON: {error}") from error
        if not isinstance(value, dict) or set(value) != {"id", "text"}:
            raise ValueError(f'{where}: not an object of "id" and "text"')
        if not all(isinstance(item, str) for item in value.values()):
            raise ValueError(f'{where}: "id" or "text" is no string')
        prompts.append(Prompt(where, name, value["id"], value["text"]))
    return prompts


def read_all() -> list[Prompt]:
    return [prompt for name in SETS for prompt in read_set(name)]


def row(name: str, language: str, lengths: list[int]) -> str:
    return (f"| {name} | {language} | {len(lengths)} | {min(lengths)} | {statistics.median(lengths):.0f} "
            f"| {max(lengths)} | {sum(lengths)} |")


def table(tokens: dict[str, list[int]], prompts: list[Prompt]) -> str:
    """tokens: those of each prompt, by id."""
    rows = ["| set | language | prompts | tokens, least | median | most | all |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for name in SETS:
        for code, language in LANGUAGES.items():
            lengths = [len(tokens[p.id]) for p in prompts if p.set == name and p.language == code]
            rows.append(row(f"`{name}.jsonl`", language, lengths))
    rows.append(row("all", "", [len(tokens[p.id]) for p in prompts]))
    return "\n".join(rows)


def encode(prompts: list[Prompt], tokenizer: Path) -> dict[str, list[int]]:
    encoder = Tokenizer.from_file(str(tokenizer))
    return {prompt.id: encoder.encode(prompt.text).ids for prompt in prompts}


def replace_table(readme: str, made: str) -> str:
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, metavar="FILE", help="a tokenizer.json")
    parser.add_argument("--write", action="store_true", help="put the table into experiments/prompts/README.md")
    arguments = parser.parse_args()
    if arguments.write and arguments.tokenizer != TOKENIZER:
        parser.error("--write takes SmolLM2's tokenizer: the README says so")
    if not arguments.tokenizer.is_file():
        print(f"error: {arguments.tokenizer} is missing: run scripts/fetch-model smollm2-135m, or give --tokenizer",
              file=sys.stderr)
        return 65
    try:
        prompts = read_all()
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 65
    made = table(encode(prompts, arguments.tokenizer), prompts)
    if arguments.write:
        path = FOLDER / "README.md"
        path.write_text(replace_table(path.read_text(encoding="utf-8"), made), encoding="utf-8")
    else:
        print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
