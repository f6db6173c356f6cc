"""No chapter takes more than 25 minutes to read; each states the time that scripts/reading_time.py finds."""

import re
from pathlib import Path

import pytest
from reading_time import Reading, reading

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.md"))
MOST = 25  # minutes
STATED = re.compile(r"\*Time:\* about (\d+) minutes( of reading, and longer than that for the labs)?\. \[")
PAGE = """---
jupytext:
  text_representation:
    format_name: myst
kernelspec:
  display_name: Python 3
  name: python3
---

# Two words

% a comment
One [link here](03_embeddings.md#lookup), two {term}`nice words <word>`, $x + 1$, {record}`a.json; loss; .2f`.

```{code-cell} ipython3
:tags: [hide-input]

folded = "away"
```

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-one
    caption: A caption of six words here.
  image:
    alt: A description of the image that nobody reads on the page.
---
plot()

show()
```

:::{figure-md} fig-two
![A description
of a diagram.](_static/diagrams/two.svg)

What it shows.
:::

| a | table |
|---|--:|

<details><summary>More</summary>

Folded away, too.

</details>

```{playground}
:models: gru
```

```bash
make book
```

## Exercises

Not counted at all.

```{code-cell} ipython3
neither = "is this"
```
"""


def test_what_is_read_is_counted_and_nothing_else():
    heading, sentence, table, captions = 2, 9, 2, 6 + 3
    assert reading(PAGE) == Reading(words=heading + sentence + table + captions, lines=2 + 1, figures=3)


def test_the_formula_and_what_is_stated():
    assert Reading(words=2000, lines=75, figures=6).minutes == 10 + 5 + 2
    times = [Reading(words=200 * minutes).stated for minutes in (1, 20, 21, 25)] + [
        Reading(words=5001).stated
    ]
    assert times == [5, 20, 25, 25, 30]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_short_enough_and_says_how_long_it_takes(chapter):
    text = chapter.read_text(encoding="utf-8")
    found, stated = reading(text), STATED.search(text)
    assert found.minutes <= MOST, f"{found.minutes:.1f} minutes of reading, {found}"
    if stated[2]:  # the labs are among the exercises, and their programs have to be read first
        assert found.stated <= int(stated[1]) <= MOST
    else:
        assert int(stated[1]) == found.stated, f"{found.minutes:.1f} minutes of reading, {found}"


def test_only_the_labs_state_more_than_the_text():
    labs = [path.stem[:2] for path in CHAPTERS if STATED.search(path.read_text(encoding="utf-8"))[2]]
    assert labs == ["24", "25"]
