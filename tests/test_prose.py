"""Faults of style and spelling are found where they stand, and only in what a person reads."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import check_prose
import pytest

ROOT = Path(__file__).resolve().parents[1]
CELL = """```{{code-cell}} ipython3
---
tags: [hide-input]
mystnb:
  figure:
    name: fig-trial
    caption: |-
      {}
  image:
    alt: {}
---
draw()
```"""


@pytest.fixture
def found(tmp_path):
    """Writes a file, and tells line, words and rule of what is found in it."""

    def found(text: str, name: str = "page.md") -> list[tuple[int, str, str]]:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return [(line, words, rule) for line, words, _, rule in check_prose.findings(path)]

    return found


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("One line.\n\nTwo lines,\nand it is very long.", 4),
        ("## A very long chapter\n\nShort.", 1),
        ("- one\n- two\n  - is **very** long", 3),
        ("> quoted\n> and very long", 2),
        ("| a | b |\n|---|---|\n| c | d |\n| e | [very](10_generation.md) long |", 4),
        ("<details><!-- one\ntwo --><summary>The\nvery long hint</summary>\n\nText.\n\n</details>", 3),
        ("One <!-- two\nthree --> and a {term}`very long <long>` name", 2),
        (CELL.format("very long", "Short."), 8),
        (CELL.format("Short.", "very long"), 10),
        (":::{figure-md} fig-trial\n![very long](a.svg)\n\nShort.\n:::", 2),
        ("```{figure} a.svg\n:name: fig-trial\n\nA very long caption\n```", 4),
        ("````{note}\n```{tip}\nvery long\n```\n````", 3),
        ("```{glossary}\nshort\n  not long\n\nlong\n  very long\n```", 6),
    ],
)
def test_a_fault_of_style_is_found_where_it_stands(found, page, line):
    assert found(page) == [(line, "very", "weasel_words.very")]
    assert found(f"---\njupytext: {{}}\n---\n\n{page}\n") == [(line + 4, "very", "weasel_words.very")]


@pytest.mark.parametrize(
    "page",
    [
        "---\ntitle: very long\ncolor: red\n---\n\nText.",
        "`very long`, ``color very``, $very$ and\n\n$$\nvery\n$$ (eq-very)\n",
        "```{code-cell} ipython3\n:tags: [very]\n\nvery = color  # very\n```",
        "```python\nvery = color\n```\n\n    very = color\n",
        "<https://example.org/very/color> or [here](https://example.org/very-color.html)",
        "{cite:t}`very1990color` and {numref}`fig-very`, {term}`long <very color>`, {record}`very.json`",
        "```{playground}\n:models: very color\n\nText.\n```",
        "```{eval-rst}\n.. autofunction:: very.color\n```",
        "Text <!-- very, color --> and <span class='very color'>text</span>.",
        "A heading ends\n\nEnds are no repetition, and ``it`` it is none.",
        "| one | two |\n|---|---|\n| two | two |",
    ],
)
def test_what_is_no_prose_or_no_fault_is_left_alone(found, page):
    assert found(page) == []


def test_a_phrase_within_longer_words_is_no_fault(found):
    assert found("It holds for every model.\n\nIt holds for ever.") == [(3, "for ever", "archaism")]


def test_spelling_is_british(found):
    page = "The colour of neighbouring centres.\n\nThe color of the *Center*."
    assert found(page) == [(3, "Center", "spelling"), (3, "color", "spelling")]
    assert found("An optimizer is a program.") == []


def test_a_word_written_twice_is_found_over_the_end_of_a_line(found):
    assert found("Read the\nthe text.") == [(1, "the the", "lexical_illusions")]


def test_docstrings_and_comments_are_prose_and_code_is_none(found):
    source = '''"""A module."""

very = "very"  # `very`


class Color:
    """Short.

    The second line is very long: ``very``.
    """

    def color(self):  # of a very long line
        """Color."""
'''
    expected = [(9, "very", "weasel_words.very"), (12, "very", "weasel_words.very")]
    assert found(source, "module.py") == [*expected, (13, "Color", "spelling")]


def test_the_command_says_file_line_and_words(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("Short.\n\nVery long.\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["check_prose.py", str(page)])
    assert check_prose.main() == 1
    assert capsys.readouterr().out.startswith(f"{page}:3: 'Very': ")
    page.write_text("Short.\n", encoding="utf-8")
    assert check_prose.main() == 0
    assert capsys.readouterr().out == ""


def test_all_pages_and_modules_are_read():
    names = {path.relative_to(ROOT).as_posix() for path in check_prose.files()}
    assert {"README.md", "book/04_elman_unit.md", "book/api/text.md", "scripts/diagrams/README.md"} <= names
    assert {"lmcore/cells.py", "lmcore/runs/look.py", "tests/browser/conftest.py"} <= names
    assert not [name for name in names if re.match(r"\.|_build|notebooks", name)]


def test_make_lint_finds_a_misspelt_word_wherever_it_stands(tmp_path):
    wrong = "receive".replace("ei", "ie")
    ours = ["README.md", "book/01_first.md", "book/references.bib", "lmcore/cells.py", ".github/test.yml"]
    for name in [*ours, "notebooks/01_first.ipynb", "_build/first.html", ".venv/first.py", ".git/HEAD"]:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(f"right\n# They {wrong} it.\n", encoding="utf-8")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (options,) = re.findall(r"^\t\$\(BIN\)/codespell (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    command = [sys.executable, "-W", "error", "-m", "codespell_lib", *options.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert sorted(done.stdout.splitlines()) == sorted(f"./{name}:2: {wrong} ==> receive" for name in ours)
    assert done.returncode > 0
    assert done.stderr == ""
