"""How long it takes to read each chapter once, by one formula: what "*Time:* about N minutes" is made of.

    python scripts/reading_time.py

A minute for 200 words of prose, 4 seconds for each line of code that is shown (the look at what it prints is
among them), 20 seconds for each figure or playground. That is an estimate for an attentive reader, not a
measurement: formulas count as the words of their source, which is too little for some readers.

Read are the text with its tables, headings and captions, and the code, up to the exercises. Not counted
are the exercises and the further reading; what a page folds away (`hide-input`, `hide-cell`, <details>) or
leaves out (`remove-cell`); front matter, comments, options of directives and descriptions of images. Of a
link, a role or a number from a record only the words count that the page shows.
tests/test_reading_time.py compares the chapters with this.
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

import jupytext
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
WORDS_PER_MINUTE = 200
SECONDS_PER_LINE = 4  # of code
SECONDS_PER_FIGURE = 20
FOLDED = {"hide-input", "hide-cell", "remove-cell"}  # tags of cells whose code is not shown
LINES = re.MULTILINE | re.DOTALL
END = re.compile(r"^## Exercises$", re.MULTILINE)
NOT_SHOWN = re.compile(r"<details.*?</details>|<!--.*?-->|^%[^\n]*$|^:[\w-]+:[^\n]*$", LINES)
PLAYGROUND = re.compile(r"^```\{playground\}$.*?^```$", LINES)
LISTING = re.compile(r"^```\w*\n(.*?)^```$", LINES)  # code or output in the text, not run
PICTURE = re.compile(r"!\[.*?\]\(\S+?\)", re.DOTALL)
SHOWN_AS = (
    (re.compile(r"\{(?:term|ref|doc)\}`([^`<]+?)(?: <[^`>]+>)?`"), r"\1"),
    (re.compile(r"\{[\w:]+\}`[^`]*`"), "1"),  # a citation, a figure's number, a number from a record
    (re.compile(r"\]\([^)\s]+\)"), "]"),  # the address of a link
    (re.compile(r"^:{3,}.*$|^\$\$ \(eq-[\w-]+\)$", re.MULTILINE), ""),
)


class Reading(NamedTuple):
    """What there is to read in a chapter, or in a piece of one."""

    words: int = 0
    lines: int = 0  # of code
    figures: int = 0

    @property
    def minutes(self) -> float:
        seconds = self.lines * SECONDS_PER_LINE + self.figures * SECONDS_PER_FIGURE
        return self.words / WORDS_PER_MINUTE + seconds / 60

    @property
    def stated(self) -> int:
        """Minutes as a chapter states them: up to the next five."""
        return 5 * math.ceil(self.minutes / 5)


def reading(chapter: str) -> Reading:
    """What there is to read in the MyST source of a chapter, up to its exercises."""
    pieces = []
    for cell in jupytext.reads(chapter, fmt="md:myst").cells:
        if cell.cell_type == "code":
            pieces.append(of_code(cell))
            continue
        before, *exercises = END.split(cell.source)
        pieces.append(of_text(before))
        if exercises:
            break
    return Reading(*map(sum, zip(*pieces, strict=True)))


def of_code(cell: NotebookNode) -> Reading:
    """A cell: its lines unless they are folded, and the figure that it draws."""
    figure = cell.metadata.get("mystnb", {}).get("figure")
    lines = 0 if FOLDED & set(cell.metadata.get("tags", [])) else filled(cell.source)
    return Reading(words(figure.get("caption", "")) if figure else 0, lines, 1 if figure else 0)


def of_text(text: str) -> Reading:
    text = NOT_SHOWN.sub("", text)
    figures = len(PLAYGROUND.findall(text)) + len(PICTURE.findall(text))
    text = PICTURE.sub("", PLAYGROUND.sub("", text))
    return Reading(words(LISTING.sub("", text)), sum(map(filled, LISTING.findall(text))), figures)


def filled(code: str) -> int:
    return sum(1 for line in code.splitlines() if line.strip())


def words(text: str) -> int:
    """Words of prose, numbers and what formulas are written with; a dash or the bar of a table is no word."""
    for pattern, shown in SHOWN_AS:
        text = pattern.sub(shown, text)
    return sum(1 for word in text.split() if re.search(r"\w", word))


def main() -> None:
    print(f"{'chapter':<26}{'words':>7}{'lines':>7}{'figures':>9}{'minutes':>9}{'stated':>8}")
    total = 0.0
    for chapter in sorted((ROOT / "book").glob("[0-9][0-9]_*.md")):
        read = reading(chapter.read_text(encoding="utf-8"))
        total += read.minutes
        numbers = f"{read.words:>7}{read.lines:>7}{read.figures:>9}{read.minutes:>9.1f}{read.stated:>8}"
        print(f"{chapter.stem:<26}{numbers}")
    print(f"all chapters: {total / 60:.1f} hours")


if __name__ == "__main__":
    main()
