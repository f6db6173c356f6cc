"""The book on another text: assertions may fail there, and nothing else may.

An assertion that states what came out on the built-in text need not hold on another. So no chapter stops at
one, and all of them are listed, in `_build/findings.txt`. Any other error is a mistake of the chapter.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LINE = re.compile(r"Cell In\[\d+\], line (\d+)")


class Failure(NamedTuple):
    """An error that a cell of a chapter has ended with."""

    chapter: Path
    line: int  # of the chapter
    source: str  # that line
    name: str  # of the exception
    message: str

    @property
    def is_finding(self) -> bool:
        return self.name == "AssertionError"

    def __str__(self) -> str:
        place = f"{self.chapter.parent.name}/{self.chapter.name}:{self.line}: {self.source}"
        return place if self.is_finding else f"{place}\n    {self.name}: {self.message}"


def go_on_behind_errors(notebook: Path) -> None:
    """Let nbmake run all cells of the notebook, whatever happens in them."""
    content = nbformat.read(notebook, as_version=4)
    content.metadata["execution"] = {"allow_errors": True}
    nbformat.write(content, notebook)


def failures(chapter: Path, executed: Path) -> Iterator[Failure]:
    """All errors in the executed notebook of a chapter."""
    text = chapter.read_text(encoding="utf-8")
    for cell in nbformat.read(executed, as_version=4).cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                trace = COLOUR.sub("", "\n".join(output.traceback))
                number = int(LINE.search(trace)[1])  # the first is in the cell itself
                above = text[: text.index(cell.source)].count("\n")
                source = cell.source.splitlines()[number - 1].strip()
                yield Failure(chapter, above + number, source, output.ename, output.evalue)


def report(executed: dict[Path, Path], name: str, file: Path) -> list[Failure]:
    """Write all findings that do not hold into the file; returns the other errors.

    ``executed`` holds the executed notebook of each chapter, ``name`` is that of the text.
    """
    found = [failure for chapter, notebook in executed.items() for failure in failures(chapter, notebook)]
    lines = [str(failure) for failure in found if failure.is_finding]
    head = f"Assertions of the book that do not hold on {name}: {len(lines)}"
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    return [failure for failure in found if not failure.is_finding]
