"""The directive {learning-curve} draws the training loss of a committed record as SVG, with moments marked.

    ```{learning-curve} elman_2x256/record.json
    :steps: 0 100 300 1000 3000 8800
    ```

Sphinx puts the drawing into the page itself, so that it takes the colours of the theme, and so that
reading.js can move the highlighted moment together with a slider. The loss is the mean over equal parts of
the axis of steps, shown as perplexity on a logarithmic axis; the steps are drawn closer the later they are.
"""

import json
import math
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

RECORDS = Path(__file__).resolve().parents[1] / "records"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 440, 204, 56, 24, 28, 46
PARTS = 60  # of the axis of steps
BEND = 50  # the step at which that axis turns from even to logarithmic
TICKS = (50, 100, 200, 400, 800, 1600, 3200, 6400)

Point = tuple[float, float]


def place(step: float) -> float:
    """Where a step lies on its axis, up to a factor."""
    return math.log1p(step / BEND)


def mean_curve(steps: list[dict[str, Any]]) -> list[Point]:
    """(place of the steps, nats per token), averaged over equal parts of the axis, without empty ones."""
    end = place(steps[-1]["step"])
    curve = []
    for _, part in groupby(steps, key=lambda entry: min(PARTS - 1, int(PARTS * place(entry["step"]) / end))):
        inside = list(part)
        where = sum(place(entry["step"]) for entry in inside) / len(inside)
        curve.append((where, sum(entry["loss"] for entry in inside) / len(inside)))
    return curve


def at(curve: list[Point], where: float) -> float:
    """The height of the curve, on the straight line between two points; outside, that of its end."""
    if where <= curve[0][0]:
        return curve[0][1]
    for (x, y), (next_x, next_y) in pairwise(curve):
        if where <= next_x:
            return y + (next_y - y) * (where - x) / (next_x - x)
    return curve[-1][1]


def draw(steps: list[dict[str, Any]], moments: list[int]) -> str:
    """The SVG: axes, the curve, and one circle of the class "moment" for each moment."""
    curve = mean_curve(steps)
    lowest, highest = min(y for _, y in curve) - 0.1, max(y for _, y in curve) + 0.1
    end = place(steps[-1]["step"])

    def x(where: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * where / end

    def y(nats: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (highest - nats) / (highest - lowest)

    def text(left: float, top: float, words: str, anchor: str) -> str:
        return f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}">{words}</text>'

    parts = []
    parts.append(text(LEFT, 14, "perplexity on the text it learns from", "start"))
    for tick in TICKS:
        if lowest <= math.log(tick) <= highest:
            parts.append(f'<path class="grid" d="M{LEFT},{y(math.log(tick)):.1f}H{WIDTH - RIGHT}"/>')
            parts.append(text(LEFT - 12, y(math.log(tick)) + 4, f"{tick:,}", "end"))
    for step in moments:
        parts.append(text(x(place(step)), HEIGHT - 24, f"{step:,}", "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "training step", "middle"))
    line = " ".join(f"{x(where):.1f},{y(nats):.1f}" for where, nats in curve)
    parts.append(f'<polyline class="curve" points="{line}"/>')
    for step in moments:
        left, top = x(place(step)), y(at(curve, place(step)))
        parts.append(f'<circle class="moment" cx="{left:.1f}" cy="{top:.1f}" r="5"/>')
    first, last = (math.exp(nats) for nats in (curve[0][1], curve[-1][1]))
    label = (
        "Perplexity on the training text against the training step: "
        f"from {first:.0f} it falls to {last:.0f}, with a point for each moment."
    )
    return (
        f'<svg class="learning-curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


class LearningCurve(SphinxDirective):
    """A record or a step that is not there ends the build."""

    required_arguments = 1
    option_spec = {"steps": directives.unchanged_required}  # noqa: RUF012 - docutils wants it so

    def run(self) -> list[nodes.Node]:
        path = RECORDS / self.arguments[0]
        if not path.is_file():
            raise ExtensionError(f"{self.get_location()}: there is no record {path}")
        self.env.note_dependency(str(path))
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        moments = [int(step) for step in self.options["steps"].split()]
        last = steps[-1]["step"]
        if outside := [step for step in moments if not 0 <= step <= last]:
            raise ExtensionError(f"{self.get_location()}: the run has {last} steps, not {outside}")
        return [nodes.raw("", draw(steps, moments), format="html")]


def setup(app):
    app.add_directive("learning-curve", LearningCurve)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
