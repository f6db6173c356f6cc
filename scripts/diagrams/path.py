"""The path through the chapters, tall for a phone and in three columns for a wide screen."""

import re
from itertools import pairwise
from typing import NamedTuple

from diagrams.drawing import Drawing
from diagrams.style import ACCENT, PAPER, ROOT, WIDTH

ROW, HEAD, COLUMN = 32, 40, 302
COLUMNS = [4, 2, 2]  # parts in each column of the wide one


class Stop(NamedTuple):
    """A chapter on the path."""

    x: float
    y: float
    number: int
    title: str
    part: str  # name of the part that begins here, or ""


def parts() -> list[tuple[str, list[tuple[int, str]]]]:
    """(name, [(number, title), ...]) of each numbered part, from the book itself."""
    contents, found = (ROOT / "_toc.yml").read_text(encoding="utf-8"), []
    for part in contents.split("- caption: ")[1:]:
        files = re.findall(r"- file: (book/\d\d_\w+)", part)
        chapters = [(int(file[5:7]), _title(file)) for file in files]
        found += [(part.splitlines()[0].strip(), chapters)] if chapters else []
    return found


def _title(file: str) -> str:
    """The heading of a chapter, up to a colon or comma."""
    text = (ROOT / f"{file}.md").read_text(encoding="utf-8")
    return re.search(r"^# ([^:,\n]+)", text, flags=re.MULTILINE).group(1)


def tall() -> Drawing:
    return _drawing([parts()], WIDTH)


def wide() -> Drawing:
    every, columns = parts(), []
    for count in COLUMNS:
        columns.append(every[:count])
        every = every[count:]
    return _drawing(columns, len(columns) * COLUMN + 14)


def _drawing(columns: list, width: float) -> Drawing:
    """Columns of parts, one line through all of their chapters."""
    stops = [_stops(column, 32 + COLUMN * number) for number, column in enumerate(columns)]
    drawing = Drawing("The path through the chapters", max(places[-1].y for places in stops) + 36, width)
    low = drawing.height - 16
    for before, after in pairwise(stops):
        (x0, y0, *_), (x1, y1, *_) = before[-1], after[0]
        drawing.line([(x0, y0), (x0, low), (x1 - 34, low), (x1 - 34, y1), (x1, y1)], ACCENT, 3)
    for places in stops:
        drawing.line([(stop.x, stop.y) for stop in places], ACCENT, 3)
        for x, y, number, title, part in places:
            if part:
                drawing.text(x + 24, y - 32, part, anchor="start", bold=True)
            drawing.circle(x, y, 13, str(number), fill=PAPER, edge=ACCENT, thick=2.5)
            drawing.text(x + 24, y, title, anchor="start")
    return drawing


def _stops(column: list, x: float) -> list[Stop]:
    y, found = 30, []
    for name, chapters in column:
        y += HEAD
        for number, title in chapters:
            found.append(Stop(x, y, number, title, name if number == chapters[0][0] else ""))
            y += ROW
    return found
