"""Links to the glossary carry the definition."""

import sys
from pathlib import Path
from types import SimpleNamespace

from docutils import nodes
from sphinx import addnodes

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "_ext"))

import term_cards


def entry(text: str, *ids: str) -> nodes.definition_list_item:
    terms = [nodes.term("", name, ids=[name]) for name in ids]
    return nodes.definition_list_item("", *terms, nodes.definition("", nodes.paragraph("", text)))


def link(target: str, kind: str) -> nodes.reference:
    word = nodes.inline("", "words", classes=["xref", "std", kind])
    return nodes.reference("", "", word, refuri=f"glossary.html#{target}")


def test_a_link_to_a_term_has_its_definition_as_a_title():
    app = SimpleNamespace(env=SimpleNamespace())
    listed = nodes.definition_list("", entry("Makes one row. → Mini-batches", "term-batch", "term-mini"))
    other = nodes.definition_list("", entry("No term.", "term-other"))
    term_cards.collect(app, nodes.section("", addnodes.glossary("", listed), other))
    links = [link("term-batch", "std-term"), link("term-mini", "std-term"), link("term-other", "std-term")]
    links += [link("term-batch", "std-numref"), nodes.reference("", "elsewhere", refuri="a.html")]
    links.append(nodes.reference("", "", nodes.inline("", "here", classes=["std-term"]), refid="term-mini"))
    page = nodes.paragraph("", "", *links, nodes.inline("", "no link", classes=["std-term"]))
    term_cards.show(app, page, "page")
    card = "Makes one row."
    assert [link.get("reftitle") for link in links] == [card, card, None, None, None, card]
