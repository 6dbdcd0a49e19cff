"""Records of schema 1 (docs/file-format.md) by h5py: what an engine written in Python records. NumPy and h5py alone.

    with RecordFile(path, engine="my engine 1.0", mode="greedy", dtype="bfloat16", vocabulary=49152) as record:
        record.environment(devices=[…], libraries={…}, settings={…})
        record.prompt("p0", tokens, rows, stop="length")

Written under a temporary name and renamed when it is whole; a full disk is an OSError, and nothing is left. It says no
schema_minor: of what later versions of the program promise, hashes of a prompt's content and of the weights, it has none.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

DTYPES = ("float64", "float32", "float16", "bfloat16")
CHUNK_BYTES = 256 << 10


@dataclass
class Row:
    """The logits after one token was fed, and the pass that computed them."""

    token: int
    position: int
    logits: np.ndarray  # [vocabulary]: float64, float32, float16, or the uint16 words of bfloat16
    seconds: float = 0.0
    call: int = 0
    rows: int = 1
    prefill: bool = False
    hidden: np.ndarray | None = None  # [layers + 1, hidden]: the residual stream, as the logits are; at level hidden


class Storage(io.FileIO):
    """The file under HDF5. The first error is kept for `check` and what follows is swallowed: told of an error, HDF5 tries each
    write again as its objects are freed and crashes as the process ends."""

    error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while self.error is None and len(left) > 0:  # a disk that becomes full may take a part
            try:
                left = left[super().write(left):]
            except OSError as error:
                self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def check(self) -> None:
        if self.error is not None:
            what = f"{os.strerror(self.error.errno or 0)}: make room and run it again: nothing of the record is kept"
            raise OSError(self.error.errno, what, str(self.name))


def valid_id(name: object) -> bool:
    """Whether it may name a prompt: a group of the file, and a file of a run's parts."""
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", name) is not None


def text(value: str) -> np.bytes_:
    """Attributes are texts of fixed length; HDF5 has none of length 0."""
    return np.bytes_(value.encode() or b"\0")


def stored_type(dtype: str) -> h5py.h5t.TypeID:
    if dtype != "bfloat16":
        return h5py.h5t.py_create(np.dtype(dtype).newbyteorder("<"))
    kind = h5py.h5t.IEEE_F32LE.copy()  # bfloat16: sign bit 15, exponent 7+8, mantissa 0+7, bias 127
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_size(2)
    kind.set_ebias(127)
    return kind


