"""The curve of the first page: means of the record's steps, and points that lie on it."""

import math
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "_ext"))

import learning_curve as drawn


def steps(losses: list[float]) -> list[dict]:
    return [{"step": number, "loss": loss} for number, loss in enumerate(losses, start=1)]


def test_a_curve_of_equal_losses_is_flat():
    curve = drawn.mean_curve(steps([2.5] * 1000))
    assert all(math.isclose(nats, 2.5) for _, nats in curve)
    assert [where for where, _ in curve] == sorted({where for where, _ in curve})
    assert len(curve) == drawn.PARTS


def test_a_point_is_the_mean_of_its_part():
    losses = [float(number % 7) for number in range(500)]
    end = drawn.place(500)
    last = [n for n in range(1, 501) if drawn.place(n) >= end * (drawn.PARTS - 1) / drawn.PARTS]
    assert len(last) > 10
    where, nats = drawn.mean_curve(steps(losses))[-1]
    assert math.isclose(nats, sum(losses[n - 1] for n in last) / len(last))
    assert math.isclose(where, sum(map(drawn.place, last)) / len(last))


@pytest.mark.parametrize(("where", "height"), [(0, 4.0), (1, 4.0), (2, 3.0), (3, 2.0), (9, 2.0)])
def test_height_between_and_beyond_the_points(where, height):
    assert drawn.at([(1.0, 4.0), (3.0, 2.0)], where) == height


def test_moments_lie_on_the_curve_inside_the_drawing():
    losses = [6 / math.sqrt(number) + 2 for number in range(1, 2001)]
    svg = ET.fromstring(drawn.draw(steps(losses), [0, 50, 2000]))
    circles = [circle for circle in svg.iter("circle") if circle.get("class") == "moment"]
    line = [tuple(map(float, point.split(","))) for point in svg.find("polyline").get("points").split()]
    assert float(circles[0].get("cx")) == drawn.LEFT
    assert float(circles[0].get("cy")) == line[0][1]
    assert float(circles[2].get("cx")) == drawn.WIDTH - drawn.RIGHT
    assert float(circles[2].get("cy")) == line[-1][1]
    places = [(float(c.get("cx")), float(c.get("cy"))) for c in circles]
    assert places == sorted(places)
    assert [y for _, y in places] == sorted(y for _, y in places)  # down
    assert all(drawn.LEFT <= x <= drawn.WIDTH for x, _ in line)
    assert all(drawn.TOP <= y <= drawn.HEIGHT - drawn.BOTTOM for _, y in line)
    first, last = (int(found) for found in re.findall(r"(?:from|to) (\d+)", svg.get("aria-label")))
    assert first == round(math.exp(drawn.mean_curve(steps(losses))[0][1]))
    assert last == round(math.exp(drawn.mean_curve(steps(losses))[-1][1]))
