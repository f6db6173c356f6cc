"""Slide decks: a slide for each section of a built chapter, what is on it, and no outside address."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = """<!DOCTYPE html>
<html><head><title>4. The unit</title>
<script>window.MathJax = {"options": {"processHtmlClass": "math"}}</script>
<script defer="defer" src="../_static/mathjax/start.js?v=1"></script>
<script src="../_static/other.js"></script>
</head><body>
<nav><p>A menu.</p></nav>
<article class="bd-article">
<section class="tex2jax_ignore" id="the-unit">
<h1><span class="section-number">4. </span>The unit<a class="headerlink" href="#the-unit">#</a></h1>
<p><strong>What you'll do:</strong> compute a unit. Nothing more.</p>
<p>After this chapter you can:</p>
<ul class="simple"><li><p>say why</p></li><li><p>compute it</p></li></ul>
<p><a href="https://example.org/colab">Open elsewhere</a></p>
<section id="order">
<h2><span class="section-number">4.1. </span>Order &amp; memory<a class="headerlink" href="#order">#</a></h2>
<p>Which is <em>news?</em> The <a href="03.html">unit</a> knows. A <strong>bag</strong> of words &lt; no.</p>
<div class="cell docutils container"><div class="cell_input"><pre>code = 1</pre></div>
<div class="cell_output"><p>An output.</p>
<figure id="fig-a"><a href="../_images/a.png"><img alt="A line" src="../_images/a.png"/></a>
<figcaption><p>Fig. 4.1 A line.<a class="headerlink" href="#fig-a">#</a></p></figcaption></figure></div></div>
<p>The second paragraph. It is <!-- a note --> plain.</p>
<section id="deeper"><h3>4.1.1. Deeper</h3><p>It holds <span class="math">\\(h\\)</span>. More.</p>
<div class="math notranslate">\\[ h = 1 \\]</div></section>
</section>
<section id="summary"><h2>4.2. Summary</h2><ul><li><p>One claim. Its proof.</p></li></ul></section>
<section id="exercises"><h2>4.3. Exercises</h2>
<p>Each has a check. Write.</p>
<p><strong>4.1 Check.</strong> Compute it. By hand.</p>
<details><summary>Hint 1</summary><p>A <strong>hint</strong>.</p></details></section>
<section id="further-reading"><h2>4.4. Further reading</h2><ul><li><p>A paper.</p></li></ul></section>
</section>
</article></body></html>"""


@pytest.fixture
def slides(monkeypatch):
    """The module of scripts/."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("make_slides")


def of(deck: str, name: str) -> str:
    """The slide of a section."""
    return re.search(rf'<section id="{name}">(.+?)</section>', deck, re.DOTALL)[1]


def test_a_deck_has_one_slide_per_section(slides):
    names = re.findall(r'<section id="([^"]+)">', slides.deck(PAGE))
    assert names == ["the-unit", "order", "deeper", "summary", "exercises"]


def test_a_deck_has_no_outside_address_and_no_link(slides):
    deck = slides.deck(PAGE)
    assert "//" not in re.sub(r"^\s*// .*$", "", deck, flags=re.MULTILINE)  # but for comments in the script
    assert "<a" not in deck
    assert sorted(re.findall(r'src="([^"]+)"', deck)) == [
        "../_images/a.png",
        "../_static/mathjax/start.js?v=1",
    ]


def test_the_first_slide_has_the_abilities(slides):
    first = of(slides.deck(PAGE), "the-unit")
    assert '<h1><span class="section-number">4. </span>The unit</h1>' in first
    assert "<p><strong>What you'll do:</strong> compute a unit.</p>" in first
    assert "<ul>\n<li>say why</li>\n<li>compute it</li>\n</ul>" in first
    assert "Nothing more" not in first
    assert "elsewhere" not in first


def test_a_slide_has_first_sentence_terms_and_figures_but_no_code(slides):
    order = of(slides.deck(PAGE), "order")
    assert "Order &amp; memory</h2>" in order
    assert "<p>Which is <em>news?</em></p>\n<p>A <strong>bag</strong> of words &lt; no.</p>" in order
    assert '<img alt="A line" src="../_images/a.png"/>' in order
    assert "Fig. 4.1 A line." in order
    for left_out in ("knows", "second paragraph", "code = 1", "An output", "a note"):
        assert left_out not in order


def test_formulas_exercises_and_summary(slides):
    deck = slides.deck(PAGE)
    assert "\\[ h = 1 \\]" in of(deck, "deeper")
    assert '<p>It holds <span class="math">\\(h\\)</span>.</p>' in of(deck, "deeper")
    assert "<li>One claim. Its proof.</li>" in of(deck, "summary")
    exercises = of(deck, "exercises")
    assert "<p>Each has a check.</p>\n<p><strong>4.1 Check.</strong> Compute it.</p>" in exercises
    assert "hint" not in exercises.lower()


def test_decks_are_written_beside_the_pages(slides, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(slides, "PAGES", tmp_path)
    (tmp_path / "book").mkdir()
    with pytest.raises(SystemExit, match="run: make book"):
        slides.main()
    for name in ("04_unit.html", "intro.html"):
        (tmp_path / "book" / name).write_text(PAGE, encoding="utf-8")
    slides.main()
    assert [path.name for path in (tmp_path / "slides").iterdir()] == ["04_unit.html"]
    assert "1 decks" in capsys.readouterr().out
