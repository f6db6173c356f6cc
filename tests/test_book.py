"""The book's sources: chapters, notebooks and the head that every chapter opens with."""

import re
import tomllib
from pathlib import Path

import jupytext
import pytest
import yaml
from plain_markdown import read_book

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.md"))
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
SETUP = f"""try:
    import lmcore
except ImportError:  # in Colab
    %pip install -q "lmcore @ git+{URLS["Repository"]}@main\""""
LONGEST_CELL = 30  # lines
LONGEST_CAPTION = 200  # characters
# besides lmcore.COLOURS, for what is no model: axes, marks, grids of numbers
NEUTRAL = {"black", "white", "none"}
LITERAL = re.compile(r"#[0-9A-Fa-f]{6}\b|[\"']C\d[\"']|[\"']tab:\w+[\"']")
NAMED = re.compile(r"\b(?:\w*colou?rs?|fc|ec)[\"']?\s*[=:]\s*[\"'](\w+)[\"']")

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]


def test_there_are_chapters_and_each_is_in_the_contents():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [entry["file"] for part in contents["parts"] for entry in part["chapters"]]
    assert len(CHAPTERS) >= 10
    assert [f"book/{path.stem}" for path in CHAPTERS] == [f for f in listed if re.match(r"book/\d", f)]


@each_chapter
def test_first_cell_installs_lmcore_where_it_is_missing(chapter):
    first = code_cells(chapter)[0]
    assert first.source == SETUP
    assert first.metadata["tags"] == ["remove-cell"]


@each_chapter
def test_head_links_to_colab_and_to_the_page(chapter):
    repository = URLS["Repository"].removeprefix("https://github.com/")
    notebook = f"notebooks/{chapter.stem}.ipynb"
    text = chapter.read_text(encoding="utf-8")
    colab = f"https://colab.research.google.com/github/{repository}/blob/main/{notebook}"
    assert f"[Open in Colab]({colab})" in text
    assert f"[Read online]({URLS['Documentation']}/book/{chapter.stem}.html)" in text
    assert (ROOT / notebook).is_file()


@each_chapter
def test_one_setting_changes_text_and_model_of_the_chapter(chapter):
    code = "\n".join(cell.source for cell in code_cells(chapter))
    assert "builtin_corpus" not in code
    # records of runs on the built-in text are compared with each other
    assert ("elman_2x256" in code) is (chapter.stem in ("20_normal_loss", "23_history"))


@each_chapter
def test_cells_are_short(chapter):
    lengths = [cell.source.count("\n") + 1 for cell in code_cells(chapter)]
    assert max(lengths) <= LONGEST_CELL


@each_chapter
def test_figures_are_drawn_by_folded_cells_and_described(chapter):
    for cell in code_cells(chapter):
        tags, shown = cell.metadata.get("tags", []), cell.metadata.get("mystnb", {})
        if "plt.show()" in cell.source:
            assert {"hide-input", "hide-cell"} & set(tags), cell.source
            assert shown["image"]["alt"], cell.source
        if "plt.show()" in cell.source and "solution" not in tags:
            assert shown["figure"]["name"].startswith("fig-"), cell.source
        if "figure" in shown:
            assert len(shown["figure"]["caption"]) <= LONGEST_CAPTION, shown["figure"]["caption"]


@each_chapter
def test_models_have_their_colours(chapter):
    """One colour per model in every figure: a cell takes it from lmcore.COLOURS."""
    code = "\n".join(cell.source for cell in code_cells(chapter))
    assert LITERAL.findall(code) == []
    assert set(NAMED.findall(code)) <= NEUTRAL


def test_literal_colours_are_found():
    code = """ax.plot(x, "o#0072B2"); bar(y, color="C1"); box(fc='tab:blue', ec="black", edgecolor="red")"""
    assert LITERAL.findall(code) == ["#0072B2", '"C1"', "'tab:blue'"]
    assert set(NAMED.findall(code)) - NEUTRAL == {"C1", "red"}


def test_figures_and_numbered_equations_are_referred_to():
    text = "\n".join(chapter.read_text(encoding="utf-8") for chapter in CHAPTERS)
    names = read_book(ROOT).targets
    assert len(names) > 100
    assert [name for name in names if not re.search(rf"\{{(?:numref|eq)\}}`{name}`", text)] == []


@each_chapter
def test_chapter_ends_with_summary_exercises_and_reading(chapter):
    headings = re.findall(r"^## (.+)$", chapter.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings[-3:] == ["Summary", "Exercises", "Further reading"]


@each_chapter
def test_every_exercise_has_a_hidden_solution(chapter):
    solutions = [c for c in code_cells(chapter) if "hide-cell" in c.metadata.get("tags", [])]
    assert len(solutions) >= 3


@each_chapter
def test_notebook_is_committed_without_outputs(chapter):
    cells = code_cells(ROOT / "notebooks" / f"{chapter.stem}.ipynb")
    assert [cell.outputs for cell in cells] == [[]] * len(cells)


def test_the_first_page_says_how_long_the_chapters_take():
    intro = (ROOT / "book" / "intro.md").read_text(encoding="utf-8")
    times = [
        re.search(r"\*Time:\* about (\d+) minutes", path.read_text(encoding="utf-8")) for path in CHAPTERS
    ]
    minutes = [int(time[1]) for time in times]
    assert [round(sum(part) / 60) for part in (minutes[:10], minutes)] == [4, 10]
    assert "The first ten chapters, up to a model that writes, are about four hours of reading" in intro
    assert "all twenty-five are about ten." in intro


def test_config_names_the_same_repository_as_pyproject():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["repository"]["url"] == URLS["Repository"]
    assert config["html"]["baseurl"] == URLS["Documentation"] + "/"


def test_readme_example_runs(capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.+?)```", readme, flags=re.DOTALL).group(1)
    exec(example.replace("max_seconds=60", "max_steps=2"), {})
    assert capsys.readouterr().out.splitlines()[-1] != ""
