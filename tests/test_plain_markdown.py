"""Notebooks hold what Colab can show: plain Markdown, with the figures and the numbers of the page."""

import re
from pathlib import Path

import pytest
import sync_notebooks
from plain_markdown import Book, NotPlain, Target, caption, numbered, plain, read_book, read_works

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.md"))
RAW = re.compile(r"\{[a-z][\w:-]*\}`|^(?:::|```\{)|\$\$ \(|\]\([\w/]+\.md", re.MULTILINE)

SITE = "https://example.org/book"
BOOK = Book(
    SITE,
    {
        "fig-own": Target("4.1", "04_own", "fig-own"),
        "fig-other": Target("7.2", "07_other", "fig-other"),
        "eq-own": Target("4.3", "04_own", "equation-eq-own"),
        "eq-other": Target("7.1", "07_other", "equation-eq-other"),
    },
    {"one": ("Elman", "1990"), "two": ("Glorot and Bengio", "2010")},
)
REFERENCES = f"{SITE}/book/references.html"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See {numref}`fig-own`, and go on.", "See Fig. 4.1, and go on."),
        ("{numref}`fig-other` shows", f"[Fig. 7.2]({SITE}/book/07_other.html#fig-other) shows"),
        ("by {eq}`eq-own`.", "by (4.3)."),
        ("by {eq}`eq-other`.", f"by [(7.1)]({SITE}/book/07_other.html#equation-eq-other)."),
        ("{cite:t}`one` and", f"[Elman (1990)]({REFERENCES}) and"),
        ("{cite:t}`one,two`", f"[Elman (1990)]({REFERENCES}), [Glorot and Bengio (2010)]({REFERENCES})"),
        ("{cite:p}`one`", f"([Elman, 1990]({REFERENCES}))"),
        ("{cite:p}`one, two`", f"([Elman, 1990]({REFERENCES}); [Glorot and Bengio, 2010]({REFERENCES}))"),
        ("the **{term}`loss`** of {term}`tokens <token>`", "the **loss** of tokens"),
        ("$$\na = b\n$$\n\n$$\nc = d .\n$$ (eq-own)\n", "$$\na = b\n$$\n\n$$\nc = d . \\tag{4.3}\n$$\n"),
        ("$$a = b$$ (eq-own)", "$$a = b \\tag{4.3}$$"),
        ("[Chapter 7](07_other.md)", f"[Chapter 7]({SITE}/book/07_other.html)"),
        ("[here](07_other.md#a-part)", f"[here]({SITE}/book/07_other.html#a-part)"),
        (
            ":::{figure-md} fig-own\n![A box (small), drawn.](_static/a.svg)\n\nA {term}`unit`.\n:::\n",
            f"![A box (small), drawn.]({SITE}/_static/a.svg)\n\n*Fig. 4.1. A unit.*\n",
        ),
        (":::{note}\nMind the gap.\n\nAlways.\n:::", "> **Note**\n>\n> Mind the gap.\n>\n> Always."),
        (
            "Before.\n\n```{dropdown} More of it\n:open:\n\nText, {numref}`fig-own`.\n```\nAfter.",
            "Before.\n\n> **More of it**\n>\n> Text, Fig. 4.1.\nAfter.",
        ),
        (
            "`<pad>` and $V_{1}$ in [a link](https://a.b/c.md).",
            "`<pad>` and $V_{1}$ in [a link](https://a.b/c.md).",
        ),
    ],
)
def test_what_colab_does_not_know_is_rewritten(text, expected):
    assert plain(text, "04_own", BOOK) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{numref}`fig-none`", "there is no 'fig-none'"),
        ("{cite:t}`none`", "there is no 'none'"),
        ("$$\na\n$$ (eq-none)", "there is no 'eq-none'"),
        (":::{figure-md} fig-own\nno picture\n:::", "fig-own is no picture with a caption"),
    ],
)
def test_a_name_that_leads_nowhere_is_an_error(text, complaint):
    with pytest.raises(NotPlain, match=complaint):
        plain(text, "04_own", BOOK)


def test_figures_and_equations_are_counted_in_their_order(tmp_path):
    plot = (
        "```{code-cell} ipython3\n---\nmystnb:\n  figure:\n    name: fig-plot\n    caption: A.\n---\n1\n```\n"
    )
    diagram = ":::{figure-md} fig-drawn\n![Alt.](_static/diagrams/a.svg)\n\nWords.\n:::\n"
    chapter = tmp_path / "12_scale.md"
    chapter.write_text(f"$$a$$\n\n{diagram}\n$$\nb\n$$ (eq-b)\n\n{plot}\n$$c$$ (eq-c)\n", encoding="utf-8")
    assert numbered([chapter]) == {
        "fig-drawn": Target("12.1", "12_scale", "fig-drawn"),
        "fig-plot": Target("12.2", "12_scale", "fig-plot"),
        "eq-b": Target("12.1", "12_scale", "equation-eq-b"),
        "eq-c": Target("12.2", "12_scale", "equation-eq-c"),
    }
    assert caption("fig-own", "Words.", BOOK) == "*Fig. 4.1. Words.*"


def test_authors_are_named_as_in_a_sentence():
    entries = [
        r"@article{a, author = {Elman, Jeffrey L.}, year = {1990}}",
        r"@misc{b, author = {van Merri{\"e}nboer, Bart and {OpenAI Team}}, year = 2014}",
        r"@article{c, author = {G{\"u}l{\c{c}}ehre, {\c{C}}a{\u{g}}lar and A, B and C, D}, year = {2014}}",
    ]
    assert read_works("\n".join(entries)) == {
        "a": ("Elman", "1990"),
        "b": ("van Merriënboer and OpenAI Team", "2014"),
        "c": ("Gülçehre et al.", "2014"),
    }


def test_the_book_s_own_works_and_address():
    book = read_book(ROOT)
    assert book.works["glorot2010"] == ("Glorot and Bengio", "2010")
    assert book.works["mikolov2010"] == ("Mikolov et al.", "2010")
    assert book.site.startswith("https://")
    assert not book.site.endswith("/")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_its_page_shows(chapter):
    cells, book = sync_notebooks.read(chapter).cells, read_book(ROOT)
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert RAW.findall(text) == []
    own = [t.number for name, t in book.targets.items() if t.page == chapter.stem and name[:4] == "fig-"]
    assert re.findall(r"^\*Fig\. ([\d.]+)\. ", text, flags=re.MULTILINE) == own
    for path in re.findall(rf"\]\({re.escape(book.site)}/([\w/.-]+)", text):
        file = ROOT / "book" / path if path.startswith("_static/") else (ROOT / path).with_suffix(".md")
        assert file.is_file(), path
