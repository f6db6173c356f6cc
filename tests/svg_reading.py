"""What a reader of an SVG drawing sees: lines of text with the room that they need, and colours."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from diagrams.text import BOLDER, ems

SVG = "{http://www.w3.org/2000/svg}"


def root(file):
    return ET.fromstring(file.read_text(encoding="utf-8"))


@dataclass
class Line:
    """A line of text, at its widest."""

    words: str
    fill: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self):
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def line_of(tree, element):
    size = float(element.get("font-size", tree.get("font-size")))
    runs = [(element.text or "", size)]
    for span in element:
        runs += [(span.text, float(span.get("font-size", size))), (span.tail or "", size)]
    need = sum(ems(text) * letters for text, letters in runs)
    need *= BOLDER if element.get("font-weight") else 1
    x, y = float(element.get("x")), float(element.get("y"))
    left = x - {"start": 0, "middle": need / 2, "end": need}[element.get("text-anchor", "middle")]
    fill = element.get("fill", tree.get("fill"))
    return Line("".join(element.itertext()), fill, left, y - 0.75 * size, left + need, y + 0.25 * size)


def lines(tree, within=None):
    return [line_of(tree, element) for element in (tree if within is None else within).iter(f"{SVG}text")]


def crosses(start, end, line):
    """Whether the segment meets the middle part of a line's room, which its letters surely fill."""
    inset = 0.08 * (line.right - line.left)
    places = [i / 100 for i in range(101)]
    points = [(start[0] + p * (end[0] - start[0]), start[1] + p * (end[1] - start[1])) for p in places]
    return any(line.left + inset < x < line.right - inset and line.top < y < line.bottom for x, y in points)


def covers(shape, x, y):
    if shape.get("fill") in (None, "none"):
        return False
    if shape.tag == f"{SVG}rect":
        left, top, wide, high = (float(shape.get(name)) for name in ("x", "y", "width", "height"))
        return left <= x <= left + wide and top <= y <= top + high
    if shape.tag == f"{SVG}circle":
        across, down = x - float(shape.get("cx")), y - float(shape.get("cy"))
        return across**2 + down**2 <= float(shape.get("r")) ** 2
    return False


def pairs(tree):
    """(line of text, colour beneath it), in the order of drawing."""
    shapes = []
    for element in tree.iter():
        if element.tag == f"{SVG}text":
            line = line_of(tree, element)
            yield line, [shape.get("fill") for shape in shapes if covers(shape, *line.middle)][-1]
        else:
            shapes.append(element)


def dark_rules(file):
    return dict(re.findall(r'\[(?:fill|stroke)="(#\w+)"\]\{(?:fill|stroke):(#\w+)\}', root(file)[1].text))


def rgb(colour):
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
