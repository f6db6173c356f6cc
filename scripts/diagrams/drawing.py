"""A card and what stands on it: text, boxes, circles, lines and arrows in one style.

Left out: transparency, gradients and markers, so that any viewer draws the same.
"""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from diagrams.style import CARD, DARK, INK, PAPER, RIM, SANS, SIZE, WIDTH
from diagrams.text import spans, width

Point = tuple[float, float]
LINE_HEIGHT = 1.25


class DoesNotFit(ValueError):
    """A label is larger than its box or leaves the card."""


class Drawing:
    """An SVG picture of a fixed width; x goes right, y goes down, in pixels."""

    def __init__(self, title: str, height: float, width: float = WIDTH):
        self.title, self.width, self.height = title, width, height
        self.parts: list[str] = []
        self.rect(1, 1, width - 2, height - 2, fill=CARD, edge=RIM, thick=1, radius=12)

    def rect(
        self,
        x: float,
        y: float,
        wide: float,
        high: float,
        fill: str = PAPER,
        edge: str = INK,
        thick: float = 1.5,
        radius: float = 6,
        dashed: bool = False,
    ):
        """A rectangle by its upper left corner."""
        shape = f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}" rx="{radius:g}"'
        self.parts.append(f'{shape} fill="{fill}"{_stroke(edge, thick, dashed)}/>')

    def text(
        self,
        x: float,
        y: float,
        label: str,
        size: float = SIZE,
        anchor: str = "middle",
        colour: str = INK,
        bold: bool = False,
    ):
        """A line of text, its middle at height y; raises DoesNotFit if it may leave the card."""
        need = width(label, size, bold)
        left = x - {"start": 0, "middle": need / 2, "end": need}[anchor]
        if left < 4 or left + need > self.width - 4:
            raise DoesNotFit(f"{label!r} from {left:.0f} to {left + need:.0f} on a card of {self.width}")
        look = f' font-size="{size:g}"' if size != SIZE else ""
        look += ' font-weight="bold"' if bold else ""
        look += f' text-anchor="{anchor}"' if anchor != "middle" else ""
        look += f' fill="{colour}"' if colour != INK else ""
        self.parts.append(f'<text x="{x:g}" y="{y + 0.35 * size:g}"{look}>{spans(label, size)}</text>')

    def box(
        self,
        x: float,
        y: float,
        wide: float,
        high: float,
        label: str = "",
        *,
        size: float = SIZE,
        colour: str = INK,
        bold: bool = False,
        **look,
    ):
        """A rectangle around (x, y) with a label of one or more lines; raises DoesNotFit."""
        lines = label.split("\n") if label else []
        need = max((width(line, size, bold) for line in lines), default=0)
        if need > wide - 4 or len(lines) * size * LINE_HEIGHT > high:
            raise DoesNotFit(f"{label!r} needs {need:.0f} pixels, its box has {wide} x {high}")
        self.parts.append("<g>")
        self.rect(x - wide / 2, y - high / 2, wide, high, **look)
        for number, line in enumerate(lines):
            shift = (number - (len(lines) - 1) / 2) * size * LINE_HEIGHT
            self.text(x, y + shift, line, size, colour=colour, bold=bold)
        self.parts.append("</g>")

    def circle(self, x: float, y: float, radius: float, label: str = "", *, fill=PAPER, edge=INK, thick=1.5):
        """A circle with a short label; raises DoesNotFit."""
        if width(label) > 2 * radius:
            raise DoesNotFit(f"{label!r} needs {width(label):.0f} pixels, its circle has {2 * radius}")
        self.parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}"{_stroke(edge, thick, False)}/>'
        )
        if label:
            self.text(x, y, label)

    def line(self, points: Sequence[Point], colour: str = INK, thick: float = 1.5, dashed: bool = False):
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none"{_stroke(colour, thick, dashed)}/>')

    def arrow(self, points: Sequence[Point], colour: str = INK, thick: float = 1.5, dashed: bool = False):
        """A line through the points with a head at the last."""
        (x0, y0), (x, y) = points[-2:]
        length, long = math.hypot(x - x0, y - y0), 6 + 2 * thick
        dx, dy = (x - x0) / length, (y - y0) / length
        neck = (round(x - long * dx, 1), round(y - long * dy, 1))
        self.line([*points[:-1], neck], colour, thick, dashed)
        half = 0.45 * long
        corners = [
            (x, y),
            (neck[0] - half * dy, neck[1] + half * dx),
            (neck[0] + half * dy, neck[1] - half * dx),
        ]
        path = " ".join(f"{round(a, 1):g},{round(b, 1):g}" for a, b in corners)
        self.parts.append(f'<polygon points="{path}" fill="{colour}"/>')

    def svg(self) -> str:
        """The whole file; wide enough screens show it at its own size."""
        size = f'width="{self.width:g}" height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}"'
        look = f'font-family="{SANS}" font-size="{SIZE}" text-anchor="middle" fill="{INK}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {look}>'
        shapes = "\n".join(self.parts)
        night = f"<style>{_night(head + shapes)}</style>"
        return "\n".join([head, f"<title>{escape(self.title)}</title>", night, shapes, "</svg>", ""])


def _night(shapes: str) -> str:
    """Rules for a dark page. Viewers that know none show the light picture, which has its own card."""
    rules = [
        f'[{what}="{light}"]{{{what}:{dark}}}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
        if f'{what}="{light}"' in shapes
    ]
    return f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"


def _stroke(colour: str, thick: float, dashed: bool) -> str:
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f' stroke="{colour}" stroke-width="{thick:g}" stroke-linejoin="round"{dashes}' if thick else ""
