"""A notebook links to the page where the playground of its chapter runs."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ("09_teacher_forcing", "10_generation", "15_vanishing_gradients")
LINK = "[the page of this chapter](https://next-word.github.io/next-word/book/"


@pytest.fixture
def sync(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("sync_notebooks")


def test_a_link_stands_in_the_place_of_each_playground(sync):
    text = """Before.

```{playground}
:models: gru
:parts: text bars

Without JavaScript: *this*.
```

Between.

```{note}
This stays.
```

```{playground}
```

After ```{playground}```, which is no block."""
    found = sync.link_playgrounds(text, "10_generation")
    assert found.count(f"{LINK}10_generation.html)") == 2
    before, between, after = found.split("*Here small trained models run in the browser, on ")
    assert before == "Before.\n\n"
    assert between.endswith(").*\n\nBetween.\n\n```{note}\nThis stays.\n```\n\n")
    assert after.endswith(").*\n\nAfter ```{playground}```, which is no block.")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_no_notebook_holds_the_directive(sync, chapter):
    path = ROOT / "book" / f"{chapter}.md"
    assert path.read_text(encoding="utf-8").count("```{playground}\n") == 1
    sources = [cell.source for cell in sync.read(path).cells]
    assert not any("{playground}" in source for source in sources)
    assert sum(f"{LINK}{chapter}.html)" in source for source in sources) == 1
