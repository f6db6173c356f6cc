"""How a run is asked to stop: Ctrl-C, SIGTERM (a cluster's way), or a call. It stops between two steps."""

import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from lmcore.data import Batch
from lmcore.distributed import World

SIGINT, SIGTERM = int(signal.SIGINT), int(signal.SIGTERM)
CALL = -1  # the number that stands for a call
KINDS = (SIGTERM, SIGINT, CALL)


class StopRequest:
    """``number``: 0 as long as nobody asks, else the signal's number, or CALL."""

    def __init__(self):
        self.number = 0

    def ask(self, number: int = CALL) -> None:
        self.number = number

    def agreed(self, world: World) -> bool:
        """Whether any process of ``world`` was asked; then all of them were."""
        if world.size > 1:
            counts = world.sum([int(self.number == kind) for kind in KINDS])
            asked = (kind for kind, count in zip(KINDS, counts, strict=True) if count)
            self.number = next(asked, 0)
        return self.number != 0

    @contextmanager
    def listening(self, *numbers: int) -> Iterator[None]:
        """Take these signals as requests; a second Ctrl-C interrupts at once, as usual.

        Outside of the main thread, and where somebody else handles a signal already, nothing changes.
        """
        previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    previous[number] = signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: Any) -> None:
        if number == SIGINT and self.number == SIGINT:
            raise KeyboardInterrupt
        self.ask(number)


class Interrupted(Exception):
    """Reading of batches ended because of a request to stop."""


class UntilStopped:
    """Batches as they are, up to a request to stop; then Interrupted is raised."""

    def __init__(self, batches: Iterable[Batch], request: StopRequest):
        self.batches, self.request = batches, request

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batches, name)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.batches:
            if self.request.number:
                raise Interrupted
            yield batch


def is_interactive() -> bool:
    """Whether somebody sits at a prompt: a notebook, IPython, or Python without a program."""
    shell = sys.modules.get("IPython")
    return hasattr(sys, "ps1") or (shell is not None and shell.get_ipython() is not None)
