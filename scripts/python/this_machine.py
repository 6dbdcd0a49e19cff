"""What a record or a profile says of the machine that it was made on. The standard library alone."""

from __future__ import annotations

import os
from pathlib import Path

SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")  # in a variable's name: nobody's to keep


def kept_variables(prefixes: tuple[str, ...], but_not: tuple[str, ...] = ()) -> dict[str, str]:
    """The environment's variables of these prefixes, by name, without secrets."""
    return {name: value for name, value in sorted(os.environ.items())
            if name.startswith(prefixes) and not name.startswith(but_not) and not any(word in name for word in SECRET)}


def processor_name() -> str | None:
    """As Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
