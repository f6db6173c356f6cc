"""Keeps a run in its folder while it is going, and brings it back from there to the bit."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from lmcore.errors import DivergedError, InputError, SaveError, TrainingError
from lmcore.runs.folder import RunFolder
from lmcore.runs.history import METRICS, History, MetricsFile
from lmcore.runs.resume import pack, unpack, weights
from lmcore.snapshot import Snapshot
from lmcore.step import Step

MOMENTS = 2  # that AdamW keeps of every weight
ROOM_BESIDES = 2**16  # bytes of a snapshot for its header, random numbers and states, about


PLAIN_FIELDS = ("step", "epoch", "batch", "seconds", "looked")  # of Progress, as JSON has them


@dataclass
class Progress:
    """How far a run is, between two steps."""

    step: int = 0  # optimizer steps done
    epoch: int = 0
    batch: int = 0  # batches of this epoch that were used
    seconds: float = 0.0  # of training
    looked: bool = False  # what is due after this step (validation, samples) was done
    states: list[Any] | None = None  # carried to the next batch, one per part of a batch


class Keeper:
    """Writes and reads the folder of one run, for each of its processes.

    ``tokenizer`` is `Tokenizer.to_json`; ``num_batches`` are in one epoch.
    """

    def __init__(self, folder: RunFolder, step: Step, history: History, tokenizer: str, num_batches: int):
        self.folder, self.step, self.history = folder, step, history
        self.tokenizer, self.num_batches = tokenizer, num_batches
        self.kept: tuple[int, bool] | None = None  # ``step`` and ``looked`` of the newest snapshot
        self._has_begun = False

    @contextmanager
    def working(self, progress: Progress, log: Callable[[str], Any]) -> Iterator[None]:
        """Hold the folder; the first time, bring back into ``progress`` and the model what it holds.

        Raises InputError if another process holds it or has gone on with it, if it holds another run, if
        it cannot be written or the disk has no room.
        """
        with self.folder.locked(), ExitStack() as stack:
            if not self._has_begun:
                self._begin(progress, log)
            elif self.kept is not None and self.folder.snapshots.steps()[-1:] != [self.kept[0]]:
                raise InputError(f"another process went on with {self.folder.path}; make a new Trainer")
            if self.history.file is not None:
                stack.enter_context(self.history.file.opened())
            try:
                yield
            except SaveError:
                raise
            except TrainingError as error:
                self.end("diverged" if isinstance(error, DivergedError) else "failed", progress.step)
                raise

    def _begin(self, progress: Progress, log: Callable[[str], Any]) -> None:
        run, snapshots = self.history.run, self.folder.snapshots
        changed = self.folder.begin(run.settings, run.environment, self.tokenizer)
        snapshots.check_room((1 + MOMENTS) * _num_bytes(self.step) + ROOM_BESIDES)
        found, size = snapshots.newest(log), 0
        if found is not None:
            size = self._bring_back(*found, progress)
            if changed:
                log(f"not as at the start, so the last digits may differ: {'; '.join(changed)}")
        if self.folder.world.is_first:
            self.history.file = MetricsFile(self.folder.path / METRICS, size)
        self._has_begun = True

    def _bring_back(self, own: Snapshot, first: Snapshot, progress: Progress) -> int:
        """Returns how many bytes of the history belong to the snapshot."""
        about = first.about
        if about["batch"] > self.num_batches:
            raise InputError(
                f"the snapshot is at batch {about['batch']:,} of an epoch that now has {self.num_batches:,}"
            )
        progress.states = unpack(own, first, self.step)
        for name in PLAIN_FIELDS:
            setattr(progress, name, about[name])
        self.kept = (progress.step, progress.looked)
        self.history.load(self.folder.path / METRICS, about["history"]["bytes"])
        return about["history"]["bytes"]

    def save(self, progress: Progress) -> None:
        """Write a snapshot. Raises SaveError if that fails; those from before stay."""
        self.history.write()
        about, tensors = pack(self.step, progress.states)
        about |= {name: getattr(progress, name) for name in PLAIN_FIELDS}
        about |= {"history": self.history.mark(), "settings": self.history.run.settings}
        scored = [entry for entry in self.history.run.validation if entry["step"]]
        best = min(scored, key=lambda entry: entry["nats_per_token"], default={"step": None})
        self.folder.snapshots.save(progress.step, Snapshot(about, tensors), best["step"])
        self.kept = (progress.step, progress.looked)

    def end(self, state: str, step: int) -> None:
        """Write down how the run ended; a run that goes on all the same takes that line back."""
        self.history.add("end", {"step": step, "state": state})
        self.history.write()


def _num_bytes(step: Step) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in weights(step.model).values())
