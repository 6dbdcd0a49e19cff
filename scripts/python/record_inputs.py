"""What a recorder is given, checked before any of it costs time: prompts, the followed record, the model's files, where the
record goes. NumPy and h5py alone, but for the tokenizer of texts (transformers)."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from record_file import safetensors_of, valid_id
from record_program import Refused

LARGEST = (1 << 31) - 1
ID_RULE = "use letters, digits, '.', '_' and '-', at most 64, not starting with '.'"


@dataclass
class Prompt:
    name: str
    tokens: list[int]
    text: str = ""
    special_tokens: bool = True
    fed: list[int] = field(default_factory=list)  # after the prompt, in mode follow


@dataclass
class Asked:
    """What the flags that recorders share ask for, read and checked."""

    mode: str
    prompts: list[Prompt]  # none where a study asks (--check) before there is a record to follow
    config: dict[str, Any]
    positions: int | None
    for_study: bool


def read_asked(a: argparse.Namespace) -> Asked:
    """Everything but the engine's packages and its device."""
    if bool(a.prompts) == bool(a.follow):
        raise Refused("give either --prompts FILE or --follow REF.h5", 64)
    mode = a.mode or ("follow" if a.follow else "greedy")
    if (mode == "follow" and not a.follow) or (mode == "greedy" and a.follow):
        raise Refused(f"--mode {mode} goes {'with' if mode == 'follow' else 'without'} --follow REF.h5", 64)
    config = read_config(a.model)
    for_study = a.check and "SHARDRIFT_STUDY" in os.environ
    if not for_study:
        check_output(a.output, a.overwrite, a.model, {"--prompts": a.prompts, "--follow": a.follow})
    if for_study and a.follow and not a.follow.exists():
        prompts = []
    else:
        if a.follow and config.get("vocab_size"):
            check_followed(a.follow, config["vocab_size"])
        prompts = read_followed(a.follow) if a.follow else read_prompts(a.prompts)
    if mode == "score":
        for prompt in prompts:
            if prompt.fed:  # a text and its answer, which together are no text that was given
                prompt.tokens, prompt.fed, prompt.text = prompt.tokens + prompt.fed, [], ""
    positions = positions_of(config)
    check_prompts(prompts, config.get("vocab_size") or LARGEST, positions)
    check_weights(a.model)
    return Asked(mode, prompts, config, positions, for_study)


def check_packages(*names: str) -> None:
    """Without importing them, which takes many seconds."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"{sys.executable} has no {' and no '.join(missing)}")


# -- prompts -------------------------------------------------------------------------------------------------


def read_prompts(path: Path) -> list[Prompt]:
    """A prompts file, by shardrift-run's rules."""
    try:
        lines = path.read_bytes().decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: cannot be read: {error}")
    prompts: dict[str, Prompt] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            prompt = prompt_of(line, f"{path} line {number}")
            if prompt.name in prompts:
                raise Refused(f"{path} line {number}: id '{prompt.name}' is used twice")
            prompts[prompt.name] = prompt
    if not prompts:
        raise Refused(f"{path}: holds no prompt")
    return list(prompts.values())


def prompt_of(line: str, where: str) -> Prompt:
    example = 'write {"id": "p0", "text": "…"} or {"id": "p0", "tokens": [1, 2]}'
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{where}: no JSON: {error}: {example}")
    if not isinstance(given, dict) or "id" not in given:
        raise Refused(f'{where}: no object with an "id": {example}')
    name, text, tokens = given["id"], given.get("text"), given.get("tokens")
    if not valid_id(name):
        raise Refused(f"{where}: id {json.dumps(name)}: {ID_RULE}")
    where += f": prompt '{name}'"
    if (text is None) == (tokens is None):
        raise Refused(f'{where} needs either "text" or "tokens"')
    if tokens is not None:
        if "special_tokens" in given:
            raise Refused(f'{where} has "special_tokens", which goes with "text": write them into "tokens"')
        check_tokens(tokens, where)
        return Prompt(name, tokens)
    if not isinstance(text, str) or not text:
        raise Refused(f'{where}: "text" {json.dumps(text)}: a string that is not empty is expected')
    if not isinstance(given.get("special_tokens", True), bool):
        raise Refused(f'{where}: "special_tokens" {json.dumps(given["special_tokens"])}: true or false is expected')
    return Prompt(name, [], text, given.get("special_tokens", True))


