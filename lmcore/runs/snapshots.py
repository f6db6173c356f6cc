"""The snapshots of one run: which is the newest that is whole, and which are kept.

Each process of a run writes a part of its own. Rank 0 writes last and names the checksums of the other
parts, so that a snapshot counts only if all parts are there, from the same attempt.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmcore.checkpoint import Checkpoint, load_checkpoint
from lmcore.distributed import World
from lmcore.durable import TEMPORARY
from lmcore.errors import InputError, SaveError
from lmcore.runs.history import METRICS, check_metrics, read_run
from lmcore.runs.resume import load_weights
from lmcore.snapshot import Snapshot, check_snapshot, read_about, read_snapshot, write_snapshot

SNAPSHOTS = "snapshots"


class SnapshotFolder:
    """``snapshots/`` in the folder of a run, for each of its processes.

    ``keep``: how many of the last snapshots stay; the one with the best validation stays besides. Raises
    InputError for ``keep`` below 1.
    """

    def __init__(self, run_folder: Path, world: World, keep: int):
        self.run_folder, self.path = run_folder, run_folder / SNAPSHOTS
        self.world, self.keep = world, keep
        if keep < 1:
            raise InputError(f"keep is {keep}; it must be at least 1")

    def prepare(self) -> None:
        """Make the folder, and delete what a killed process was writing."""
        self.path.mkdir(exist_ok=True)
        for left_over in self.path.glob(f"*{TEMPORARY}"):
            left_over.unlink()

    def steps(self) -> list[int]:
        """Of the snapshots, whole or not, the newest last."""
        names = [path.name for path in self.path.glob("step-*.safetensors")]
        numbers = [name.removeprefix("step-").removesuffix(".safetensors") for name in names]
        return sorted(int(number) for number in numbers if number.isdecimal())

    def part(self, step: int, rank: int = 0) -> Path:
        """The file of one process."""
        process = f".process-{rank}" if rank else ""
        return self.path / f"step-{step:08}{process}.safetensors"

    def newest(self, log: Callable[[str], Any]) -> tuple[Snapshot, Snapshot] | None:
        """The newest whole snapshot: this process's part and rank 0's; None if there is none yet.

        Damaged ones are named in the log and put aside. Raises InputError if there are only such.
        """
        step = self.world.first_decides(lambda: self._newest_step(log))
        if step is None:
            return None
        first = read_snapshot(self.part(step))
        return first if self.world.is_first else read_snapshot(self.part(step, self.world.rank)), first

    def _newest_step(self, log: Callable[[str], Any]) -> int | None:
        steps = self.steps()
        for step in reversed(steps):
            try:
                self.check_whole(step)
                return step
            except InputError as error:
                for path in self.path.glob(f"step-{step:08}*.safetensors"):
                    os.replace(path, path.with_name(path.name + ".damaged"))
                log(f"{error}; put aside as *.damaged, the snapshot before it is tried")
        if steps:
            raise InputError(
                f"{self.path}: none of {len(steps)} snapshots is whole; they are put aside as *.damaged. "
                "The same command again starts from step 0"
            )
        return None

    def check_whole(self, step: int) -> None:
        """Raises InputError unless all processes' parts are whole and the history up to there is."""
        about = read_about(self.part(step))
        for rank, expected in enumerate(about["parts"], start=1):
            path = self.part(step, rank)
            if not path.exists():
                raise InputError(f"{path} is missing")
            if check_snapshot(path) != expected:
                raise InputError(f"{path} is of another attempt at this step")
        check_metrics(self.run_folder / METRICS, about["history"])

    def check_room(self, size: int) -> None:
        """Raises InputError if the disk has no room for all that will be kept, ``size`` bytes each."""
        self.world.first_decides(lambda: self._check_room(size))

    def _check_room(self, size: int) -> None:
        there = sum(path.stat().st_size for path in self.path.iterdir())
        needed = (self.keep + 2) * size - there  # the last ones, the best, the one being written
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise InputError(
                f"{self.path} needs {needed / 1e6:,.1f} MB more, but its disk has {free / 1e6:,.1f} MB left; "
                "make room or choose another folder"
            )

    def save(self, step: int, snapshot: Snapshot, best_step: int | None) -> None:
        """Write this process's part; when all are there, delete the snapshots that are not kept.

        Raises SaveError in every process if one of them cannot write; what was there before stays.
        """
        path, (about, tensors) = self.part(step, self.world.rank), snapshot
        is_first, parts = self.world.is_first, []
        if self.world.size > 1:
            parts = self._all_write(lambda: "" if is_first else write_snapshot(path, tensors, about), step)
        about = {**about, "parts": parts[1:]}
        self._all_write(lambda: write_snapshot(path, tensors, about) if is_first else "", step)
        self._all_write(lambda: self._delete_old(best_step) if is_first else "", step)

    def _all_write(self, write: Callable[[], str], step: int) -> list[str]:
        """What each process's writing returned."""
        try:
            own = {"result": write()}
        except OSError as error:
            own = {"problem": f"{self.path}: {error.strerror or error}"}
        answers = [json.loads(text) for text in self.world.texts(json.dumps(own))]
        problems = [answer["problem"] for answer in answers if "problem" in answer]
        if problems:
            kept = [number for number in self.steps() if number < step]
            last = f"that of step {kept[-1]:,} is whole" if kept else "there is none before it"
            raise SaveError(f"no snapshot of step {step:,}: {problems[0]}; {last}; {SaveError.ADVICE}")
        return [answer["result"] for answer in answers]

    def _delete_old(self, best_step: int | None) -> str:
        steps = self.steps()
        for step in set(steps) - {*steps[-self.keep :], best_step}:
            self.part(step).unlink()  # first: without it the other parts count for nothing
            for path in self.path.glob(f"step-{step:08}.process-*.safetensors"):
                path.unlink()
        return ""


def load_best(folder: str | Path) -> Checkpoint:
    """The model with the best validation of a run, where `load_checkpoint` gives the last one.

    Raises InputError if the folder holds no such snapshot.
    """
    snapshots, checkpoint = SnapshotFolder(Path(folder), World(), keep=1), load_checkpoint(folder)
    entries = [entry for entry in read_run(folder).validation if entry["step"] in snapshots.steps()]
    if not entries:
        raise InputError(f"{folder} holds no snapshot of a step at which there was a validation")
    best = min(entries, key=lambda entry: entry["nats_per_token"])
    load_weights(checkpoint.model, read_snapshot(snapshots.part(best["step"])).tensors)
    return checkpoint
