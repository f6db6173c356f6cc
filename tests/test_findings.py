"""A book on another text: failed assertions are listed, any other error stops the build."""

import sys
from pathlib import Path
from types import SimpleNamespace

import build_book
import jupytext
import nbformat
import pytest

from lmcore.course import SETTING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "_ext"))

import other_corpus

CHAPTER = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A trial

```{code-cell} ipython3
words = 3
assert words == 3
assert words == 4, "four words"
```

```{code-cell} ipython3
:tags: [hide-input]

print(words)
```
"""
MISTAKE = """
```{code-cell} ipython3
def last(items):
    return items[-1]

last([])
```
"""


@pytest.fixture
def book(monkeypatch, tmp_path):
    """A book of one chapter; returns what executes it and checks its errors."""
    (tmp_path / "book").mkdir()
    chapter, notebook = tmp_path / "book" / "01_trial.md", tmp_path / "01_trial.ipynb"
    for name, value in (("ROOT", tmp_path), ("EXECUTED", tmp_path / ".executed")):
        monkeypatch.setattr(build_book, name, value)
    monkeypatch.setattr(build_book, "chapters", lambda: [chapter])
    monkeypatch.setattr(build_book, "notebook_of", lambda chapter: notebook)
    monkeypatch.setattr(build_book, "surroundings", lambda: b"")

    def build(text: str) -> None:
        chapter.write_text(text, encoding="utf-8")
        jupytext.write(jupytext.read(chapter), notebook)
        build_book.execute([notebook])
        build_book.check_errors("letters.txt")

    return SimpleNamespace(build=build, folder=tmp_path)


def test_on_the_built_in_text_every_assertion_is_binding(book, monkeypatch):
    monkeypatch.delenv(SETTING, raising=False)
    with pytest.raises(SystemExit, match=r"01_trial.ipynb failed"):
        book.build(CHAPTER)


def test_on_another_text_a_failed_assertion_is_a_finding_and_another_error_is_not(book, monkeypatch):
    monkeypatch.setenv(SETTING, "letters.txt")
    book.build(CHAPTER)
    findings = (book.folder / "_build" / "findings.txt").read_text(encoding="utf-8")
    assert findings == (
        "Assertions of the book that do not hold on letters.txt: 1\n"
        'book/01_trial.md:13: assert words == 4, "four words"\n'
    )
    copy = nbformat.read(book.folder / ".executed" / "01_trial.ipynb", as_version=4)
    assert build_book.code_cells(copy)[1].outputs[0].text == "3\n"  # the chapter went on
    with pytest.raises(SystemExit) as stopped:
        book.build(CHAPTER + MISTAKE)
    place = "book/01_trial.md:26: last([])\n    IndexError: list index out of range"
    assert str(stopped.value) == f"other errors than failed assertions:\n{place}"
    assert (book.folder / "_build" / "findings.txt").read_text(encoding="utf-8") == findings


def test_a_relative_path_leads_to_the_text_from_anywhere(monkeypatch, tmp_path):
    (tmp_path / "letters.txt").touch()
    monkeypatch.chdir(tmp_path)
    for source, seen in (("letters.txt", str(tmp_path / "letters.txt")), ("hf:letters", "hf:letters")):
        monkeypatch.setenv(SETTING, source)
        build_book.name_text_from_anywhere()
        assert build_book.course_source() == seen


@pytest.mark.parametrize(("source", "is_said"), [("", False), ("/home/me/a<b>.txt", True)])
def test_every_page_says_on_which_text_it_was_executed(monkeypatch, source, is_said):
    monkeypatch.setenv(SETTING, source)
    config = SimpleNamespace(html_theme_options={}, nb_output_stderr="warn")
    other_corpus.announce(None, config)
    assert ("announcement" in config.html_theme_options) is is_said
    assert (config.nb_output_stderr == "show") is is_said
    if is_said:
        assert "executed on <b>a&lt;b&gt;.txt</b>." in config.html_theme_options["announcement"]
