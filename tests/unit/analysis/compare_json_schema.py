#!/usr/bin/env python3
"""Checks what `shardrift compare --json` writes against docs/compare.schema.json.

usage: compare_json_schema.py BUILD_DIR

Reads BUILD_DIR/tests/compare-json/*.json, which test_analysis leaves there. The published schema allows no key that it does
not name, so a new key without documentation fails here. Exit code 77 (skipped) without the package fastjsonschema.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

try:
    import fastjsonschema
except ImportError:
    print("skipped: pip install fastjsonschema (scripts/setup does)")
    sys.exit(77)

SCHEMA = Path(__file__).resolve().parents[3] / "docs" / "compare.schema.json"


def main() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    validate = fastjsonschema.compile(schema)
    files = sorted((Path(sys.argv[1]) / "tests" / "compare-json").glob("*.json"))
    if len(files) < 4:
        sys.exit(f"{sys.argv[1]}/tests/compare-json: {len(files)} files, test_analysis writes more")
    for path in files:
        document = json.loads(path.read_text(encoding="utf-8"))
        try:
            validate(document)
        except fastjsonschema.JsonSchemaException as error:
            sys.exit(f"{path}: {error.message}")
        # and the schema is not one that lets everything pass
        for break_it in (lambda d: d.update(schema=2), lambda d: d["candidates"][0].update(extra=1),
                         lambda d: d["candidates"][0]["totals"].pop("kl_mean"),
                         lambda d: d["candidates"][0]["totals"].update(steps="3")):
            broken = json.loads(path.read_text(encoding="utf-8"))
            break_it(broken)
            try:
                validate(broken)
            except fastjsonschema.JsonSchemaException:
                continue
            sys.exit(f"{SCHEMA}: accepts a document that was broken on purpose")
    print(f"{len(files)} documents as documented")


if __name__ == "__main__":
    main()
