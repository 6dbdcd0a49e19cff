#!/usr/bin/env python3
"""Writes tests/golden/references/*.json: float32 logits of transformers that golden_test.cpp compares ours with.

Run by hand, when a fixture changes; CI reads what is committed. In an environment of its own:

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install torch==2.11.0 transformers numpy
    .venv/bin/python tests/fixtures/make-fixtures build/fixtures && scripts/fetch-model smollm2-135m
    /tmp/golden/bin/python tests/golden/make-goldens.py

Logits are little-endian float32 words in base64, row-major [rows, columns]. `rows` are token positions; `columns` are
vocabulary ids, null for all of them.
"""

from __future__ import annotations

import argparse
import base64
import json
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
TINY = ["tiny-llama", "tiny-llama-headdim", "tiny-llama-tied-rope3", "tiny-mistral", "tiny-exact", "tiny-sharded",
        "tiny-llama-biases"]
COLUMNS = 256  # of SmolLM2's 49152
LONG_TEXT = """\
The lighthouse at the end of the island had not been lit for eleven years when Marta arrived with two suitcases, a box
of tools and a letter from the harbour office. The letter said that she was to repair the lamp before the first storm of
autumn, and that the office would pay for oil, glass and paint, but not for food. She read it again on the boat. Nobody
had told her how the lamp worked, or why the last keeper had left.

On the first morning she counted the steps: 214 to the top. The lens was as tall as a man and covered with salt. Three
of its prisms were broken, the clockwork had rusted solid, and a pair of gulls had built a nest where the mirror should
have been. She sat down next to the nest and ate an apple. "We will have to share," she said to the gulls, and they
looked at her as if she had said something obvious.

It took her nine days to clean the glass, and another twelve to free the gears. She wrote every part down in a notebook:
its name, its size in millimetres, what was wrong with it, and what she had done about it. By the end of September the
notebook had 96 pages, and the lamp turned once every 30 seconds, exactly as the old drawings said it should. Then she
lit it, went down all 214 steps, walked out to the rocks, and waited for someone at sea to notice.
"""


def logits_of(model: torch.nn.Module, tokens: list[int]) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].float().numpy()


def entry(model: torch.nn.Module, name: str, tokens: list[int], rows: list[int], columns: list[int] | None) -> dict:
    full = logits_of(model, tokens)[rows]
    top = np.sort(full, axis=1)
    values = full if columns is None else full[:, columns]
    return {
        "id": name,
        "tokens": tokens,
        "rows": rows,
        "columns": columns,
        "argmax": full.argmax(axis=1).tolist(),
        "margin": [round(float(m), 5) for m in top[:, -1] - top[:, -2]],  # to the runner-up
        "logits": base64.b64encode(values.astype("<f4").tobytes()).decode(),
    }


def load(directory: Path) -> torch.nn.Module:
    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def write(path: Path, value: dict) -> None:
    value = {"made_by": f"tests/golden/make-goldens.py, transformers {transformers.__version__}, "
                        f"torch {torch.__version__}, float32 on a CPU", **value}
    path.write_text(json.dumps(value, indent=1) + "\n")
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def tiny(directory: Path, out: Path) -> None:
    model = load(directory)
    draw = np.random.RandomState(20)  # its integers are frozen across numpy versions
    vocabulary = model.config.vocab_size
    prompts = []
    for name, length in (("one", 1), ("short", 7), ("long", 45)):
        tokens = draw.randint(3, vocabulary, length).tolist()
        prompts.append(entry(model, name, tokens, list(range(length)), None))
    # The last id and the end-of-sequence id are ordinary input too.
    edge = [vocabulary - 1, 0, 2, vocabulary - 1, 1]
    prompts.append(entry(model, "edge", edge, list(range(len(edge))), None))
    write(out / f"{directory.name}.json", {"model": directory.name, "prompts": prompts})


def smollm2(directory: Path, out: Path) -> None:
    model = load(directory)
    tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    draw = np.random.RandomState(21)
    columns = sorted(draw.choice(model.config.vocab_size, COLUMNS, replace=False).tolist())
    prompts = []
    france = "The capital of France is"
    for name, text, rows in (("france", france, 5), ("mixed", "São Paulo – 東京 – Москва: 12,5 %\tΩ 🙂 don't", 12),
                             ("long", LONG_TEXT, 32)):
        tokens = tokenizer.encode(text).ids
        at = np.unique(np.linspace(0, len(tokens) - 1, rows).round().astype(int)).tolist()
        prompts.append({**entry(model, name, tokens, at, columns), "text": text})
        print(f"   {name}: {len(tokens)} tokens")
    tokens = tokenizer.encode(france).ids
    with torch.no_grad():
        written = model.generate(torch.tensor([tokens]), attention_mask=torch.ones(1, len(tokens)), max_new_tokens=16,
                                 do_sample=False, eos_token_id=None, pad_token_id=0)[0]
    full = logits_of(model, written.tolist())[len(tokens) - 1 : -1]
    top = np.sort(full, axis=1)
    write(out / f"{directory.name}.json", {
        "model": directory.name,
        "prompts": prompts,
        "greedy": {
            "text": france,
            "tokens": tokens,
            "continuation": written[len(tokens):].tolist(),
            "continuation_text": tokenizer.decode(written[len(tokens):].tolist()),
            "smallest_margin": round(float((top[:, -1] - top[:, -2]).min()), 5),
        },
    })


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixtures", type=Path, default=ROOT / "build" / "fixtures",
                        help="where tests/fixtures/make-fixtures wrote the tiny checkpoints (default: build/fixtures)")
    parser.add_argument("--smollm2", type=Path, default=ROOT / "models" / "smollm2-135m",
                        help="SmolLM2's directory (default: models/smollm2-135m)")
    parser.add_argument("--output", type=Path, default=ROOT / "tests" / "golden" / "references")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in TINY:
        tiny(arguments.fixtures / name, arguments.output)
    smollm2(arguments.smollm2, arguments.output)


if __name__ == "__main__":
    main()
