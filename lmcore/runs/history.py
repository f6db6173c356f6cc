"""What happened in a run, event by event: in memory as a `Run`, on disk as ``metrics.jsonl``.

Each line of the file is one JSON object: ``kind`` (step, validation, sample, end) and what the `Run` holds
of such an event. It is written as it happens, so that it can be tailed.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmcore.errors import InputError, SaveError
from lmcore.record import Run

SETTINGS, METRICS = "run.json", "metrics.jsonl"
LISTS = {"step": "steps", "validation": "validation", "sample": "samples"}  # where a Run keeps each kind
BLOCK = 2**20


class History:
    """Adds events to ``run``, tells ``watch`` of each, and writes them down once a file is open."""

    def __init__(self, run: Run, watch: Callable[[str, dict[str, Any]], Any] | None = None):
        self.run, self.watch = run, watch
        self.file: MetricsFile | None = None

    def add(self, kind: str, event: dict[str, Any]) -> None:
        """In memory only; `write` puts it on disk."""
        if kind in LISTS:
            getattr(self.run, LISTS[kind]).append(event)
        if self.file is not None:
            self.file.add(kind, event)
        if self.watch is not None:
            self.watch(kind, event)

    def write(self) -> None:
        """Raises SaveError if the disk is full; nothing is lost then, the next call tries again."""
        if self.file is not None:
            self.file.write()

    def load(self, path: Path, size: int) -> None:
        """Fill the run with the events in the first ``size`` bytes of a file; they were checked before."""
        for kind, event in read_events(path, size):
            if kind in LISTS:
                getattr(self.run, LISTS[kind]).append(event)

    def mark(self) -> dict[str, Any]:
        """What there is on disk by now, for a snapshot: {"bytes": n, "sha256": of so many}."""
        return {"bytes": 0, "sha256": hashlib.sha256().hexdigest()} if self.file is None else self.file.mark()


class MetricsFile:
    """Lines appended to ``metrics.jsonl`` behind its first ``size`` bytes; whatever follows those is cut off.

    A line that could not be written is kept for later.
    """

    def __init__(self, path: Path, size: int = 0):
        self.path, self.size, self.unwritten = path, size, b""
        self.digest = _digest_of(path, size)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Only inside can anything be written. Raises InputError if the file has become shorter."""
        with open(self.path, "r+b" if self.path.exists() else "x+b", buffering=0) as self.file:
            if self.file.seek(0, os.SEEK_END) < self.size:
                raise InputError(f"{self.path} has become shorter than the {self.size:,} bytes written to it")
            self._cut()
            yield

    def _cut(self) -> None:
        self.file.truncate(self.size)
        self.file.seek(self.size)

    def add(self, kind: str, event: dict[str, Any]) -> None:
        self.unwritten += json.dumps({"kind": kind, **event}, ensure_ascii=False).encode() + b"\n"

    def write(self) -> None:
        left = memoryview(self.unwritten)
        try:
            while left:
                left = left[self.file.write(left) :]
        except OSError as error:
            self._cut()  # no half lines
            raise self._not_written(error) from None
        self.size += len(self.unwritten)
        self.digest.update(self.unwritten)
        self.unwritten = b""

    def mark(self) -> dict[str, Any]:
        """Size and checksum of the file, which is flushed to the disk."""
        self.write()
        try:
            os.fsync(self.file.fileno())
        except OSError as error:
            raise self._not_written(error) from None
        return {"bytes": self.size, "sha256": self.digest.hexdigest()}

    def _not_written(self, error: OSError) -> SaveError:
        return SaveError(f"{self.path} cannot be written: {error.strerror}; {SaveError.ADVICE}")


def check_metrics(path: Path, mark: dict[str, Any]) -> None:
    """Raises InputError unless the file begins with what `History.mark` saw."""
    found = os.path.getsize(path) if path.exists() else 0
    if found < mark["bytes"]:
        raise InputError(f"{path} has {found:,} bytes, but {mark['bytes']:,} belong to this snapshot")
    if _digest_of(path, mark["bytes"]).hexdigest() != mark["sha256"]:
        raise InputError(f"the first {mark['bytes']:,} bytes of {path} are not those of this snapshot")


def _digest_of(path: Path, size: int):
    """SHA-256 of the first bytes of a file."""
    digest = hashlib.sha256()
    if size:
        with open(path, "rb") as file:
            while size and (block := file.read(min(size, BLOCK))):
                digest.update(block)
                size -= len(block)
    return digest


def read_events(path: Path, size: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind and event of each whole line; a last line that is being written is left out.

    Raises InputError for a line that is no event, OSError if there is no file.
    """
    with open(path, "rb") as file:
        content = file.read() if size is None else file.read(size)
    *lines, _ = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        yield _event(line, path, number)


def _event(line: bytes, path: Path, number: int) -> tuple[str, dict[str, Any]]:
    try:
        event = json.loads(line)
        kind = event.pop("kind")
        return str(kind), event
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__} {error}"
        raise InputError(f"{path}, line {number:,} is not an event of a run: {reason}") from None


def read_settings(folder: Path) -> dict[str, Any]:
    """``run.json`` of a run folder. Raises InputError if it is missing or damaged."""
    path = folder / SETTINGS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["settings"].items(), content["environment"].items(), content["tokenizer_sha256"]
    except FileNotFoundError:
        raise InputError(f"{folder} is not a run folder: it has no {SETTINGS}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {type(error).__name__} {error}") from None
    return content


def read_run(folder: str | Path) -> Run:
    """What a run folder holds by now, also while the run is going. Raises InputError if it is none."""
    folder = Path(folder)
    content = read_settings(folder)
    run = Run(content["settings"], content["environment"])
    if (folder / METRICS).exists():
        History(run).load(folder / METRICS, os.path.getsize(folder / METRICS))
    return run
