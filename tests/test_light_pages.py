"""What is taken off the built pages is not missed: pictures look the same, and icons that are shown stay."""

import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "_ext"))

import light_pages

BARS, SUN = r'.fa-bars:before,.fa-navicon:before{content:"\f0c9"}', r'.fa-sun:before{content:"\f185"}'
CSS = f".a{{color:red}}{BARS}{SUN}.b{{top:0}}"


@pytest.fixture
def figure(tmp_path):
    """A figure as chapters draw them: lines, text, a map of colours, a transparent margin."""
    image, (left, right) = plt.subplots(1, 2, figsize=(6, 3))
    left.plot(np.sin(np.arange(50)), label="sine")
    left.legend()
    right.imshow(np.arange(100).reshape(10, 10))
    path = tmp_path / "figure.png"
    image.savefig(path, transparent=True)
    plt.close(image)
    return path


def pixels(path: Path) -> np.ndarray:
    """As a reader sees them, on grey: (height, width, 3)."""
    with Image.open(path) as picture:
        seen = Image.new("RGBA", picture.size, "grey")
        seen.alpha_composite(picture.convert("RGBA"))
    return np.asarray(seen, dtype=int)[..., :3]


def test_a_picture_gets_smaller_and_looks_the_same(figure):
    size, before = figure.stat().st_size, pixels(figure)
    light_pages.with_palette(figure)
    difference = np.abs(pixels(figure) - before)
    assert figure.stat().st_size < size / 2
    assert difference.mean() < 1  # of 255
    assert difference.max() < 64
    assert [path.name for path in figure.parent.iterdir()] == ["figure.png"]


def test_a_picture_that_would_not_get_smaller_stays(tmp_path):
    path = tmp_path / "dot.png"
    Image.new("L", (1, 1)).save(path)
    before = path.read_bytes()
    light_pages.with_palette(path)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["dot.png"]


def test_only_rules_of_icons_that_no_page_shows_are_dropped():
    assert light_pages.without_icons(CSS, {"fa-navicon"}) == CSS.replace(SUN, "")
    assert light_pages.without_icons(CSS, set()) == ".a{color:red}.b{top:0}"


@pytest.fixture
def site(tmp_path, figure):
    (tmp_path / "_images").mkdir()
    figure.rename(tmp_path / "_images" / "figure.png")
    (tmp_path / "_static" / "styles").mkdir(parents=True)
    (tmp_path / "_static" / "styles" / "pydata-sphinx-theme.css").write_text(CSS, encoding="utf-8")
    (tmp_path / "page.html").write_text('<i class="fas fa-bars">', encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("builder", "error", "done"), [("html", None, True), ("html", OSError(), False)])
def test_the_built_site_is_made_lighter_once_it_stands(site, builder, error, done):
    app = SimpleNamespace(outdir=str(site), builder=SimpleNamespace(name=builder))
    light_pages.finish(app, error)
    with Image.open(site / "_images" / "figure.png") as picture:
        assert (picture.mode == "P") is done
    css = (site / "_static" / "styles" / "pydata-sphinx-theme.css").read_text(encoding="utf-8")
    assert "fa-bars" in css
    assert ("fa-sun" not in css) is done
