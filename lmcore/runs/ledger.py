"""The books of a run: what each step cost, read from the device rarely and then written into the history."""

import math
import time
from typing import NamedTuple

from torch import Tensor

from lmcore.distributed import World
from lmcore.errors import DivergedError
from lmcore.runs.history import History
from lmcore.step import StepResult

STEPS_UNREAD = 50  # on a GPU or over several processes losses are read this rarely: reading one waits


class Stopwatch:
    """Adds up seconds of training; the clock never goes back, whatever happens to the time of day."""

    def __init__(self):
        self.seconds, self._since = 0.0, 0.0

    def start(self) -> None:
        """What has passed since the last `tick` does not count."""
        self._since = time.perf_counter()

    def tick(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now


class _Pending(NamedTuple):
    """A step whose loss is still on the GPU, or not yet added up over the processes."""

    step: int
    loss: Tensor | float
    grad_norm: Tensor | float
    learning_rate: float
    num_targets: int
    seconds: float


class Ledger:
    """Takes down steps; ``reading_waits``: a loss is not read before STEPS_UNREAD of them are due."""

    def __init__(self, history: History, world: World, watch: Stopwatch, reading_waits: bool):
        self.history, self.world, self.watch = history, world, watch
        self.reading_waits = reading_waits
        self.saved_step: int | None = None  # of the last good model, for messages
        self.pending: list[_Pending] = []

    def note(self, step: int, result: StepResult, learning_rate: float) -> None:
        """Keep a step's numbers, and read them if it is time. Raises as `read` does."""
        loss, grad_norm, _, num_targets = result
        if loss.device.type == "cpu":  # reading is free, and small tensors would break up the heap
            loss, grad_norm = loss.item(), grad_norm.item()
        self.pending.append(_Pending(step, loss, grad_norm, learning_rate, num_targets, self.watch.seconds))
        if len(self.pending) == (STEPS_UNREAD if self.reading_waits else 1):
            self.read()

    def read(self) -> None:
        """Losses from the device into the history.

        Raises DivergedError for one that is no number, SaveError if the history cannot be written.
        """
        if not self.pending:
            return
        losses = self.world.sum([float(entry.loss) for entry in self.pending])
        if self.reading_waits:  # the device has caught up only now
            self.watch.tick()
            self.pending[-1] = self.pending[-1]._replace(seconds=self.watch.seconds)
        entries, self.pending = self.pending, []
        for entry, loss in zip(entries, losses, strict=True):
            if not math.isfinite(loss):
                raise DivergedError(self.diverged(f"the loss is {loss} at", entry.step, entry.learning_rate))
            self._remember(entry, loss)
        self.history.write()

    def _remember(self, entry: _Pending, loss: float) -> None:
        steps = self.history.run.steps
        event = {
            "step": entry.step,
            "loss": round(loss, 5),
            "learning_rate": round(entry.learning_rate, 7),
            "grad_norm": round(float(entry.grad_norm), 4),
            "tokens": (steps[-1]["tokens"] if steps else 0) + entry.num_targets,
            "seconds": round(entry.seconds, 3),
        }
        self.history.add("step", event)

    def diverged(self, what: str, step: int, learning_rate: float) -> str:
        """A message: what happened, where, what to do, what there is to go back to."""
        return (
            f"{what} step {step:,}, where the learning rate is {learning_rate:.3g}; lower it "
            f"{self.last_good()}"
        )

    def last_good(self) -> str:
        saved = "none was" if self.saved_step is None else f"that of step {self.saved_step:,} was"
        return f"(the last good model: {saved} saved)"
