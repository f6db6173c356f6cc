"""Which runs there are below a folder, and how they are doing."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from lmcore.distributed import World
from lmcore.errors import InputError
from lmcore.runs.folder import is_busy
from lmcore.runs.history import METRICS, SETTINGS, read_settings
from lmcore.runs.snapshots import SnapshotFolder

NUMBERS = ("step", "loss", "nats_per_token")
COLUMNS = ("run", "state", "step", "loss", "validation", "last sign of life")


@dataclass(frozen=True)
class RunSummary:
    """One run. ``loss`` and ``validation`` are the last ones, in nats per token; None if there is none."""

    name: str  # below the folder that was asked about
    state: str  # running, stopped, finished, diverged, failed, damaged
    step: int
    limit: str  # of steps or seconds, in words
    loss: float | None
    validation: float | None
    age: float  # seconds since the last event


def list_runs(folder: str | Path) -> list[RunSummary]:
    """Every run in ``folder`` or below, by name. Raises InputError if there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    found = sorted(path.parent for path in folder.rglob(SETTINGS))
    return [_summary(run, str(run.relative_to(folder))) for run in found]


def _summary(run: Path, name: str) -> RunSummary:
    events, limit, state = {}, "", "damaged"
    try:
        limit = _limit(read_settings(run)["settings"].get("train", {}))
        events = _last_events(run / METRICS)
        state = _state(run, events)
    except (ValueError, TypeError, AttributeError):  # InputError is the first; also settings of another kind
        pass  # that is what "damaged" says; the command to go on names what is wrong
    metrics = run / METRICS
    since = time.time() - (metrics if metrics.exists() else run).stat().st_mtime
    step, validation = events.get("step", {}), events.get("validation", {})
    return RunSummary(
        name, state, step.get("step", 0), limit,
        step.get("loss"), validation.get("nats_per_token"), max(since, 0.0),
    )  # fmt: skip


def _limit(train: dict[str, Any]) -> str:
    limits = []
    if train.get("max_steps"):
        limits.append(f"{train['max_steps']:,}")
    if train.get("max_seconds"):
        limits.append(f"{train['max_seconds']:g} s")
    return " or ".join(limits)


def _state(run: Path, events: dict[str, dict[str, Any]]) -> str:
    """Raises InputError if the run could not go on."""
    if is_busy(run):
        return "running"
    snapshots = SnapshotFolder(run, World(), keep=1)
    steps = snapshots.steps()
    for number, step in enumerate(reversed(steps), start=1):
        try:
            snapshots.check_whole(step)
            break
        except InputError:
            if number == len(steps):
                raise
    return events.get("end", {}).get("state", "stopped")


def _last_events(path: Path) -> dict[str, dict[str, Any]]:
    """The last event of each kind, read from the end, where they are."""
    events: dict[str, dict[str, Any]] = {}
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    for line in reversed(lines):
        try:
            event = json.loads(line)
            if not all(isinstance(event[name], int | float) for name in NUMBERS if name in event):
                raise TypeError(f"one of {', '.join(NUMBERS)} is no number")
            events.setdefault(event["kind"], event)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}: {line[:60]!r} is not an event of a run: {error}") from None
        if {"step", "validation"} <= events.keys():
            break
    return events


def table(runs: Iterable[RunSummary]) -> str:
    """One line per run under a line of titles."""
    rows = [COLUMNS, *map(_cells, runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _cells(run: RunSummary) -> tuple[str, ...]:
    loss, validation = ("-" if value is None else f"{value:.4f}" for value in (run.loss, run.validation))
    step = f"{run.step:,} of {run.limit}" if run.limit else f"{run.step:,}"
    return run.name, run.state, step, loss, validation, f"{timedelta(seconds=int(run.age))} ago"
