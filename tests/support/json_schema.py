#!/usr/bin/env python3
"""Checks JSON documents against a published schema, and that the schema would notice if they were wrong.

usage: json_schema.py SCHEMA FOLDER FEWEST

Every *.json in FOLDER must be as SCHEMA says, and there must be FEWEST of them or more. Then each document is broken on
purpose, one place at a time: a key taken away, a key added, a value of another type. Whatever object the schema describes
must refuse that. Exit code 77 (skipped) without the package fastjsonschema.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

try:
    import fastjsonschema
except ImportError:
    print("skipped: pip install fastjsonschema (scripts/setup --tests does)")
    sys.exit(77)

MOST_BREAKAGES = 150  # of one document, evenly spread


def objects(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every object in the document."""
    if isinstance(document, dict):
        yield path
        for key, value in document.items():
            yield from objects(value, (*path, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from objects(value, (*path, index))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def required_keys(schema: Any) -> set[str]:
    """Names that no object of the schema may leave out."""
    required: set[str] = set()
    optional: set[str] = set()
    for path in objects(schema):
        one = at(schema, path)
        if isinstance(one.get("properties"), dict):
            required |= set(one.get("required", []))
            optional |= set(one["properties"]) - set(one.get("required", []))
    return required - optional


def breakages(document: Any, required: set[str]) -> Iterator[tuple[str, Any]]:
    for path in objects(document):
        broken = copy.deepcopy(document)
        at(broken, path)["undocumented"] = 1
        yield f"{path} with a key more", broken
        for key, value in at(document, path).items():
            broken = copy.deepcopy(document)
            at(broken, path)[key] = [[1]]
            yield f"{(*path, key)} of another type", broken
            if key in required:
                broken = copy.deepcopy(document)
                del at(broken, path)[key]
                yield f"{(*path, key)} taken away", broken


def refuses(validate: Callable[[Any], Any], document: Any) -> bool:
    try:
        validate(document)
    except fastjsonschema.JsonSchemaException:
        return True
    return False


def main() -> None:
    schema_path, folder, fewest = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    schema = json.loads(schema_path.read_text(encoding="utf-8"))
    validate = fastjsonschema.compile(schema)
    required = required_keys(schema)
    files = sorted(folder.glob("*.json"))
    if len(files) < fewest:
        sys.exit(f"{folder}: {len(files)} files, at least {fewest} were expected")
    broken = 0
    for path in files:
        document = json.loads(path.read_text(encoding="utf-8"))
        try:
            validate(document)
        except fastjsonschema.JsonSchemaException as error:
            sys.exit(f"{path}: {error.message}")
        all_breakages = list(breakages(document, required))
        for what, wrong in all_breakages[:: max(1, len(all_breakages) // MOST_BREAKAGES)]:
            broken += 1
            if not refuses(validate, wrong):
                sys.exit(f"{schema_path} accepts {path} broken on purpose: {what}")
    print(f"{len(files)} documents as documented; {broken} broken ones refused")


if __name__ == "__main__":
    main()
