"""The diagrams: as their code draws them, sufficient in themselves, legible on a phone and in both themes."""

import ast
import re
import shutil
from itertools import combinations, pairwise

import draw_diagrams
import pytest
from diagrams import data, memory, path, prediction, recurrent, style
from diagrams.drawing import DoesNotFit, Drawing
from diagrams.text import pieces, width
from svg_reading import SVG, contrast, covers, crosses, dark_rules, line_of, lines, pairs, root

import lmcore

STATIC = draw_diagrams.STATIC
DIAGRAMS = sorted((STATIC / "diagrams").glob("*.svg"))
MARKS = [STATIC / f"{name}.svg" for name in draw_diagrams.MARKS]
WIDE_SCREENS_ONLY = {"path_wide": 660}  # pixels that a page gives it; narrower ones show `path`
LIGHT_PAGE, DARK_PAGE = "#FFFFFF", "#121212"

each_diagram = pytest.mark.parametrize("file", DIAGRAMS, ids=lambda file: file.stem)
each_file = pytest.mark.parametrize("file", [*DIAGRAMS, *MARKS], ids=lambda file: file.stem)


def test_committed_files_are_as_drawn(monkeypatch, capsys):
    assert draw_diagrams.differences() == []
    monkeypatch.setattr("sys.argv", ["draw_diagrams.py", "--check"])
    assert draw_diagrams.main() == 0
    assert capsys.readouterr().out == f"{len(DIAGRAMS) + len(MARKS)} drawings, each as it is drawn\n"


def test_a_changed_a_missing_and_a_foreign_file_are_noticed(monkeypatch, tmp_path, capsys):
    shutil.copytree(STATIC / "diagrams", tmp_path / "diagrams")
    for file in MARKS:
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(draw_diagrams, "STATIC", tmp_path)
    (tmp_path / "diagrams" / "gru.svg").write_text("<svg/>", encoding="utf-8")
    (tmp_path / "logo.svg").unlink()
    (tmp_path / "diagrams" / "old.svg").touch()
    assert draw_diagrams.differences() == [
        "diagrams/old.svg is drawn by nothing",
        "diagrams/gru.svg differs from what is drawn",
        "logo.svg is missing",
    ]
    monkeypatch.setattr("sys.argv", ["draw_diagrams.py", "--check"])
    assert draw_diagrams.main() == 1
    assert "book/_static/logo.svg is missing" in capsys.readouterr().out


@each_file
def test_file_stands_alone(file):
    """An <img> loads nothing that the file refers to, and runs nothing."""
    known = ("svg", "title", "style", "g", "rect", "circle", "path", "polyline", "polygon", "text", "tspan")
    assert {element.tag for element in root(file).iter()} <= {SVG + name for name in known}
    content = file.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|href|url\(|@import|@font-face|data:|<!|\bon\w+=", content)


@each_diagram
def test_letters_are_large_enough(file):
    tree = root(file)
    room = WIDE_SCREENS_ONLY.get(file.stem, style.PHONE)
    scale = min(1, room / float(tree.get("width")))
    sizes = {float(element.get("font-size")) for element in tree.iter() if element.get("font-size")}
    assert min(sizes) * scale >= style.SMALLEST_ON_PHONE


@each_diagram
def test_text_stays_on_the_card_and_off_other_text(file):
    tree = root(file)
    wide, high = float(tree.get("width")), float(tree.get("height"))
    assert tree.get("viewBox") == f"0 0 {wide:g} {high:g}"
    for line in lines(tree):
        assert min(line.left, line.top, wide - line.right, high - line.bottom) >= 4, line
    for one, other in combinations(lines(tree), 2):
        beside = one.right <= other.left or other.right <= one.left
        assert beside or one.bottom <= other.top or other.bottom <= one.top, (one, other)


@each_diagram
def test_labels_stay_in_their_boxes(file):
    tree = root(file)
    for box in tree.iter(f"{SVG}g"):
        x, y, wide, high = (float(box[0].get(name)) for name in ("x", "y", "width", "height"))
        for line in lines(tree, box):
            assert x <= line.left, line
            assert y <= line.top, line
            assert line.right <= x + wide, line
            assert line.bottom <= y + high + 1, line


@each_diagram
def test_no_line_runs_through_text(file):
    tree, drawn = root(file), []
    for element in tree.iter():
        if element.tag != f"{SVG}text":
            drawn.append(element)
            continue
        line = line_of(tree, element)
        on_top = max(i for i, shape in enumerate(drawn) if covers(shape, *line.middle))
        for shape in drawn[on_top:]:
            points = [tuple(map(float, point.split(","))) for point in shape.get("points", "").split()]
            for start, end in pairwise(points):
                assert not crosses(start, end, line), (line, start, end)


def test_what_does_not_fit_is_not_drawn():
    drawing = Drawing("test", height=100)
    with pytest.raises(DoesNotFit, match="its box has 60 x 30"):
        drawing.box(100, 50, 60, 30, "too long a label")
    with pytest.raises(DoesNotFit, match="its box has 60 x 30"):
        drawing.box(100, 50, 60, 30, "a\nb")
    with pytest.raises(DoesNotFit, match="its circle has 20"):
        drawing.circle(100, 50, 10, "long")
    with pytest.raises(DoesNotFit, match="on a card of 440"):
        drawing.text(400, 50, "leaves the card")


def test_formulas():
    assert pieces("is $h_{t-1} U$") == [
        ("is ", "plain"),
        ("h", "italic"),
        ("t\N{MINUS SIGN}1", "sub"),
        (" ", "upright"),
        ("U", "italic"),
    ]
    assert pieces("$tanh(x_t)$")[0] == ("tanh", "upright")
    assert width("$h_t$") < width("ht")


def test_contrast_is_that_of_the_guidelines():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.005)  # the guidelines' own example


