"""Sizes, typefaces and colours of every diagram; the colours of models are those of the plots."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

WIDTH = 440  # of every diagram, so that letters are equally large in all
PHONE = 350  # pixels that a page of 390 leaves for a figure
SIZE, SUB = 16, 14  # letters, and the smallest ones: 14 * 350 / 440 = 11 pixels on a phone
SMALLEST_ON_PHONE = 11

# Arial, Helvetica and Liberation Sans are equally wide, so a label fits everywhere if it fits once.
SANS = "Helvetica, Arial, 'Liberation Sans', sans-serif"
SERIF = "'Times New Roman', Times, 'Liberation Serif', serif"

CARD, RIM, PAPER = "#F4F6F8", "#D3DAE1", "#FFFFFF"
INK, MUTED, FAINT = "#1F2933", "#4A5763", "#DDE3E9"
NIGHT_PAPER = "#2A313A"
SOFT, STRONG = 0.2, 0.4  # shares of a colour in the fill of a box
AT_NIGHT = {SOFT: 0.3, STRONG: 0.45}


def model_colours() -> dict[str, str]:
    """`lmcore.COLOURS`, read from its source: importing it would need torch and matplotlib."""
    tree = ast.parse((ROOT / "lmcore" / "plots.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "COLOURS":
            return ast.literal_eval(node.value)
    raise LookupError("lmcore/plots.py assigns no COLOURS")


def tint(colour: str, share: float = SOFT, paper: str = PAPER) -> str:
    """The colour thinned on paper: opaque, so that contrast can be computed."""
    pairs = zip(_channels(colour), _channels(paper), strict=True)
    return "#" + "".join(f"{round(share * c + (1 - share) * p):02X}" for c, p in pairs)


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


COLOURS = model_colours()
ACCENT = COLOURS["elman"]  # of the book, and of its main model

DARK = {  # what a light colour becomes on a dark page; the models' own colours stay
    CARD: "#181C21",
    RIM: "#39424C",
    PAPER: NIGHT_PAPER,
    INK: "#E6EBF0",
    MUTED: "#B3BEC9",
    FAINT: "#3A444F",
} | {
    tint(colour, share): tint(colour, dark_share, NIGHT_PAPER)
    for colour in COLOURS.values()
    for share, dark_share in AT_NIGHT.items()
}
