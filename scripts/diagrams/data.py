"""From text to batches: the block, the shift, and the way of the data through the course."""

from itertools import pairwise

from diagrams.drawing import Drawing
from diagrams.style import ACCENT, FAINT, INK, MUTED, PAPER, STRONG, SUB, tint

BATCH = ["the dog sees cats", "a cat sleeps <pad>"]  # of chapter 5
SHIFTED = "The greatest tasks still lie ahead and the stakes are high ."  # of chapter 6
STEP = 2  # the time step that is marked in the block

PIPELINE = [  # name, where the course builds it
    ("text", "chapter 1"),
    ("tokens", "chapter 2"),
    ("batches", "chapters 5, 6"),
    ("model", "chapters 3, 4"),
    ("loss", "chapter 7"),
    ("step", "chapter 8"),
    ("checkpoint", "chapter 8"),
    ("generation", "chapter 10"),
]


def batch_block() -> Drawing:
    drawing = Drawing("A batch of 2 sentences, 4 tokens and 3 numbers per token", height=372)
    front, back = (60, 172), (132, 60)
    for corner in ((0, 0), (248, 0), (248, 90), (0, 90)):
        near, far = ((x + corner[0], y + corner[1]) for x, y in (front, back))
        drawing.line([near, far], MUTED, 1, dashed=True)
    _slab(drawing, *back, BATCH[1], word_y=-18)
    _slab(drawing, *front, BATCH[0], word_y=108)
    drawing.line([(46, 172), (46, 262)], MUTED, 2)
    drawing.text(14, 76, "embedding", anchor="start", bold=True)
    drawing.text(14, 98, "3 numbers", anchor="start")
    drawing.line([(60, 300), (308, 300)], MUTED, 2)
    drawing.text(184, 318, "sequence: 4 tokens")
    drawing.line([(322, 262), (394, 150)], MUTED, 2)
    drawing.text(352, 240, "batch", anchor="start", bold=True)
    drawing.text(336, 262, "2 sentences", anchor="start", size=15)
    drawing.box(34, 346, 18, 18, fill=tint(ACCENT, STRONG), edge=ACCENT, thick=2)
    drawing.text(54, 346, "x[:, 2]: what the unit reads at one step", anchor="start")
    return drawing


def _slab(drawing: Drawing, left: float, top: float, sentence: str, word_y: float):
    """One sentence: a column of three numbers for each token."""
    for t, word in enumerate(sentence.split()):
        x = left + 62 * t
        look = {"fill": tint(ACCENT, STRONG), "edge": ACCENT} if t == STEP else {"fill": PAPER}
        if word == "<pad>":
            look = {"fill": FAINT}
        for row in range(3):
            label = "0" if word == "<pad>" else ""
            drawing.box(x + 31, top + 30 * row + 15, 62, 30, label, radius=0, **look)
        drawing.text(x + 31, top + word_y, word)


def shifted_sequences() -> Drawing:
    words = SHIFTED.split()
    drawing = Drawing("One sentence of 12 tokens gives 11 predictions", height=430)
    for x, name in ((132, "input"), (336, "target")):
        drawing.text(x, 26, name, bold=True)
    for t, (word, after) in enumerate(pairwise(words), start=1):
        y = 26 + 32 * t
        drawing.text(32, y, str(t), colour=MUTED)
        if t > 1:
            drawing.line([(283, y - 27), (185, y - 5)], ACCENT, 1.5, dashed=True)
        drawing.box(132, y, 106, 26, word)
        drawing.arrow([(185, y), (282, y)])
        drawing.box(336, y, 106, 26, after, fill=tint(ACCENT), edge=ACCENT)
    drawing.line([(66, 410), (104, 410)], ACCENT, 1.5, dashed=True)
    drawing.text(116, 410, "the same word, one step later", anchor="start")
    return drawing


def pipeline() -> Drawing:
    drawing = Drawing("From text to a model that writes", height=352)
    places = [(72, 50), (220, 50), (368, 50), (368, 164), (220, 164), (72, 164), (72, 298), (220, 298)]
    for (name, where), (x, y) in zip(PIPELINE, places, strict=True):
        training = name in ("model", "loss", "step")
        look = {"fill": tint(ACCENT), "edge": ACCENT, "thick": 2} if training else {}
        drawing.box(x, y, 118, 56, **look)
        drawing.text(x, y - 11, name, bold=True)
        drawing.text(x, y + 12, where, size=SUB, colour=INK if training else MUTED)
    for (x0, y0), (x1, y1) in pairwise(places):
        if y0 == y1:
            side = 59 if x1 > x0 else -59
            drawing.arrow([(x0 + side, y0), (x1 - side, y1)])
    drawing.arrow([(368, 78), (368, 136)])
    drawing.arrow([(40, 192), (40, 270)])
    drawing.arrow([(90, 192), (90, 222), (368, 222), (368, 192)], ACCENT, 2.5)
    drawing.text(232, 241, "again, batch after batch")
    drawing.arrow([(279, 298), (312, 298)])
    drawing.text(368, 287, "“The")
    drawing.text(368, 309, "President ...”")
    return drawing
