"""Slide decks from the built chapters: _build/html/slides/NN_name.html, one file each.

    make slides

A slide for the head of a chapter and for each of its sections: the heading, the first sentence, the sentences
that introduce a term in bold, the first sentence of each entry of a list (the summary's entries whole), the
displayed formulas, the figures with their captions. All this is taken from the built page and not from its
source: there the numbers, the citations and the references are filled in already. Images and MathJax are
those of the book, so that a deck asks nobody for anything, but has to stay beside the pages. Left out: code,
tables, what is folded away.
"""

import re
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template

from bs4 import BeautifulSoup, Comment, NavigableString, Tag

PAGES = Path(__file__).resolve().parents[1] / "_build" / "html"
TEMPLATE = Path(__file__).with_name("slides_template.html")
LEFT_OUT = ("Further reading",)  # sections
NOT_LOOKED_INTO = ["li", "figure", "details", "table", "blockquote", "aside"]

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[.!?][”’)])\s+")
RUN_IN = re.compile(r"\s*<strong>[^<]*</strong>\s*")  # such as "4.1 Check." in front of an exercise
ITEMS = re.compile(r"(?:<li>.*?</li>\n?)+", re.DOTALL)


def sentences(paragraph: Tag) -> list[str]:
    """The HTML of each sentence of a paragraph; a run-in stays with the sentence behind it."""
    found, ended = [""], False
    for child in paragraph.children:
        if isinstance(child, NavigableString):
            if ended and child[:1].isspace():
                found.append("")
            first, *others = SENTENCE_END.split(escape(child, quote=False))
            found[-1] += first
            found += others
            ended = False
        else:
            found[-1] += str(child)
            ended = child.name in ("em", "strong") and child.get_text()[-1:] in (".", "!", "?")
    joined: list[str] = []
    for sentence in filter(str.strip, found):
        if joined and RUN_IN.fullmatch(joined[-1]):
            joined[-1] += " " + sentence.strip()
        else:
            joined.append(sentence.strip())
    return joined


def blocks(section: Tag) -> Iterator[Tag]:
    """What a slide may show of a section, in its order; a section inside of it has a slide of its own."""
    for tag in section.find_all(["p", "li", "figure", "div"]):
        if tag.name == "div" and "math" not in tag.get("class", []):
            continue
        if tag.find_parent("section") is not section or tag.find_parent(NOT_LOOKED_INTO):
            continue
        if tag.name == "figure" or not tag.find_parent("div", class_="cell"):
            yield tag


def content(section: Tag) -> Iterator[str]:
    """The HTML of a slide below its heading, piece by piece."""
    at_the_start, is_summary = True, heading(section).get_text().strip().endswith("Summary")
    for tag in blocks(section):
        if tag.name == "p":
            for number, sentence in enumerate(sentences(tag)):
                if (at_the_start and number == 0) or "<strong>" in sentence:
                    yield f"<p>{sentence}</p>"
            at_the_start = False
        elif tag.name == "li":
            entry = sentences(tag.p or tag)
            yield f"<li>{' '.join(entry if is_summary else entry[:1])}</li>"
        else:
            yield str(tag)


def heading(section: Tag) -> Tag:
    return section.find(["h1", "h2", "h3", "h4"])


def slide(section: Tag) -> str:
    below = ITEMS.sub(lambda items: f"<ul>\n{items[0].rstrip()}\n</ul>\n", "\n".join(content(section)))
    return f'<section id="{section["id"]}">\n{heading(section)}\n{below}\n</section>'


def deck(page: str) -> str:
    """The deck of a built chapter, given its HTML."""
    soup = BeautifulSoup(page, "html.parser")
    for link in soup.select("a.headerlink"):
        link.decompose()
    for link in soup.find_all("a"):
        link.unwrap()  # a slide links to nothing
    for comment in soup.find_all(string=lambda text: isinstance(text, Comment)):
        comment.extract()
    soup.smooth()  # what was around them is one string again
    sections = soup.find("article").find_all("section")
    kept = [part for part in sections if not heading(part).get_text().strip().endswith(LEFT_OUT)]
    scripts = [str(script) for script in soup.find_all("script") if "mathjax" in str(script).lower()]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(heading(kept[0]).get_text().strip()),
        mathjax="\n".join(scripts),
        slides="\n".join(map(slide, kept)),
    )


def main() -> None:
    chapters = sorted((PAGES / "book").glob("[0-9][0-9]_*.html"))
    if not chapters:
        sys.exit(f"there are no built chapters in {PAGES / 'book'}; run: make book")
    folder = PAGES / "slides"
    folder.mkdir(exist_ok=True)
    for page in chapters:
        (folder / page.name).write_text(deck(page.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{len(chapters)} decks in {folder}")


if __name__ == "__main__":
    main()
