"""A chapter's MyST as plain Markdown, for readers of its notebook: Colab knows neither roles nor directives.

Numbers of figures and equations are those of the page. Diagrams get their address in the published book:
Colab shows no picture that comes with a notebook, and an SVG only from an https address. Links to other
chapters and citations lead to the published pages, too.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pybtex.database import Entry, parse_string

BLOCK = re.compile(r"^(:{3,}|`{3,})\{([\w-]+)\} ?([^\n]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"^:[\w-]+:.*\n", re.MULTILINE)
DIAGRAM = re.compile(r"\s*!\[(.+?)\]\((\S+?)\)\n\n(.+?)\s*", re.DOTALL)
ROLE = re.compile(r"\{(numref|eq|term|cite:t|cite:p)\}`([^`]+)`")
WORD = re.compile(r"(.+?)(?:\s*<.+>)?")
LABEL = re.compile(r"(\s*)\$\$ \((eq-[\w-]+)\)$", re.MULTILINE)
PAGE = re.compile(r"\]\(([\w/]+)\.md(#[\w-]+)?\)")
FIGURE_NAME = re.compile(r"^(?:    name: |:::\{figure-md\} )(fig-[\w-]+)$", re.MULTILINE)


class NotPlain(ValueError):
    """A name in a chapter that leads nowhere."""


class Target(NamedTuple):
    """A figure or an equation."""

    number: str  # "4.3", as on its page
    page: str  # the chapter that has it: "04_elman_unit"
    anchor: str


class Book(NamedTuple):
    """What a chapter may refer to."""

    site: str  # address of the published book, without a slash at the end
    targets: Mapping[str, Target]
    works: Mapping[str, tuple[str, str]]  # by key: "Glorot and Bengio", "2010"


def read_book(root: Path) -> Book:
    """The book whose repository lies in root."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    works = read_works((root / "book" / "references.bib").read_text(encoding="utf-8"))
    return Book(project["urls"]["Documentation"], numbered(sorted((root / "book").glob("[0-9]*.md"))), works)


def numbered(chapters: list[Path]) -> dict[str, Target]:
    """Figures and labelled equations, counted in each chapter as Sphinx does."""
    found = {}
    for chapter in chapters:
        text = chapter.read_text(encoding="utf-8")
        figures = [(name, name) for name in FIGURE_NAME.findall(text)]
        equations = [(name, f"equation-{name}") for _, name in LABEL.findall(text)]
        for names in (figures, equations):
            for count, (name, anchor) in enumerate(names, start=1):
                found[name] = Target(f"{int(chapter.stem[:2])}.{count}", chapter.stem, anchor)
    return found


@cache
def read_works(bibliography: str) -> dict[str, tuple[str, str]]:
    """Authors, as a sentence names them, and year of each entry of a BibTeX file."""
    return {key: named(entry) for key, entry in parse_string(bibliography, "bibtex").entries.items()}


def named(entry: Entry) -> tuple[str, str]:
    people = entry.persons["author"]
    names = [" ".join(map(str, one.rich_prelast_names + one.rich_last_names)) for one in people]
    authors = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
    return authors, entry.fields["year"]


def plain(text: str, page: str, book: Book) -> str:
    """The Markdown of a cell of the chapter ``page``; raises NotPlain for what the book does not have."""
    text = BLOCK.sub(lambda block: _block(block, book), text)
    text = LABEL.sub(lambda label: rf" \tag{{{_known(book.targets, label[2]).number}}}{label[1]}$$", text)
    text = ROLE.sub(lambda role: _role(role[1], role[2], page, book), text)
    return PAGE.sub(lambda link: f"]({book.site}/book/{link[1]}.html{link[2] or ''})", text)


def caption(name: str, words: str, book: Book) -> str:
    """What stands below a figure; the words may hold roles, for `plain`."""
    return f"*Fig. {_known(book.targets, name).number}. {words}*"


def _known(things: Mapping[str, Any], name: str) -> Any:
    if name not in things:
        raise NotPlain(f"there is no {name!r}")
    return things[name]


def _block(block: re.Match, book: Book) -> str:
    """A diagram as a picture with its caption, any other directive as a quotation with a bold title."""
    _, kind, title, body = block.groups()
    if kind == "figure-md":
        if not (found := DIAGRAM.fullmatch(body)):
            raise NotPlain(f"{title} is no picture with a caption")
        alt, path, words = found.groups()
        return f"![{alt}]({book.site}/{path})\n\n{caption(title, words, book)}"
    text = OPTION.sub("", body).strip()
    lines = [f"**{title or kind.capitalize()}**", "", *text.splitlines()]
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _role(kind: str, content: str, page: str, book: Book) -> str:
    if kind == "term":
        return WORD.fullmatch(content)[1]
    if kind.startswith("cite"):
        return _citation(kind, [_known(book.works, key.strip()) for key in content.split(",")], book)
    target = _known(book.targets, content)
    words = f"({target.number})" if kind == "eq" else f"Fig. {target.number}"
    address = f"{book.site}/book/{target.page}.html#{target.anchor}"
    return words if target.page == page else f"[{words}]({address})"


def _citation(kind: str, works: list[tuple[str, str]], book: Book) -> str:
    page = f"{book.site}/book/references.html"
    if kind == "cite:t":
        return ", ".join(f"[{authors} ({year})]({page})" for authors, year in works)
    return "(" + "; ".join(f"[{authors}, {year}]({page})" for authors, year in works) + ")"
