"""The recurrent unit: one step, unrolled, in layers, trained through time, in both directions."""

from itertools import pairwise

from diagrams.drawing import Drawing
from diagrams.style import ACCENT, FAINT, INK, MUTED, PAPER, STRONG, tint

SENTENCE = ["the", "dog", "bites", "the", "man"]  # of chapter 4
TAGS = ["DET", "NOUN", "VERB", "DET", "NOUN"]
UNIT = {"fill": tint(ACCENT), "edge": ACCENT, "thick": 2}


def elman_unit() -> Drawing:
    drawing = Drawing("One Elman unit", height=240)
    drawing.box(220, 125, 170, 66, "$tanh(x_t W +$\n$h_{t-1} U + b)$", size=18, **UNIT)
    drawing.text(36, 125, "$h_{t-1}$", size=18)
    drawing.arrow([(60, 125), (135, 125)])
    drawing.text(97, 109, "$U$", size=18)
    drawing.arrow([(220, 204), (220, 158)])
    drawing.text(240, 182, "$W$", size=18)
    drawing.text(220, 219, "token vector $x_t$")
    drawing.arrow([(305, 125), (384, 125)], ACCENT, 2.5)
    drawing.text(404, 125, "$h_t$", size=18)
    drawing.arrow([(345, 125), (345, 46), (36, 46), (36, 108)], ACCENT, 2.5)
    drawing.text(190, 28, "one step later")
    return drawing


def unrolled() -> Drawing:
    drawing = Drawing("The unit, unrolled in time", height=232)
    columns = [92 + 88 * i for i in range(4)]
    drawing.text(40, 66, "$h_0 = 0$")
    drawing.arrow([(26, 90), (columns[0] - 28, 90)], ACCENT, 2.5)
    for step, (x, word) in enumerate(zip(columns, SENTENCE, strict=False), start=1):
        drawing.box(x, 90, 56, 44, "unit", **UNIT)
        drawing.arrow([(x + 28, 90), (x + (60 if step < 4 else 66), 90)], ACCENT, 2.5)
        drawing.text(x + 44, 66, f"$h_{step}$")
        drawing.arrow([(x, 152), (x, 112)])
        drawing.text(x - 16, 134, f"$x_{step}$")
        drawing.text(x, 168, word)
    drawing.text(220, 28, "one column for each token that is read", colour=MUTED)
    drawing.text(220, 205, "the same $W$, $U$ and $b$ in every column", colour=MUTED)
    return drawing


def two_layers() -> Drawing:
    drawing = Drawing("Two layers, unrolled over four tokens", height=424)
    columns = [166 + 76 * i for i in range(4)]
    rows = [
        ("output", 104, "z", {"fill": PAPER}),
        ("layer 2", 184, "h", {"fill": tint(ACCENT, STRONG), "edge": ACCENT, "thick": 2}),
        ("layer 1", 264, "h", UNIT),
        ("embedding", 344, "x", {"fill": PAPER}),
    ]
    drawing.text(280, 34, "scores of the next token")
    for name, y, letter, look in rows:
        drawing.text(14, y, name, anchor="start")
        for step, x in enumerate(columns, start=1):
            drawing.box(x, y, 46, 36, f"${letter}_{step}$", **look)
            drawing.arrow([(x, y - 18), (x, y - 62 if name != "output" else y - 50)])
            if letter == "h":
                drawing.arrow([(x + 23, y), (x + (53 if step < 4 else 40), y)], ACCENT, 2.5)
        if letter == "h":
            drawing.text(108, y, "0")
            drawing.arrow([(117, y), (143, y)], ACCENT, 2.5)
    for x, word in zip(columns, SENTENCE, strict=False):
        drawing.text(x, 400, word)
        drawing.arrow([(x, 388), (x, 362)])
    return drawing


def truncated_bptt() -> Drawing:
    drawing = Drawing("Backpropagation through time, cut at the windows' edges", height=300)
    windows = [[34 + 144 * w + 42 * i for i in range(3)] for w in range(3)]
    places = [x for window in windows for x in window]
    for number, window in enumerate(windows, start=1):
        first, middle, last = window
        drawing.box(middle, 112, 126, 186, fill=PAPER, edge=FAINT, thick=1.5)
        drawing.text(middle, 36, f"window {number}")
        drawing.box(middle, 68, 110, 26, "loss", fill=FAINT, edge=MUTED, thick=1)
        for x in window:
            drawing.arrow([(x, 119), (x, 83)])
        drawing.arrow([(last, 146), (last, 176), (first, 176), (first, 148)], ACCENT, 2, dashed=True)
    for x, after in pairwise(places):
        drawing.arrow([(x + 11, 132), (after - 12, 132)], thick=2)
    for x in places:
        drawing.circle(x, 132, 12, fill=tint(ACCENT), edge=ACCENT, thick=2)
    for x in (148, 292):
        drawing.line([(x - 5, 186), (x - 1, 166)], thick=2)
        drawing.line([(x + 1, 186), (x + 5, 166)], thick=2)
        drawing.text(x, 220, "cut")
    _legend(drawing, 250, "state: carried on, as mere numbers", dashed=False)
    _legend(drawing, 276, "gradient: back to the window’s start", dashed=True)
    return drawing


def _legend(drawing: Drawing, y: float, label: str, dashed: bool):
    ends = [(70, y), (30, y)] if dashed else [(30, y), (70, y)]
    drawing.arrow(ends, ACCENT if dashed else INK, 2, dashed)
    drawing.text(84, y, label, anchor="start")


def bidirectional() -> Drawing:
    drawing = Drawing("A tagger that reads in both directions", height=384)
    columns = [64 + 78 * i for i in range(5)]
    back = {"fill": PAPER, "thick": 2}
    for i, (x, word, tag) in enumerate(zip(columns, SENTENCE, TAGS, strict=True)):
        drawing.text(x, 286, word)
        drawing.box(x, 50, 64, 32, tag, size=15, fill=FAINT)
        for shift, y, look in ((-13, 208, UNIT), (13, 138, back)):
            drawing.arrow([(x + shift, 272), (x + shift, y + 16)])
            drawing.arrow([(x + shift, y - 16), (x + shift, 67)])
            drawing.box(x + shift, y, 24, 32, **look)
        if i < 4:
            drawing.arrow([(x - 1, 208), (x + 53, 208)], ACCENT, 2.5)
            drawing.arrow([(x + 79, 138), (x + 25, 138)], thick=2.5)
    drawing.box(40, 322, 24, 24, **UNIT)
    drawing.text(62, 322, "reads from left to right", anchor="start")
    drawing.box(40, 354, 24, 24, **back)
    drawing.text(62, 354, "reads from right to left", anchor="start")
    return drawing
