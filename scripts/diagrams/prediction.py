"""One prediction: from logits to a loss, and what is read next."""

import math

from diagrams.drawing import Drawing
from diagrams.style import ACCENT, FAINT, MUTED, tint

TOKENS, LOGITS = ["cat", "dog", "sat"], [2.0, 0.5, -1.0]  # of chapter 7; "cat" comes next


def softmax_loss() -> Drawing:
    drawing = Drawing("From logits to the loss of one prediction", height=306)
    exps = [math.exp(z) for z in LOGITS]
    probs = [e / sum(exps) for e in exps]
    for x, name in ((44, "token"), (122, "logit"), (218, "exp"), (342, "probability")):
        drawing.text(x, 28, name, bold=True)
    for row, (token, z, e, p) in enumerate(zip(TOKENS, LOGITS, exps, probs, strict=True)):
        y, right = 64 + 44 * row, row == 0
        look = {"fill": tint(ACCENT), "edge": ACCENT, "thick": 2} if right else {}
        drawing.text(44, y, token, bold=right)
        for x, value in ((122, f"{z:.1f}"), (218, f"{e:.3f}"), (302, f"{p:.3f}")):
            drawing.box(x, y, 66, 32, value.replace("-", "\N{MINUS SIGN}"), **look)
        drawing.arrow([(155, y), (185, y)])
        drawing.arrow([(251, y), (269, y)])
        drawing.rect(341, y - 9, 82 * p, 18, fill=ACCENT if right else MUTED, thick=0, radius=2)
    drawing.line([(218, 170), (218, 186)])
    drawing.text(218, 200, f"sum {sum(exps):.3f}: divide by it")
    drawing.box(220, 252, 396, 56, fill=tint(ACCENT), edge=ACCENT, thick=2)
    drawing.text(220, 241, "if “cat” comes next, the loss is")
    drawing.text(220, 264, f"\N{MINUS SIGN}log {probs[0]:.3f} = {-math.log(probs[0]):.3f} nats", bold=True)
    return drawing


def teacher_forcing() -> Drawing:
    drawing = Drawing("Teacher forcing and free running", height=446)
    for top, forced in ((10, True), (226, False)):
        _reading(drawing, top, forced)
    drawing.line([(16, 222), (424, 222)], FAINT, 2)
    return drawing


def _reading(drawing: Drawing, top: float, forced: bool):
    drawing.text(16, top + 20, "Teacher forcing" if forced else "Free running", anchor="start", bold=True)
    columns = [76, 220, 364]
    for step, x in enumerate(columns, start=1):
        own = not forced and step > 1
        look = {"fill": tint(ACCENT), "edge": ACCENT} if own else {}
        drawing.box(x, top + 64, 86, 30, f"guess {step + 1}", fill=tint(ACCENT), edge=ACCENT)
        drawing.arrow([(x, top + 104), (x, top + 80)])
        drawing.box(x, top + 122, 64, 36, "unit")
        drawing.arrow([(x, top + 166), (x, top + 141)])
        label = f"guess {step}" if own else f"word {step}"
        drawing.box(x, top + 182, 86, 30, label, **look)
        if step < 3:
            drawing.arrow([(x + 32, top + 122), (x + 111, top + 122)])
        if own:
            turns = [(x - 101, top + 64), (x - 72, top + 64), (x - 72, top + 182), (x - 44, top + 182)]
            drawing.arrow(turns, ACCENT, 2.5)
