"""A program that records an engine's logits: its flags, its signals and its exit codes. The standard library alone, so that
--help is there without any package."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

DTYPES = ("float64", "float32", "float16", "bfloat16")  # record_file.py's


class Refused(Exception):
    """Says in one sentence what is wrong with what was asked, and the exit code."""

    def __init__(self, message: str, code: int = 65) -> None:
        super().__init__(message)
        self.code = code


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the exit code of usage."""

    def __init__(self, program: str, text: str | None) -> None:
        super().__init__(prog=f"{program}.py", description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.program = program

    def error(self, message: str) -> NoReturn:
        self.exit(64, f"{self.program}: {message}: see --help\n")


class RecorderParser(Parser):
    """With the flags that every recorder has, as shardrift-run names them."""

    def __init__(self, program: str, text: str | None) -> None:
        super().__init__(program, text)
        self.add_argument("--model", type=Path, required=True, metavar="DIR", help="a Hugging Face directory")
        self.add_argument("--prompts", type=Path, metavar="FILE", help="prompts.jsonl, as shardrift-run reads it")
        self.add_argument("--follow", type=Path, metavar="REF.h5", help="a record whose tokens are fed")
        self.add_argument("--output", type=Path, required=True, metavar="OUT.h5", help="the record")
        self.add_argument("--overwrite", action="store_true", help="replace what lies there")
        self.add_argument("--check", action="store_true", help="only say whether this could run: nothing is computed or written")
        self.add_argument("--mode", choices=["greedy", "follow", "score"], help="default: greedy, with --follow follow")
        self.add_argument("--dtype", choices=["auto", *DTYPES], default="auto", help="default: the checkpoint's")
        self.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: cpu")
        self.add_argument("--threads", type=at_least(1), default=1, metavar="N", help="CPU threads (default: 1)")
        self.add_argument("--max-new-tokens", type=at_least(1), default=64, metavar="N", help="of each prompt (default: 64)")
        self.add_argument("--ignore-eos", action="store_true", help="go on after an end-of-sequence token")
        self.add_argument("--top-k", type=at_least(0), default=10, metavar="K", help="most likely tokens of a row (default: 10)")
        self.add_argument("--quiet", action="store_true", help="no progress")


def at_least(least: int) -> Callable[[str], int]:
    def number(word: str) -> int:
        if not word.isascii() or not word.isdigit() or int(word) < least:
            raise argparse.ArgumentTypeError(f"{word}: an integer of at least {least} is expected")
        return int(word)

    return number


def end_on_signals(program: str, temporary: Path | None) -> None:
    """At once, wherever it is: what is half written is removed, and neither HDF5 nor other threads are asked to finish."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # under nohup
    numbers = [signal.SIGTERM, signal.SIGINT, *([] if ignored else [signal.SIGHUP])]

    def end(number: int, frame: object) -> NoReturn:
        if temporary:
            temporary.unlink(missing_ok=True)
        if os.environ.get("RANK", "0") == "0":
            print(f"{program}: stopped by {signal.Signals(number).name}: nothing half written is left: run it again",
                  file=sys.stderr, flush=True)
        os._exit(75)

    for number in numbers:
        signal.signal(number, end)


def ended(program: str, needs: str, run: Callable[[], None]) -> int:
    """The exit code of `run`; what it raised has been said in one line."""
    try:
        run()
    except Refused as refused:
        print(f"{program}: {refused}", file=sys.stderr)
        return refused.code
    except ImportError as missing:
        print(f"{program}: {missing}: use a Python that has {needs}", file=sys.stderr)
        return 70
    except Exception as error:  # of whatever kind the engine has
        print(f"{program}: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 70
    return 0