def check_tokens(tokens: Any, where: str) -> None:
    if not isinstance(tokens, list) or not tokens:
        raise Refused(f'{where}: "tokens" {json.dumps(tokens)[:80]}: a list of token ids is expected')
    for token in tokens:
        if type(token) is not int or not 0 <= token <= LARGEST:  # true is an int, too
            raise Refused(f'{where}: "tokens" holds {json.dumps(token)[:80]}: integers from 0 to {LARGEST} are expected')


def check_prompts(prompts: list[Prompt], vocabulary: int, positions: int | None) -> None:
    """Texts that are not encoded yet pass."""
    for prompt in prompts:
        for token in [*prompt.tokens, *prompt.fed]:
            if not 0 <= token < vocabulary:
                raise Refused(f"prompt '{prompt.name}': token {token} is outside the model's vocabulary of {vocabulary}")
        if not prompt.tokens and not prompt.text:
            raise Refused(f"prompt '{prompt.name}' has no tokens")
        length = len(prompt.tokens) + len(prompt.fed)
        if positions is not None and length > positions:
            raise Refused(f"prompt '{prompt.name}' has {length} tokens, the model has {positions} positions (its config.json's, "
                          "stretched by its rope where that is scaled)")


def encode(model: Path, prompts: list[Prompt], vocabulary: int) -> list[str]:
    """Fills the tokens of texts by the model's tokenizer; the vocabulary's texts, where a prompt has one."""
    if not any(prompt.text for prompt in prompts):
        return []
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError) as error:
        if all(prompt.tokens for prompt in prompts):  # a record's
            return []
        raise Refused(f'{model}: its tokenizer, which prompts of "text" need, cannot be loaded: give "tokens": '
                      f"{' '.join(str(error).split())}")
    for prompt in prompts:
        if prompt.text and not prompt.tokens:
            prompt.tokens = list(tokenizer(prompt.text, add_special_tokens=prompt.special_tokens)["input_ids"])
    return [tokenizer.decode([token]) if token < len(tokenizer) else "" for token in range(vocabulary)]


# -- a record's tokens ---------------------------------------------------------------------------------------


