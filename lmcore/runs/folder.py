"""The folder of one training run: who works in it, and with which settings.

``run.json`` settings, ``tokenizer.json``, ``metrics.jsonl`` history, ``snapshots/`` to go on from,
``model.safetensors`` and ``config.json`` for evaluation and generation, ``record.json`` at the end.
With several processes all of them need to see the same folder.
"""

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lmcore.checkpoint import TOKENIZER
from lmcore.distributed import World
from lmcore.durable import TEMPORARY, replace_text
from lmcore.errors import InputError
from lmcore.runs.history import METRICS, SETTINGS, read_settings
from lmcore.runs.snapshots import SNAPSHOTS, SnapshotFolder
from lmcore.tokenizer import Tokenizer, load_tokenizer

FORMAT = 1
LOCK, OWNER, RECORD = "run.lock", "process.json", "record.json"
FIRST_FILES = {LOCK, OWNER, TOKENIZER, METRICS, SNAPSHOTS}  # all that a run killed at its start can leave
LOCK_SECONDS = 1.0  # whoever only looks whether a run is going holds the lock for a moment
FREE_OPTIONS = ("out", "cache", "max_gb", "save_every", "tensorboard")  # they decide nothing about the run
FREE = {"train.save_every", *(f"options.{name}" for name in FREE_OPTIONS)}


class RunFolder:
    """One run's folder, for each of its processes; rank 0 decides and the others follow.

    ``keep``: how many of the last snapshots stay (at least 1); the one with the best validation stays, too.
    Raises InputError if the path is a file.
    """

    def __init__(self, path: str | Path, world: World | None = None, keep: int = 2):
        self.path, self.world = Path(path), world or World()
        self.snapshots = SnapshotFolder(self.path, self.world, keep)
        if self.path.is_file():
            raise InputError(f"{path} is a file; it must be a folder")

    def check(self, settings: dict[str, Any]) -> None:
        """Raises InputError if a process works here, or if a run with other settings is here, or no run.

        Changes nothing, so that it can be called before the work begins; only the settings that are given
        are compared.
        """
        if not (self.path / SETTINGS).exists():
            self._check_foreign()
            return
        if is_busy(self.path, LOCK_SECONDS):
            raise self._in_use()
        was = read_settings(self.path)["settings"]
        self._compare({name: was[name] for name in was if name in settings}, settings)

    def tokenizer(self) -> Tokenizer | None:
        """Of the run that is here already; training one again might not give the same one."""
        return load_tokenizer(self.path / TOKENIZER) if (self.path / SETTINGS).exists() else None

    def _check_foreign(self) -> None:
        names = sorted(os.listdir(self.path)) if self.path.exists() else []
        foreign = [name for name in names if name not in FIRST_FILES and not name.endswith(TEMPORARY)]
        if foreign:
            raise InputError(
                f"{self.path} holds {foreign[0]}, but no run that could go on (no {SETTINGS}); "
                "choose an empty or a new folder"
            )

    def _compare(self, was: dict[str, Any], now: dict[str, Any]) -> None:
        changed = differences(was, now)
        if changed:
            raise InputError(
                f"{self.path} holds a run with other settings: {'; '.join(changed)}. With the old ones it "
                "goes on; for new ones choose another folder"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; makes the folder. Raises InputError if one works here.

        It is the system's lock, which goes away with the process that holds it, however that ends.
        """
        if not self.world.is_first:
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise self._in_use() from None
        try:
            owner = {"pid": os.getpid(), "host": socket.gethostname()}
            (self.path / OWNER).write_text(json.dumps(owner), encoding="utf-8")
            yield
        finally:
            lock.release()

    def _in_use(self) -> InputError:
        who = "another process"
        try:
            owner = json.loads((self.path / OWNER).read_text(encoding="utf-8"))
            who = f"process {owner['pid']} on {owner['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it has not written down yet who it is
        return InputError(f"{self.path} is in use by {who}; wait for it, or choose another folder")

    def begin(self, settings: dict[str, Any], environment: dict[str, Any], tokenizer: str) -> list[str]:
        """Write down what the run is, or compare; returns what is different about the machine.

        Raises InputError if another run is here, or if the folder cannot be written.
        """
        return self.world.first_decides(lambda: self._begin(settings, environment, tokenizer))

    def _begin(self, settings: dict[str, Any], environment: dict[str, Any], tokenizer: str) -> list[str]:
        self.snapshots.prepare()
        for left_over in self.path.glob(f"*{TEMPORARY}"):
            left_over.unlink()
        checksum = hashlib.sha256(tokenizer.encode()).hexdigest()
        if not (self.path / SETTINGS).exists():
            self._check_foreign()
            content = {"settings": settings, "environment": environment, "tokenizer_sha256": checksum}
            replace_text(self.path / TOKENIZER, tokenizer)
            replace_text(self.path / SETTINGS, json.dumps({"format": FORMAT, **content}, indent=1) + "\n")
        was = read_settings(self.path)
        self._compare(was["settings"], settings)
        self._compare({"tokenizer_sha256": was["tokenizer_sha256"]}, {"tokenizer_sha256": checksum})
        device = {"device": was["environment"].get("device")}
        self._compare(device, {"device": environment["device"]})
        return differences(was["environment"], environment)


def is_busy(path: Path, seconds: float = 0.0) -> bool:
    """Whether a process works in a run folder, for so many seconds at least.

    Raises OSError if the lock may not be opened.
    """
    if not (path / LOCK).exists():
        return False
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return True
    lock.release()
    return False


def differences(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What changed, one text each: "train.seed: 0 -> 1". Settings in FREE may change."""
    before, after = _flat(was), _flat(json.loads(json.dumps(now)))
    return [
        f"{name}: {before.get(name, 'not set')} -> {after.get(name, 'not set')}"
        for name in sorted({*before, *after} - FREE)
        if before.get(name) != after.get(name)
    ]


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
