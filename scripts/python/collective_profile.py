"""Writes what was probed as a collective profile, the file that parallel/profile/profile.hpp describes."""

from __future__ import annotations

import json
import os
import platform
from datetime import datetime, timezone
from pathlib import Path

from sum_order import ACCUMULATORS, Found
from this_machine import kept_variables, processor_name

FORMAT = "shardrift collective profile 1"
TRANSPORT = "python"  # how this file's sums are called; the loader then names this program in its advice
STEERING = ("NCCL_", "GLOO_", "TORCH_SYMM_MEM_", "VLLM_", "SGLANG_", "TRTLLM_")  # variables that may choose a way …
IDLE = ("NCCL_DEBUG", "VLLM_DIST_IDENT", "VLLM_OBJECT_STORAGE_SHM_BUFFER_NAME")  # … but these; vLLM's are others at each start


def device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return processor_name() or platform.machine()


def accumulators_of(found: list[Found]) -> list[str | None]:
    """One for each message. A small message is often explained by several: then the one that explains most of its dtype."""
    by_dtype: dict[str, str] = {}
    for dtype in {one.dtype for one in found}:
        mine = [one.accumulators for one in found if one.dtype == dtype and one.accumulators]
        by_dtype[dtype] = max(ACCUMULATORS, key=lambda name: sum(name in names for names in mine))  # the narrowest of equals
    chosen = []
    for one in found:
        common = by_dtype[one.dtype]
        chosen.append(common if common in one.accumulators else one.accumulators[0] if one.accumulators else None)
    return chosen


def probed_of(found: list[Found], captured: bool) -> list[dict]:
    items = []
    for one, accumulator in zip(found, accumulators_of(found)):
        item = {"operation": "all-reduce", "dtype": one.dtype, "count": one.count, "calls": one.calls, "accumulator": accumulator,
                "first_unexplained": one.first_unexplained, "model_agrees": None}
        if one.kind != "tree":
            item["seen"] = one.words
        if captured:
            item["captured"] = True
        items.append(item | {"trees": one.trees, "segments": one.segments})
    return items


def key_of(item: dict) -> tuple:
    return item["dtype"], item["count"], item.get("captured", False)


def save_profile(path: Path, found: list[Found], library: str, version: str, ranks: int, device: str, machine: str,
                 captured: bool) -> None:
    """Makes the file, or adds the probes to it where it is of the same library and machine."""
    head = {"format": FORMAT, "library": library, "library_version": version, "transport": TRANSPORT, "ranks": ranks,
            "device": device_name(device), "machine": machine,
            "variables": kept_variables(STEERING, but_not=IDLE),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "model": None}
    probed: dict[tuple, dict] = {}
    if path.exists():
        try:
            saved = json.loads(path.read_text())
            probed = {key_of(item): item for item in saved["probed"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: is no collective profile ({error}): save to another file") from error
        for field in ("library", "library_version", "transport", "ranks", "device", "machine", "variables"):
            if saved.get(field) != head[field]:
                raise ValueError(f"{path}: is a profile of {field} {saved.get(field)!r}, this is {head[field]!r}: save to another file")
    probed |= {key_of(item): item for item in probed_of(found, captured)}
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in head.items()]
    items = [f"    {json.dumps(item, ensure_ascii=False)}" for item in probed.values()]
    text = "{\n" + "\n".join(lines) + '\n  "probed": [\n' + ",\n".join(items) + "\n  ]\n}\n"
    beside = path.with_name(path.name + ".tmp")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
