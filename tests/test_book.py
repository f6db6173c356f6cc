"""The book's sources: chapters, notebooks and the head that every chapter opens with."""

import re
import tomllib
from pathlib import Path

import jupytext
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.md"))
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
SETUP = f"""try:
    import lmcore
except ImportError:  # in Colab
    %pip install -q "lmcore @ git+{URLS["Repository"]}@main\""""
LONGEST_CELL = 30

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
def test_cells_are_short(chapter):
    lengths = [cell.source.count("\n") + 1 for cell in code_cells(chapter)]
    assert max(lengths) <= LONGEST_CELL


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


def test_config_names_the_same_repository_as_pyproject():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["repository"]["url"] == URLS["Repository"]
    assert config["html"]["baseurl"] == URLS["Documentation"] + "/"


def test_readme_example_runs(capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.+?)```", readme, flags=re.DOTALL).group(1)
    exec(example.replace("max_seconds=60", "max_steps=2"), {})
    assert capsys.readouterr().out.splitlines()[-1] != ""
