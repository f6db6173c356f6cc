"""Lines of JSON: the text that a field of each line holds, and an account of lines that hold none."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Any

from lmcore.errors import InputError

MAX_LINE_BYTES = 64 * 2**20  # a line is read as a whole
BAD_LINES_SHOWN = 3
NAMES_SHOWN = 5
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BadLine(ValueError):
    """A line, or a row of a dataset, that holds no text; the message goes on from "line 3 "."""


def text_of_line(line: bytes, field: str) -> str:
    """The text in a line of JSON; raises BadLine if there is none."""
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadLine(f"holds byte 0x{line[error.start]:02x} at {error.start}: not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadLine(f"is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise BadLine("is nested too deeply") from None
    except ValueError:
        raise BadLine("holds a number of too many digits") from None
    return text_of_field(record, field)


def text_of_field(record: Any, field: str) -> str:
    """The string under a name, or under a path "outer.inner" where no name is spelled like that.

    Raises BadLine if there is none, or if it cannot be written as UTF-8.
    """
    value = record
    for name in [field] if isinstance(record, dict) and field in record else field.split("."):
        if not isinstance(value, dict):
            raise BadLine(f"has {_kind(value)} where an object with {name!r} is needed")
        if name not in value:
            raise BadLine(f"has no field {field!r}, but {_names(value)}")
        value = value[name]
    if not isinstance(value, str):
        raise BadLine(f"has {_kind(value)} in field {field!r}; it must be a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadLine(f"has half of a surrogate pair at character {error.start} of {field!r}") from None
    return value


def _kind(value: Any) -> str:
    """The type of a value of JSON, as its users call it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return {dict: "an object", list: "a list", str: "a string"}.get(type(value), "a number")


def _names(record: dict[str, Any]) -> str:
    names = [repr(str(name)[:40]) for name in list(record)[:NAMES_SHOWN]]
    return ", ".join(names) + (", ..." if len(record) > NAMES_SHOWN else "") if names else "no other"


def lines_of(file: BufferedIOBase) -> Iterator[tuple[int, bytes | None]]:
    """Where each line starts, and the line with its end; None for one of over 64 MiB.

    A byte order mark at the start of the file is no part of the first line.
    """
    start = 0
    while line := file.readline(MAX_LINE_BYTES):
        size, too_long = len(line), len(line) == MAX_LINE_BYTES
        while too_long and not line.endswith(b"\n") and (line := file.readline(MAX_LINE_BYTES)):
            size += len(line)
        mark = len(BYTE_ORDER_MARK) if start == 0 and line.startswith(BYTE_ORDER_MARK) else 0
        yield start + mark, None if too_long else line[mark:]
        start += size


@dataclass
class BadLines:
    """The lines of one file, or the rows of one dataset, that hold no text: the first few, and how many."""

    source: str
    unit: str = "line"
    total: int = 0
    bad: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, number: int, reason: str) -> None:
        """Count line ``number`` (from 1) as bad."""
        self.bad += 1
        if self.bad <= BAD_LINES_SHOWN:
            self.first.append(f"{self.unit} {number:,} {reason}")

    def settle(self, skip: bool, log: Callable[[str], None]) -> None:
        """With all lines read: tell ``log`` of the bad ones, or raise InputError where they do not skip."""
        if not self.bad:
            return
        more = f"; and {self.bad - len(self.first):,} more" if self.bad > len(self.first) else ""
        listed = f"{'; '.join(self.first)}{more}"
        if not skip:
            raise InputError(
                f"{self.source}: {self.bad:,} of {self.total:,} {self.unit}s hold no text: {listed}. "
                "--skip-bad leaves them out"
            )
        log(f"{self.source}: left out {self.bad:,} of {self.total:,} {self.unit}s: {listed}")