def widened(logits: np.ndarray) -> np.ndarray:
    """As float64, exactly; uint16 are bfloat16's words."""
    if logits.dtype == np.uint16:
        return (logits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return logits.astype(np.float64)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def most_likely(logits: np.ndarray, k: int) -> np.ndarray:
    """Ids of the k largest, lowest id first at ties."""
    return np.argsort(-logits, kind="stable")[:k]


def model_identity(folder: Path) -> str:
    """SHA-256 of config.json, safetensors headers and sizes, as the program itself says it."""
    digest = hashlib.sha256()

    def feed(part: bytes) -> None:
        digest.update(b"%d:" % len(part) + part)

    feed((folder / "config.json").read_bytes())
    for path in sorted(safetensors_of(folder), key=lambda one: one.name):
        with path.open("rb") as file:
            header = file.read(int.from_bytes(file.read(8), "little"))
        feed(path.name.encode())
        feed(header)
        feed(b"%d" % path.stat().st_size)
    return digest.hexdigest()


def safetensors_of(folder: Path) -> set[Path]:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return {folder / "model.safetensors"}
    return {folder / name for name in json.loads(index.read_text())["weight_map"].values()}


def temporary_of(path: Path) -> Path:
    """Where this process writes what becomes path."""
    return path.with_name(path.name + f".{os.getpid()}.tmp")


def chunk_rows(values: np.ndarray) -> int:
    """Of values [.., rows, columns]: how many rows make a chunk."""
    return max(1, min(values.shape[-2], CHUNK_BYTES // (values.itemsize * values.shape[-1])))


def dataset(group: h5py.Group, name: str, kind: h5py.h5t.TypeID, values: np.ndarray, chunk: tuple[int, ...]) -> None:
    """values' words as they are, which kind names; with checksums."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk(chunk)
    creation.set_fletcher32()
    data = h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple(values.shape), creation)
    data.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(values), kind)


class RecordFile:
    def __init__(self, path: str | Path, *, engine: str, mode: str, dtype: str, vocabulary: int, command: str = "",
                 model: dict[str, str] | None = None, vocab: list[str] | None = None, top_k: int = 10,
                 level: str = "logits") -> None:
        if mode not in ("greedy", "follow", "score"):
            raise ValueError(f"mode {mode}: greedy, follow or score")
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype}: one of {', '.join(DTYPES)}")
        if level not in ("logits", "hidden"):
            raise ValueError(f"level {level}: logits or hidden")
        self.path, self.dtype, self.vocabulary, self.top_k = Path(path), dtype, vocabulary, min(top_k, vocabulary)
        self.level = level
        if self.path.is_dir():
            raise ValueError(f"{self.path}: is a folder: name a file")
        self.temporary = temporary_of(self.path)
        self.storage = Storage(self.temporary, "w+")
        self.file = h5py.File(self.storage, "w", libver="v110")
        try:
            self.begin(engine, mode, command, model or {}, vocab or [])
        except BaseException:
            self.discard()
            raise

    def begin(self, engine: str, mode: str, command: str, model: dict[str, str], vocab: list[str]) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.texts(self.file, schema=1, status="complete", created=now, command=command, plan=json.dumps({"engine": engine}),
                   mode=mode, level=self.level, logits_dtype=self.dtype)
        group = self.file.create_group("model")
        self.texts(group, vocabulary=self.vocabulary, **model)
        if vocab:
            words = [word.encode() for word in vocab]
            group["vocab"] = np.array(words, dtype=f"S{max(1, max(map(len, words)))}")
        self.prompts = self.file.create_group("prompts")

    @staticmethod
    def texts(group: h5py.Group, **values: str | int | float) -> None:
        for name, value in values.items():
            if isinstance(value, str):
                group.attrs[name] = text(value)
            else:
                group.attrs.create(name, value, dtype=np.float64 if isinstance(value, float) else np.int64)

    def environment(self, devices: list[dict], libraries: dict[str, str], settings: dict[str, str],
                    variables: dict[str, str]) -> None:
        """devices: one a rank: host, name, uuid, compute_capability, driver, as far as they are known."""
        group = self.file.create_group("environment")
        for rank, device in enumerate(devices):
            self.texts(group.create_group(f"devices/{rank}"), rank=rank, **device)
        for name, values in (("libraries", libraries), ("settings", settings), ("variables", variables)):
            self.texts(group.create_group(name), **values)

    def column(self, group: h5py.Group, name: str, values: list[int]) -> None:
        if any(isinstance(one, bool) or not isinstance(one, (int, np.integer)) or not 0 <= one < 1 << 31 for one in values):
            raise ValueError(f"{group.name}/{name}: holds other than integers from 0 to {(1 << 31) - 1}")
        group.create_dataset(name, data=np.asarray(values, np.int32), chunks=(max(1, len(values)),), fletcher32=True)

    def prompt(self, name: str, tokens: list[int], rows: list[Row], *, stop: str, words: str = "", device: str = "") -> None:
        """words: the prompt's text, where it was one."""
        if not valid_id(name):
            raise ValueError(f"prompt id {name!r}: use letters, digits, '.', '_' and '-', at most 64, not starting with '.'")
        if name in self.prompts:
            raise ValueError(f"prompt id {name!r} is used twice")
        if not rows:
            raise ValueError(f"prompt {name}: no rows")
        logits = np.stack([row.logits for row in rows])
        values = widened(logits)
        if not np.isfinite(values).all():
            raise ValueError(f"prompt {name}: row {int(np.nonzero(~np.isfinite(values).all(1))[0][0])} has NaN or infinite logits")
        hidden = self.streams_of(name, rows)
        group = self.prompts.create_group(name)
        self.texts(group, index=len(self.prompts) - 1, source="text" if words else "tokens", status="complete", stop=stop,
                   hash=hashlib.sha256(logits.tobytes()).hexdigest(), device=device, replica=0)
        group["text"] = np.array([text(words)])
        self.column(group, "tokens", tokens)
        self.column(group, "input_ids", [row.token for row in rows])
        self.column(group, "positions", [row.position for row in rows])
        self.column(group, "chosen", values.argmax(1).tolist())  # the lowest index at ties
        forward = group.create_group("forward")
        self.column(forward, "call", [row.call for row in rows])
        self.column(forward, "rows", [row.rows for row in rows])
        self.column(forward, "batch_row", [index % row.rows if row.prefill else 0 for index, row in enumerate(rows)])
        phases = h5py.enum_dtype({"prefill": 0, "decode": 1}, basetype="u1")
        forward.create_dataset("phase", data=[0 if row.prefill else 1 for row in rows], dtype=phases)
        forward.create_dataset("seconds", data=np.array([row.seconds for row in rows]))
        if self.top_k > 0:
            ids = np.stack([most_likely(row, self.top_k) for row in values])
            group.create_dataset("top/ids", data=ids.astype(np.int32))
            log = np.take_along_axis(log_softmax(values), ids, 1)
            group.create_dataset("top/log_probabilities", data=log.astype(np.float32))
        self.logits(group, logits)
        if hidden is not None:
            kind = stored_type("bfloat16" if hidden.dtype == np.uint16 else hidden.dtype.name)
            dataset(group, "hidden", kind, hidden, (1, chunk_rows(hidden), hidden.shape[2]))
        self.storage.check()

    def streams_of(self, name: str, rows: list[Row]) -> np.ndarray | None:
        """[layers + 1, rows, hidden] of all rows."""
        if self.level != "hidden":
            return None
        if any(row.hidden is None for row in rows):
            raise ValueError(f"prompt {name}: level hidden, and a row has no residual stream")
        hidden = np.stack([row.hidden for row in rows], axis=1)
        if hidden.ndim != 3 or hidden.dtype.name not in ("uint16", *DTYPES):
            raise ValueError(f"prompt {name}: residual streams of {hidden.dtype} {hidden.shape}, not [layers + 1, rows, hidden]")
        finite = np.isfinite(widened(hidden)).all(axis=(0, 2))
        if not finite.all():
            raise ValueError(f"prompt {name}: row {int(np.nonzero(~finite)[0][0])} has a NaN or infinite residual stream")
        return hidden

    def logits(self, group: h5py.Group, logits: np.ndarray) -> None:
        kind = stored_type(self.dtype)
        expected = np.uint16 if self.dtype == "bfloat16" else np.dtype(self.dtype)
        if logits.dtype != expected or logits.shape[1] != self.vocabulary:
            raise ValueError(f"logits of {logits.dtype} {logits.shape}, expected {expected} of {self.vocabulary}")
        dataset(group, "logits", kind, logits, (chunk_rows(logits), self.vocabulary))

    def __enter__(self) -> RecordFile:
        return self

    def discard(self) -> None:
        """Nothing of it is kept."""
        try:
            self.file.close()
            self.storage.close()
        finally:
            self.temporary.unlink(missing_ok=True)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self.discard()
            return
        try:
            self.file.close()
            self.storage.check()
            os.fsync(self.storage.fileno())
        except BaseException:
            self.discard()
            raise
        self.storage.close()
        try:
            self.temporary.replace(self.path)
        except OSError as fault:
            raise OSError(fault.errno, f"{fault.strerror}: the record is whole and lies in {self.temporary}", str(self.path))
