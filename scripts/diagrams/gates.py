"""Gated units. On each, the thick line on top is the path on which the state is only scaled and added to."""

from diagrams.drawing import Drawing
from diagrams.style import COLOURS, FAINT, INK, MUTED, PAPER, tint

TOP = 56  # height of the state's own path


def gru() -> Drawing:
    drawing, colour = Drawing("One step of a GRU", height=322), COLOURS["gru"]
    _state(drawing, colour, "$h_{t-1}$", "$h_t$")
    drawing.arrow([(120, 186), (120, TOP + 13)])
    drawing.arrow([(120, 122), (339, 122)])
    drawing.text(230, 106, "$1 - z_t$")
    drawing.arrow([(352, 186), (352, 135)])
    drawing.arrow([(352, 109), (352, TOP + 13)])
    drawing.arrow([(210, 204), (243, 204)])
    drawing.arrow([(269, 204), (330, 204)])
    _bar(drawing, 362, "$x_t$, $h_{t-1}$")
    for x, top in ((120, 222), (188, 222), (256, 217), (352, 222)):
        drawing.arrow([(x, 270), (x, top)])
    drawing.text(303, 246, "$h_{t-1} U_n$")
    drawing.text(370, 246, "$x_t$")
    for x, label in ((120, "$z_t$"), (188, "$r_t$"), (352, "$n_t$")):
        drawing.box(x, 204, 44, 36, label, size=18, fill=tint(colour), edge=colour, thick=2)
    for x, y, sign in ((120, TOP, "×"), (352, TOP, "+"), (352, 122, "×"), (256, 204, "×")):
        _operator(drawing, x, y, sign)
    drawing.text(220, 302, "$z$ update gate, $r$ reset gate, $n$ candidate", colour=MUTED)
    return drawing


def lstm() -> Drawing:
    drawing, colour = Drawing("One step of an LSTM", height=330), COLOURS["lstm"]
    _state(drawing, colour, "$c_{t-1}$", "$c_t$")
    drawing.arrow([(112, 194), (112, TOP + 13)])
    drawing.arrow([(182, 194), (182, 132), (216, 132)])
    drawing.arrow([(276, 194), (276, 132), (242, 132)])
    drawing.arrow([(229, 119), (229, TOP + 13)])
    drawing.arrow([(346, TOP), (346, 94)])
    drawing.arrow([(346, 124), (346, 144)])
    drawing.arrow([(346, 194), (346, 171)])
    drawing.arrow([(359, 158), (396, 158)], thick=2.5)
    drawing.text(412, 158, "$h_t$", size=18)
    drawing.box(346, 108, 54, 30, "$tanh$", fill=PAPER)
    _bar(drawing, 356, "$x_t$, $h_{t-1}$")
    for x, label in ((112, "$f_t$"), (182, "$i_t$"), (276, "$g_t$"), (346, "$o_t$")):
        drawing.arrow([(x, 270), (x, 230)])
        drawing.box(x, 212, 44, 36, label, size=18, fill=tint(colour), edge=colour, thick=2)
    for x, y, sign in ((112, TOP, "×"), (229, TOP, "+"), (229, 132, "×"), (346, 158, "×")):
        _operator(drawing, x, y, sign)
    drawing.text(220, 308, "gates: $f$ forget, $i$ input, $o$ output; $g$ candidate", colour=MUTED)
    return drawing


def mingru() -> Drawing:
    drawing, colour = Drawing("One step of a minGRU", height=298), COLOURS["mingru"]
    _state(drawing, colour, "$h_{t-1}$", "$h_t$")
    drawing.arrow([(130, 176), (130, TOP + 13)])
    drawing.text(160, 92, "$1 - z_t$")
    drawing.arrow([(130, 122), (317, 122)])
    drawing.text(226, 106, "$z_t$")
    drawing.arrow([(330, 176), (330, 135)])
    drawing.arrow([(330, 109), (330, TOP + 13)])
    _bar(drawing, 340, "$x_t$ alone", y=244)
    for x in (130, 330):
        drawing.arrow([(x, 244), (x, 214)])
    drawing.box(130, 194, 44, 36, "$z_t$", size=18, fill=tint(colour), edge=colour, thick=2)
    drawing.box(330, 194, 106, 36, "candidate", fill=tint(colour), edge=colour, thick=2)
    for x, y, sign in ((130, TOP, "×"), (330, TOP, "+"), (330, 122, "×")):
        _operator(drawing, x, y, sign)
    drawing.text(220, 277, "no line leads from $h_{t-1}$ to the gate", colour=MUTED)
    return drawing


def _state(drawing: Drawing, colour: str, before: str, after: str):
    drawing.text(34, TOP, before, size=18)
    drawing.arrow([(62, TOP), (392, TOP)], colour, 4.5)
    drawing.text(410, TOP, after, size=18)


def _bar(drawing: Drawing, right: float, label: str, y: float = 270):
    """What is read, laid out to all gates that stand on it."""
    drawing.text(12, y, label, anchor="start")
    drawing.line([(76, y), (right, y)], INK, 4)


def _operator(drawing: Drawing, x: float, y: float, sign: str):
    drawing.circle(x, y, 13, sign, fill=FAINT)
