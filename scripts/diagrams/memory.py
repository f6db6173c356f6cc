"""How states are joined in a tree, and what a Transformer keeps instead of a state."""

from diagrams.drawing import Drawing
from diagrams.style import ACCENT, COLOURS, FAINT, MUTED, PAPER, STRONG, tint

A, B = [0.5, 1.0, 0.5, 2.0, 1.0, 0.5, 1.0, 0.5], [4.0, 2.0, 0.0, 1.0, 3.0, 2.0, 0.0, 1.0]  # of chapter 17
WINDOW = 4


def states(a: list[float], b: list[float]) -> list[float]:
    """h_1, h_2, ... of h_t = a_t h_(t-1) + b_t, from 0."""
    h, found = 0.0, []
    for a_t, b_t in zip(a, b, strict=True):
        h = a_t * h + b_t
        found.append(h)
    return found


def scan_tree() -> Drawing:
    drawing, colour = Drawing("The tree of a scan over eight steps", height=424), COLOURS["mingru"]
    x = {t: 48 + 49 * (t - 1) for t in range(1, 9)}
    y = {1: 306, 2: 222, 4: 138, 8: 54}
    nodes = [(first, first + size - 1) for size in y for first in range(1, 9, size)]
    for first, last in nodes:
        size = last - first + 1
        for child in (last, last - size // 2) if size > 1 else ():
            drawing.line([(x[last], y[size] + 14), (x[child], y[size // 2] - 14)], MUTED)
    for source, height, target, low in ((4, 4, 6, 2), (2, 2, 3, 1), (4, 4, 5, 1), (6, 2, 7, 1)):
        drawing.arrow([(x[source] + 20, y[height] + 6), (x[target] - 4, y[low] - 16)], thick=2, dashed=True)
    for first, last in nodes:
        look = {"fill": tint(colour, STRONG), "edge": colour, "thick": 2} if first == 1 else {}
        label = f"{first}" if first == last else f"{first}\N{EN DASH}{last}"
        drawing.box(x[last], y[last - first + 1], 40, 28, label, **look)
    for t, h in enumerate(states(A, B), start=1):
        drawing.text(x[t], 346, f"$h_{t}$")
        drawing.text(x[t], 370, f"{h:g}")
    drawing.box(28, 26, 20, 16, fill=tint(colour, STRONG), edge=colour, thick=2, radius=3)
    drawing.text(46, 26, "starts at step 1: a state", anchor="start")
    drawing.arrow([(20, 400), (58, 400)], thick=2, dashed=True)
    drawing.text(68, 400, "down: a state fills in another", anchor="start")
    return drawing


def kv_cache() -> Drawing:
    drawing = Drawing("What is kept: one state, or keys and values of a window", height=412)
    x = {t: 50 + 68 * (t - 1) for t in range(1, 7)}
    drawing.text(14, 26, "Recurrent network: one state", anchor="start", bold=True)
    for t in x:
        now = t == 6
        look = {"fill": tint(ACCENT), "edge": ACCENT, "thick": 2} if now else {"edge": MUTED, "dashed": True}
        drawing.box(x[t], 76, 40, 34, f"$h_{t}$", **look)
        drawing.arrow([(x[t], 122), (x[t], 94)])
        drawing.text(x[t], 138, f"$x_{t}$")
        if not now:
            drawing.arrow([(x[t] + 20, 76), (x[t] + 47, 76)], ACCENT, 2)
    drawing.line([(16, 166), (424, 166)], FAINT, 2)
    drawing.text(14, 192, "Transformer: a window of keys and values", anchor="start", bold=True)
    _cache(drawing, x, COLOURS["transformer"])
    drawing.box(32, 388, 22, 18, edge=MUTED, dashed=True)
    drawing.text(54, 388, "given up", anchor="start")
    drawing.box(186, 388, 22, 18, fill=tint(COLOURS["transformer"]), edge=COLOURS["transformer"], thick=2)
    drawing.text(208, 388, "looked at by $q_6$", anchor="start")
    return drawing


def _cache(drawing: Drawing, x: dict[int, float], colour: str):
    drawing.arrow([(x[6], 228), (x[6], 248)], colour, 2.5)
    for t in x:
        kept = t > 6 - WINDOW
        look = {"fill": tint(colour), "edge": colour, "thick": 2} if kept else {"edge": MUTED, "dashed": True}
        drawing.box(x[t], 276, 44, 52, f"$k_{t}$\n$v_{t}$", **look)
        drawing.arrow([(x[t], 332), (x[t], 304)])
        drawing.text(x[t], 348, f"$x_{t}$")
        if kept and t < 6:
            drawing.arrow([(x[6], 228), (x[t], 228), (x[t], 248)], colour, 2.5)
    drawing.box(x[6], 226, 40, 24, "$q_6$", fill=PAPER)
