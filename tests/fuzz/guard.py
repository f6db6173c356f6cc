"""What a reader of files must not do, whatever the file holds: run, hang, take the memory, or fail otherwise.

This runs in a process of its own, without the type checks that pytest installs: a reader of the book has
none either.
"""

import codecs
import json
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from lmcore.errors import InputError

CPU_SECONDS = 20  # for one small file that takes milliseconds; more is called a hang
SPARE_BYTES = 2**31  # of address space beyond what the process has
RUNNING = ("compile", "exec", "import", "marshal.", "pickle.", "ctypes.", "code.", "subprocess.", "socket.")
STARTING = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork")
CHANGING = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "shutil.")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


for codec in ("utf_8_sig", "utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be"):  # json guesses the encoding
    codecs.lookup(codec)  # imported here, since an import while reading counts as running code


class Hang(BaseException):
    """Not an Exception, so that no reader can swallow it."""


class Guard:
    """Reads files under watch and counts how it ended.

    "refused": InputError in one plain line. "equal": what came back is what was saved. Everything else is
    a failure: "wrong" (it loaded, and is something else), "crashed", "hung", "acted" (it ran code, asked the
    network, or changed a file outside ``workplace``, which should be the current folder; without one, any
    file).
    """

    def __init__(self, workplace: str | None = None):
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._workplace = workplace and os.path.realpath(workplace) + os.sep
        self._deeds: list[str] = []
        self._watching = False
        sys.addaudithook(self._audit)
        signal.signal(signal.SIGPROF, self._too_long)

    def read(self, name: str, load: Callable[[], Any], is_right: Callable[[Any], bool]) -> str:
        """Call ``load`` and say how it ended; ``name`` is what a failure is found again by."""
        with self._watched():
            outcome, detail = _outcome(load)
        if self._deeds:
            outcome, detail = "acted", self._deeds[0]
        elif outcome == "loaded":
            outcome = "equal" if is_right(detail) else "wrong"
        self.counts[outcome] += 1
        if outcome not in ("refused", "equal"):
            self.failures.append(f"{outcome}: {str(detail)[:300]}: {name[:300]}")
        return outcome

    @contextmanager
    def _watched(self):
        self._deeds.clear()
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        self._watching = True
        try:
            yield
        finally:
            self._watching = False
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _audit(self, event: str, arguments: tuple) -> None:
        if not self._watching:
            return
        opens_to_write = event == "open" and (arguments[2] or 0) & WRITING
        paths = arguments[:1] if opens_to_write else arguments if event.startswith(CHANGING) else ()
        if event.startswith((*RUNNING, *STARTING)) or not all(map(self._is_inside, paths)):
            self._deeds.append(f"{event} {arguments}"[:300])

    def _is_inside(self, path: Any) -> bool:
        """Whether a path is in the workplace; a name relative to an open folder looks as if it were."""
        if not isinstance(path, str | bytes | os.PathLike):
            return True  # a descriptor or a mode
        real = os.path.realpath(os.fsdecode(path)) + os.sep
        return self._workplace is not None and real.startswith(self._workplace)

    def _too_long(self, *_):
        raise Hang


def _outcome(load: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "loaded", load()
    except InputError as error:
        text = str(error)
        if not text or not text.isprintable():  # a line end or an escape sequence out of the file
            return "crashed", f"not one plain line: {text!r}"
        return "refused", text
    except Hang:
        return "hung", f"over {CPU_SECONDS} s of processor time"
    except BaseException as error:  # a panic of a library in Rust is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return "crashed", f"{type(error).__name__}: {error}"


def limit_memory() -> None:
    """Let allocations fail that a small file has no reason to ask for; Linux only, elsewhere no limit."""
    if sys.platform != "linux":
        return
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_BYTES, used + SPARE_BYTES))


def report(guard: Guard) -> None:
    """Print the counts and the first failures as one line of JSON, for the test that started this."""
    print(json.dumps({"counts": guard.counts, "failures": guard.failures[:20]}))
