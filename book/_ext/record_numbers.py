"""Numbers in prose are read from committed records, by the role {record}`FILE; EXPRESSION; FORMAT`.

FILE lies in book/records. EXPRESSION names a value in its JSON, FORMAT is Python's (whole numbers and text
need none):

    {record}`elman_2x256/record.json; validation[-1].bits_per_byte; .3f`
    {record}`benchmarks/step.json; median(seconds["reference way"]) / median(seconds.lmcore); .1f`
    {record}`benchmarks/corpus_size.json; max(where(runs, times=8).peak_bytes) / 1e6; ,.0f`

``list.name`` is the list of the entries' values; ``where(list, name=value)`` keeps the entries that have the
value, ``one(...)`` the single one that does; ``file("other.json")`` is another record. Besides there are
+ - * /, min, max, sum, median and len. In the book the role is rendered by Sphinx; Colab does not know it, so
scripts/sync_notebooks.py writes the number itself into the notebooks.
"""

import ast
import json
import math
import operator
import re
from pathlib import Path
from statistics import median
from typing import Any

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxRole

RECORDS = Path(__file__).resolve().parents[1] / "records"
ROLE = re.compile(r"\{record\}`([^`]+)`")
OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
FUNCTIONS = {"min": min, "max": max, "sum": sum, "median": median, "len": len}


class RecordError(ValueError):
    """A quotation that no record bears out."""


def fill_in(text: str, folder: Path) -> str:
    """The text with a number in the place of each role; raises RecordError."""
    return ROLE.sub(lambda match: Quotation(match[1], folder).text, text)


class Quotation:
    """One use of the role: ``text`` is what the reader sees, ``files`` are the records that were read.

    Raises RecordError, with the role and the reason, for anything that is not there or is not one value.
    """

    def __init__(self, source: str, folder: Path):
        self.folder, self.files = folder, []
        parts = [part.strip() for part in source.replace("\n", " ").split(";")]
        try:
            if len(parts) not in (2, 3):
                raise RecordError(f"has {len(parts)} parts between semicolons instead of 2 or 3")
            self.root = self._load(parts[0])
            value = self._value(ast.parse(parts[1], mode="eval").body)
            self.text = _formatted(value, *parts[2:])
        except (RecordError, SyntaxError, TypeError, ValueError, ZeroDivisionError) as error:
            raise RecordError(f"{{record}}`{source}`: {error}") from None

    def _load(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not path.is_file():
            raise RecordError(f"there is no record {name!r} in {self.folder}")
        self.files.append(path)
        return json.loads(path.read_text(encoding="utf-8"))

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._value(operand)
            case ast.Name(id=name):
                return _entry(self.root, name)
            case ast.Attribute(value=inner, attr=name):
                return _entry(self._value(inner), name)
            case ast.Subscript(value=inner, slice=key):
                return _entry(self._value(inner), self._value(key))
            case ast.BinOp(left=left, op=operation, right=right) if type(operation) in OPERATIONS:
                return OPERATIONS[type(operation)](self._value(left), self._value(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=conditions):
                values = [self._value(argument) for argument in arguments]
                return self._call(name, values, {c.arg: self._value(c.value) for c in conditions})
        raise RecordError(f"{ast.unparse(node)!r} is not understood")

    def _call(self, name: str, values: list[Any], conditions: dict[str, Any]) -> Any:
        if name in ("where", "one"):
            (entries,) = values
            found = [item for item in entries if all(_entry(item, k) == v for k, v in conditions.items())]
            if not found or (name == "one" and len(found) > 1):
                raise RecordError(f"{len(found)} of {len(entries)} entries have {conditions}")
            return found[0] if name == "one" else found
        if name == "file":
            return self._load(*values)
        if name not in FUNCTIONS:
            raise RecordError(f"there is no function {name!r}")
        return FUNCTIONS[name](*values)


def _entry(container: Any, key: str | int) -> Any:
    if isinstance(container, list) and isinstance(key, str):
        return [_entry(item, key) for item in container]
    try:
        return container[key]
    except IndexError:
        raise RecordError(f"there is no entry {key} among {len(container)}") from None
    except KeyError:
        raise RecordError(f"there is no {key!r} among {', '.join(container)}") from None
    except TypeError:
        raise RecordError(f"{key!r} is asked of {str(container)[:40]!r}, which has no entries") from None


def _formatted(value: Any, specification: str = "") -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise RecordError(f"is a {type(value).__name__} and not one number or text")
    if isinstance(value, float) and not (specification and math.isfinite(value)):
        raise RecordError(f"is {value}; a fraction needs a format, and has to be finite")
    return format(value, specification)


class RecordRole(SphinxRole):
    """The role in the book; a quotation that cannot be kept ends the build."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            quotation = Quotation(self.text, RECORDS)
        except RecordError as error:
            raise ExtensionError(f"{self.get_location()}: {error}") from None
        for path in quotation.files:
            self.env.note_dependency(str(path))  # the page is read again when the record changes
        return [nodes.Text(quotation.text)], []


def setup(app):
    app.add_role("record", RecordRole())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