def read_followed(path: Path) -> list[Prompt]:
    try:
        with h5py.File(path, "r") as file:
            if as_text(file.attrs["mode"]) == "score":
                raise Refused(f"{path}: a score record holds no generated tokens to follow")
            groups = sorted(file["prompts"].items(), key=lambda item: int(item[1].attrs["index"]))
            prompts = [followed(name, group, f"{path} prompt '{name}'") for name, group in groups]
    except (OSError, KeyError, AttributeError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise Refused(f"--follow {path}: no record that can be followed: {' '.join(str(error).split())}: shardrift inspect "
                      "--validate says what it lacks")
    if not prompts:
        raise Refused(f"--follow {path}: holds no prompt")
    return prompts


def check_followed(path: Path, vocabulary: int) -> None:
    """Tokens of another vocabulary mean other texts. What is no record is read_followed's to say."""
    try:
        with h5py.File(path, "r") as file:
            recorded = file["model"].attrs.get("vocabulary")
    except (OSError, KeyError, AttributeError, TypeError):
        return
    if isinstance(recorded, (int, np.integer)) and int(recorded) != vocabulary:
        raise Refused(f"--follow {path}: is of a vocabulary of {recorded}, the model has {vocabulary}: follow a record of this model")


def as_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def followed(name: str, group: h5py.Group, where: str) -> Prompt:
    """Its generated tokens are those fed at positions after the prompt's: rows may begin within it."""
    if not valid_id(name):
        raise Refused(f"{where}: {ID_RULE}")
    tokens, fed, positions = (group[column][:] for column in ("tokens", "input_ids", "positions"))
    for values in (tokens, fed, positions):
        if values.dtype.kind not in "iu" or values.ndim != 1:
            raise Refused(f"{where}: its tokens, input_ids and positions are no lists of integers")
    if len(fed) != len(positions):
        raise Refused(f"{where}: {len(fed)} input_ids, {len(positions)} positions")
    after = positions >= len(tokens)
    if positions[after].tolist() != list(range(len(tokens), len(tokens) + int(np.count_nonzero(after)))):
        raise Refused(f"{where}: the positions after its {len(tokens)} tokens are not one after another: it cannot be followed")
    words = as_text(group["text"][0]).rstrip("\0") if "text" in group else ""
    return Prompt(name, tokens.tolist(), words, fed=fed[after].tolist())


# -- the model's files ---------------------------------------------------------------------------------------


def read_config(model: Path) -> dict[str, Any]:
    """config.json, of a model of several kinds its text part."""
    path = model / "config.json"
    if not path.is_file():
        raise Refused(f"--model {model}: has no config.json: name a Hugging Face directory")
    try:
        config = json.loads(path.read_bytes())
        if not config.get("text_config"):
            return dict(config)
        of_all = ("dtype", "torch_dtype", "eos_token_id", "quantization_config", "architectures")  # a wrapper's own, meant for it too
        return {key: config[key] for key in of_all if key in config} | {k: v for k, v in config["text_config"].items() if v is not None}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise Refused(f"{path}: cannot be read: {error}")


def positions_of(config: dict[str, Any]) -> int | None:
    """How many tokens it takes, as shardrift-run counts; None: it does not say."""
    given = config.get("max_position_embeddings", config.get("n_positions"))
    if type(given) is not int:
        return None
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    factor, kind = scaling.get("factor"), scaling.get("rope_type", scaling.get("type"))
    if not isinstance(factor, (int, float)):
        return given
    if kind in ("linear", "dynamic"):
        return int(given * factor)
    return max(given, int(scaling.get("original_max_position_embeddings", given) * factor)) if kind == "yarn" else given


def check_weights(model: Path) -> None:
    """Every safetensors file is as long as its header says."""
    try:
        files = sorted(safetensors_of(model))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise Refused(f"{model / 'model.safetensors.index.json'}: cannot be read: {error}")
    for path in files:
        try:
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                held = path.stat().st_size
                header = json.loads(file.read(size)) if 0 < size <= held else None
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except OSError as error:
            raise Refused(f"{path}: cannot be read: {error.strerror}: fetch the model again")
        except (ValueError, KeyError, AttributeError, TypeError, IndexError):
            raise Refused(f"{path}: its safetensors header cannot be read: cut short? fetch the model again")
        if 8 + size + max(ends, default=0) != held:
            raise Refused(f"{path}: has {held} bytes, its header says {8 + size + max(ends, default=0)}: fetch the model again")


# -- where the record goes -----------------------------------------------------------------------------------


def check_output(output: Path, overwrite: bool, model: Path, inputs: dict[str, Path | None]) -> None:
    """inputs: by option, the files that are read."""
    if output.is_dir():
        raise Refused(f"--output {output}: is a folder: name a file", 64)
    if not output.absolute().parent.is_dir():
        raise Refused(f"--output {output}: {output.absolute().parent} is no folder: make it first", 64)
    for option, path in inputs.items():
        if path is not None and is_same(output, path):
            raise Refused(f"--output {output}: is the file that {option} reads: name another", 64)
    folder = model.resolve()
    beside = output.absolute().parent.resolve() / output.name  # a link's own place counts as what it leads to does
    if folder in beside.parents or folder in output.resolve().parents:
        raise Refused(f"--output {output}: lies in the model's folder: name a file elsewhere", 64)
    if any(is_same(output, path) for path in folder.rglob("*") if path.is_file()):
        raise Refused(f"--output {output}: is a file of the model: name another", 64)
    if not os.access(output.absolute().parent, os.W_OK):
        raise Refused(f"--output {output}: {output.absolute().parent} cannot be written to", 64)
    if os.path.lexists(output) and not overwrite:
        raise Refused(f"--output {output}: exists: choose another, or --overwrite it", 64)


def is_same(a: Path, b: Path) -> bool:
    """Also by a symbolic or hard link."""
    try:
        return os.path.samefile(a, b)
    except OSError:
        return a.resolve() == b.resolve()
