#!/usr/bin/env python3
"""Writes tests/golden/references/*.json: float32 logits of transformers that golden_test.cpp compares ours with.

Run by hand, when a fixture changes; CI reads what is committed. In an environment of its own:

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install torch==2.11.0 transformers numpy
    .venv/bin/python tests/fixtures/make-fixtures build/fixtures && scripts/fetch-model smollm2-135m
    /tmp/golden/bin/python tests/golden/make-goldens.py

Logits are little-endian float32 words in base64, row-major [rows, columns]. `rows` are token positions; `columns` are
vocabulary ids, null for all of them. `decode` is a greedy continuation: a row for each of its tokens. `precision` has
float64 logits of the prompt that it names, all rows, and the relative errors of transformers' own narrower runs. `routes` of a
mixture are the experts that each token of that prompt goes to, int32 [layers, tokens, k], and their weights; no token of a
golden is routed by less than ROUTED.
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
from reference_models import Routes, all_in_float64, load

ROOT = Path(__file__).resolve().parents[2]
TINY = ["tiny-llama", "tiny-llama-headdim", "tiny-llama-tied-rope3", "tiny-mistral", "tiny-exact", "tiny-sharded",
        "tiny-llama-biases"]
# With a decode and float64 logits as well. SPELLINGS are other spellings of models that stand here: their logits are these.
KINDS = ["tiny-qwen3", "tiny-qwen3-v5", "tiny-qwen2", "tiny-qwen2-yarn", "tiny-internlm2", "tiny-gemma2", "tiny-gemma3",
         "tiny-phi3", "tiny-olmo2", "tiny-olmo3", "tiny-granite", "tiny-mixtral", "tiny-mixtral-window",
         "tiny-qwen3-moe", "tiny-qwen3-moe-step", "tiny-gpt-oss", "tiny-gpt-oss-mxfp4", "tiny-llama-linear", "tiny-llama-dynamic",
         "tiny-llama-attention-bias", "tiny-llama-mixed", "tiny-llama-float64", "tiny-llama-float16", "tiny-llama-bfloat16"]
SPELLINGS = {"tiny-gemma3-v5": "tiny-gemma3", "tiny-gemma3-wrapper": "tiny-gemma3", "tiny-phi3-v5": "tiny-phi3",
             "tiny-olmo3-v5": "tiny-olmo3"}
DECODE_PROMPTS = 60  # that are tried
DECODE_PROMPT, DECODE_STEPS = 20, 24  # tokens; the lengths from which rope is scaled lie between
CLEAR = 1e-3  # every choice of a decode is clearer than this
ROUTED = 1e-4  # between the logits of the experts that a token goes to and the others
ROUTED_PROMPT, ROUTED_PROMPTS = 6, 2000  # tokens, and prompts that are tried, of one whose routes 16 bits do not change
ROUTED_IN_16_BITS = 0.12
PRECISE_COLUMNS = 16
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
    return routed_logits_of(model, tokens)[0]


def routed_logits_of(model: torch.nn.Module, tokens: list[int]) -> tuple[np.ndarray, Routes]:
    with torch.no_grad(), Routes(model) as routes:
        logits = model(torch.tensor([tokens])).logits[0]
    return in_numpy(logits), routes


def in_numpy(logits: torch.Tensor) -> np.ndarray:
    return (logits if logits.dtype == torch.float64 else logits.float()).numpy()


def words(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(values.astype(dtype).tobytes()).decode()


def entry(model: torch.nn.Module, name: str, tokens: list[int], rows: list[int], columns: list[int] | None) -> dict:
    full, routes = routed_logits_of(model, tokens)
    assert routes.margin() > ROUTED, f"{name}: a token is routed by {routes.margin()}: take another seed"
    full = full[rows]
    top = np.sort(full, axis=1)
    values = full if columns is None else full[:, columns]
    return {
        "id": name,
        "tokens": tokens,
        "rows": rows,
        "columns": columns,
        "argmax": full.argmax(axis=1).tolist(),
        "margin": [round(float(m), 5) for m in top[:, -1] - top[:, -2]],  # to the runner-up
        "logits": words(values, "<f4"),
    }


def write(path: Path, value: dict) -> None:
    value = {"made_by": f"tests/golden/make-goldens.py, transformers {transformers.__version__}, "
                        f"torch {torch.__version__}, float32 on a CPU", **value}
    path.write_text(json.dumps(value, indent=1) + "\n")
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def tiny_prompts(directory: Path) -> list[dict]:
    vocabulary = load(directory).config.get_text_config().vocab_size
    draw = np.random.RandomState(20)  # its integers are frozen across numpy versions
    tokens = {name: draw.randint(3, vocabulary, length).tolist() for name, length in (("one", 1), ("short", 7), ("long", 45))}
    # The last id and the end-of-sequence id are ordinary input too.
    tokens["edge"] = [vocabulary - 1, 0, 2, vocabulary - 1, 1]
    return [entry(load(directory), name, ids, list(range(len(ids))), None) for name, ids in tokens.items()]


def tiny(directory: Path, out: Path) -> None:
    write(out / f"{directory.name}.json", {"model": directory.name, "prompts": tiny_prompts(directory)})


def kind(directory: Path, out: Path) -> None:
    prompts = tiny_prompts(directory)
    for name in (name for name, same in SPELLINGS.items() if same == directory.name):
        for other, expected in zip(tiny_prompts(directory.with_name(name)), prompts, strict=True):
            assert other == expected, f"{name} is not {directory.name}"
    model = load(directory)
    name, mixture = "long", bool(Routes(model).layers)
    if mixture:
        name = "routed"
        prompts.append(entry(model, name, clearly_routed(model), list(range(ROUTED_PROMPT)), None))
    tokens = next(prompt["tokens"] for prompt in prompts if prompt["id"] == name)
    value = {"model": directory.name, "prompts": prompts, "decode": decode(directory),
             "precision": precision(directory, name, tokens)}
    if mixture:
        value["routes"] = routes_of(model, name, tokens)
    write(out / f"{directory.name}.json", value)


def clearly_routed(model: torch.nn.Module) -> list[int]:
    """A prompt that goes to the same experts in 16 bits."""
    vocabulary = model.config.get_text_config().vocab_size
    for seed in range(ROUTED_PROMPTS):
        tokens = np.random.RandomState(1000 + seed).randint(3, vocabulary, ROUTED_PROMPT).tolist()
        if routed_logits_of(model, tokens)[1].margin() > ROUTED_IN_16_BITS:
            return tokens
    raise AssertionError("no prompt is routed clearly enough")


def routes_of(model: torch.nn.Module, name: str, tokens: list[int]) -> dict:
    routes = routed_logits_of(model, tokens)[1]
    return {"prompt": name, "layers": routes.layers, "k": routes.experts().shape[-1], "margin": round(routes.margin(), 5),
            "experts": words(routes.experts(), "<i4"), "weights": words(routes.weights(), "<f4")}


def decode(directory: Path) -> dict:
    """A greedy continuation of a drawn prompt that is clear throughout. A text that runs in a circle says little of the
    cache: of some prompts, the one with the most different tokens, or the first with enough of them."""
    best: tuple[int, list[int], np.ndarray] | None = None
    for seed in range(DECODE_PROMPTS):
        tokens, logits, routed = continued(directory, seed)
        different = len(set(logits.argmax(axis=1).tolist()))
        if smallest_margin(logits) > CLEAR and routed > ROUTED and (best is None or different > best[0]):
            best = different, tokens, logits
        if best is not None and best[0] > DECODE_STEPS // 3:
            break
    assert best is not None and best[0] > 2, f"{directory.name}: no prompt is continued clearly"
    _, tokens, logits = best
    return {"tokens": tokens, "continuation": logits.argmax(axis=1).tolist(),
            "smallest_margin": round(smallest_margin(logits), 5), "logits": words(logits, "<f4")}


def continued(directory: Path, seed: int) -> tuple[list[int], np.ndarray, float]:
    """Token by token over a cache; the logits that chose each, and how clearly tokens were routed."""
    model = load(directory)
    config = model.config.get_text_config()
    tokens = np.random.RandomState(seed).randint(3, config.vocab_size, DECODE_PROMPT).tolist()
    cache, step, logits = transformers.DynamicCache(config=config), tokens, []
    with torch.no_grad(), Routes(model) as routes:
        for _ in range(DECODE_STEPS):
            logits.append(model(torch.tensor([step]), cache=cache, use_cache=True).logits[0, -1].numpy())
            step = [int(logits[-1].argmax())]
    return tokens, np.stack(logits), routes.margin()


def smallest_margin(logits: np.ndarray) -> float:
    top = np.sort(logits, axis=1)
    return float((top[:, -1] - top[:, -2]).min())


def precision(directory: Path, name: str, tokens: list[int]) -> dict:
    """float64 logits, and how far transformers' 16-bit ones are from them."""
    with all_in_float64():
        truth, routes = routed_logits_of(load(directory, torch.float64), tokens)
    assert truth.dtype == np.float64
    columns = np.linspace(0, truth.shape[1] - 1, PRECISE_COLUMNS).round().astype(int)

    def error(dtype: torch.dtype) -> float:
        values, narrow = routed_logits_of(load(directory, dtype), tokens)
        assert not routes.layers or np.array_equal(narrow.experts(), routes.experts()), f"routes differ in {dtype}"
        values = values.astype(np.float64)
        return float(np.linalg.norm((values - truth)[:, columns]) / np.linalg.norm(truth[:, columns]))

    return {"prompt": name, "columns": columns.tolist(), "logits": words(truth[:, columns], "<f8"),
            "error": {name: float(f"{error(getattr(torch, name)):.4g}") for name in ("float32", "bfloat16", "float16")}}


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
    parser.add_argument("models", nargs="*", metavar="MODEL", help="which of them; default: all")
    parser.add_argument("--fixtures", type=Path, default=ROOT / "build" / "fixtures",
                        help="where tests/fixtures/make-fixtures wrote the tiny checkpoints (default: build/fixtures)")
    parser.add_argument("--smollm2", type=Path, default=ROOT / "models" / "smollm2-135m",
                        help="SmolLM2's directory (default: models/smollm2-135m)")
    parser.add_argument("--output", type=Path, default=ROOT / "tests" / "golden" / "references")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    transformers.utils.logging.disable_progress_bar()
    makers = {**dict.fromkeys(TINY, tiny), **dict.fromkeys(KINDS, kind)}
    for name in arguments.models or [*makers, arguments.smollm2.name]:
        if name == arguments.smollm2.name:
            smollm2(arguments.smollm2, arguments.output)
        else:
            makers[name](arguments.fixtures / name, arguments.output)


if __name__ == "__main__":
    main()