@each_diagram
def test_contrast_of_text(file):
    dark = dark_rules(file)
    for line, beneath in pairs(root(file)):
        assert contrast(line.fill, beneath) >= 4.5, line
        assert contrast(dark.get(line.fill, line.fill), dark.get(beneath, beneath)) >= 4.5, line


@each_diagram
def test_colours_are_those_of_the_book(file):
    used = {e.get(what) for e in root(file).iter() for what in ("fill", "stroke")} - {None, "none"}
    dark = dark_rules(file)
    assert used <= dark.keys() | set(lmcore.COLOURS.values())
    assert dark == {light: style.DARK[light] for light in used & style.DARK.keys()}
    assert style.COLOURS == lmcore.COLOURS


def test_lines_stand_out_from_the_card():
    for colour in (style.INK, style.MUTED, style.ACCENT):
        assert contrast(colour, style.CARD) >= 3
        assert contrast(style.DARK.get(colour, colour), style.DARK[style.CARD]) >= 3


def test_the_logo_is_legible_on_both_pages():
    letters_of_logo = root(STATIC / "logo.svg").find(f"{SVG}text").get("fill")
    for page in (LIGHT_PAGE, DARK_PAGE):
        assert contrast(letters_of_logo, page) >= 3  # large letters


def test_the_social_card_has_the_size_of_link_previews():
    tree = root(STATIC / "social_card.svg")
    assert (tree.get("width"), tree.get("height")) == ("1200", "630")
    background = tree[0].get("fill")
    assert all(contrast(e.get("fill"), background) >= 4.5 for e in tree.iter(f"{SVG}text"))


def chapter(number):
    (file,) = (style.ROOT / "book").glob(f"{number:02}_*.md")
    return file.read_text(encoding="utf-8")


def quoted(words):
    """The list as a chapter's code has it."""
    return str(words).replace("'", '"')


def test_examples_are_those_of_the_chapters():
    assert f"sentence = {quoted(recurrent.SENTENCE)[:-1]}, " in chapter(4)
    assert f"sentences = {quoted([data.BATCH[0], data.BATCH[1].removesuffix(' <pad>')])}" in chapter(5)
    assert f'sentence = "{data.SHIFTED.replace(" .", ".")}"' in chapter(6)
    numbers = re.search(r"logits = torch\.tensor\((.+?)\)", chapter(7)).group(1)
    assert ast.literal_eval(numbers) == prediction.LOGITS
    assert f"in zip({quoted(prediction.TOKENS)}, logits" in chapter(7)
    for name, values in (("a", memory.A), ("b", memory.B)):
        numbers = re.search(rf"^{name} = torch\.tensor\((.+)\)$", chapter(17), flags=re.MULTILINE).group(1)
        assert ast.literal_eval(numbers) == values


def test_the_path_holds_every_chapter():
    numbers = [number for _, chapters in path.parts() for number, _ in chapters]
    files = sorted((style.ROOT / "book").glob("[0-9][0-9]_*.md"))
    assert numbers == [int(file.name[:2]) for file in files]
    assert sum(path.COLUMNS) == len(path.parts())
