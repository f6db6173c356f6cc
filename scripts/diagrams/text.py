"""Labels: plain words with formulas between dollar signs, and how much room they need."""

import re
from xml.sax.saxutils import escape

from diagrams.style import SERIF, SIZE, SUB

WIDTHS = [  # in ems, by letters; the last holds for all others
    ("ijl.,:;'|! ", 0.33),
    ("frt()[]/-“”", 0.45),
    ("mwMW%", 0.98),
    ("ABCDEFGHKLNOPQRSTUVXYZ+=\N{MINUS SIGN}×÷", 0.78),
    ("", 0.63),
]
BOLDER = 1.1

FORMULA = re.compile(
    r"_\{(?P<long>[^}]*)\}|_(?P<short>.)"  # subscripts
    r"|(?P<name>[A-Za-z]{2,})|(?P<letter>[A-Za-z])|(?P<rest>[^_A-Za-z]+)"
)


def pieces(label: str) -> list[tuple[str, str]]:
    """(text, kind) of a label: "$h_{t-1}$ is old" holds an "italic", a "sub" and a "plain" piece.

    In formulas single letters are italic, names such as tanh and everything else are "upright".
    """
    found = []
    for number, part in enumerate(label.split("$")):
        if number % 2 == 0:
            found += [(part, "plain")] if part else []
            continue
        for match in FORMULA.finditer(part):
            kind = {"long": "sub", "short": "sub", "letter": "italic"}.get(match.lastgroup, "upright")
            found.append((match[match.lastgroup].replace("-", "\N{MINUS SIGN}"), kind))
    return found


def width(label: str, size: float = SIZE, bold: bool = False) -> float:
    """Pixels that a label needs at most: as in DejaVu Sans, the widest of the usual typefaces."""
    total = sum(ems(text) * (SUB if kind == "sub" else size) for text, kind in pieces(label))
    return total * (BOLDER if bold else 1)


def ems(text: str) -> float:
    """Width of plain text in ems."""
    return sum(next(wide for letters, wide in WIDTHS if not letters or char in letters) for char in text)


def spans(label: str, size: float) -> str:
    """The label as the content of an SVG <text>."""
    found, lowered = [], 0.0
    for text, kind in pieces(label):
        drop = 0.25 * size if kind == "sub" else 0.0
        look = {"plain": "", "upright": f' font-family="{SERIF}"'}.get(
            kind, f' font-family="{SERIF}" font-style="italic"'
        )
        look += f' font-size="{SUB}"' if kind == "sub" else ""
        look += f' dy="{drop - lowered:g}"' if drop != lowered else ""
        found.append(f"<tspan{look}>{escape(text)}</tspan>" if look else escape(text))
        lowered = drop
    return "".join(found)
