"""Decks of the built chapters: a slide for every section, and every image where the deck looks for it."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "_build" / "html"
CHAPTERS = sorted((BOOK / "book").glob("[0-9][0-9]_*.html"))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_built_chapter_makes_a_deck(chapter, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    deck = importlib.import_module("make_slides").deck(chapter.read_text(encoding="utf-8"))
    source = (ROOT / "book" / f"{chapter.stem}.md").read_text(encoding="utf-8")
    source = re.sub(r"^(`{3,}).*?^\1\s*$", "", source, flags=re.MULTILINE | re.DOTALL)
    sections = re.findall(r"^#{2,3} (.+)$", source, re.MULTILINE)
    assert deck.count("<section ") == 1 + len(sections) - sections.count("Further reading")
    assert "://" not in deck
    addresses = re.findall(r'(?:src|srcset)="([^"?]+)', deck)
    assert [name for name in addresses if not (BOOK / "slides" / name).resolve().is_file()] == []
