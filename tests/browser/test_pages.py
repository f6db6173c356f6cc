"""Every page as a reader's browser sees it, at two widths and in two themes.

No error, no request to another host, every formula and image there, nothing wider than the screen, and
nothing that axe-core holds against it beyond what is allowed here.
"""

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from built import DOCUMENTS, PAGES, SETTINGS, WIDTHS
from chromium import weight

MAX_BYTES = 600_000  # compressed, with everything that a page asks for
MAX_BYTES_OF = {"book/playground.html": 4_600_000}  # the page whose purpose is to fetch models: 4 MB of them
FOUND = """() => {
    const all = selector => [...document.querySelectorAll(selector)];
    return {
        formulas: all('article .math').length,
        typeset: all('article mjx-container').length,
        wrong: all('mjx-merror').map(e => e.textContent),
        broken: [...document.images].filter(i => !i.naturalWidth).map(i => i.src),
        silent: all('article img').filter(i => !i.alt).map(i => i.src),
        raw: all('article p').map(p => p.innerText).filter(text => text.startsWith('| ')),
        wide: document.documentElement.scrollWidth,
        theme: document.documentElement.dataset.theme,
    };
}"""
# what axe-core may find: its rule, a part of the element's selector, and why it stays
ALLOWED = [
    ("definition-list", r"#lmcore\\.", "Sphinx lists the arguments of a long signature without terms"),
    ("aria-allowed-role", "#id", "docutils gives an entry of the bibliography the role doc-biblioentry"),
    ("aria-deprecated-role", "#id", "the same role; screen readers still know it as a list's entry"),
    ("aria-required-children", ".citation-list", "the same role is no listitem"),
]


def violations(page, **options) -> list[str]:
    """What axe-core finds on the page, less what is allowed: rule, element, and what would mend it."""
    page.evaluate(AXE_SCRIPT)
    result = page.evaluate("options => axe.run(document, {resultTypes: ['violations'], ...options})", options)
    return [
        f"{found['id']}: {' '.join(map(str, node['target']))} ({node['failureSummary']})"
        for found in result["violations"]
        for node in found["nodes"]
        if not any(found["id"] == rule and part in str(node["target"]) for rule, part, _ in ALLOWED)
    ]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_page_is_sound(visit, server, name, setting):
    page, watch = visit(name, setting)
    width, theme = setting.split("-")
    found = page.evaluate(FOUND)
    assert watch.outside == []
    assert watch.errors == []
    assert found["typeset"] == found["formulas"]
    assert [found[kind] for kind in ("wrong", "broken", "silent", "raw")] == [[], [], [], []]
    assert found["wide"] <= WIDTHS[width][0]
    assert found["theme"] == theme
    assert violations(page) == []
    if setting == "desktop-light":
        assert weight(page, server) <= MAX_BYTES_OF.get(name, MAX_BYTES)


def test_axe_finds_what_is_wrong(visit):
    page, _ = visit(f"{DOCUMENTS[0]}.html")
    page.evaluate("document.querySelector('article').insertAdjacentHTML('beforeend', '<button></button>')")
    assert [entry.split(":")[0] for entry in violations(page, runOnly=["button-name"])] == ["button-name"]


def test_icons_come_from_the_small_font(visit):
    page, _ = visit(f"{DOCUMENTS[1]}.html")
    assert page.evaluate("document.fonts.check('900 16px \"course icons\"')")
    icon = page.locator("i.fa-magnifying-glass:visible").first
    assert icon.evaluate("e => getComputedStyle(e, '::before').content") not in ("none", '""')
    assert icon.bounding_box()["width"] > 8


def test_the_first_page_shows_a_network_that_learns(visit):
    page, _ = visit(f"{DOCUMENTS[0]}.html")
    slider, text = page.locator(".learning input"), page.locator(".learning li:visible")
    assert text.inner_text().startswith("Before training:")
    slider.press("ArrowRight")
    assert text.inner_text().startswith("After 100 steps:")
    moments = page.locator(".learning-curve .moment")
    marked = moments.evaluate_all("all => all.map(e => e.classList.contains('now'))")
    assert marked == [False, True, False, False, False, False]
    slider.press("End")
    assert text.inner_text().startswith(slider.get_attribute("aria-valuetext"))
    assert "The President" in text.inner_text()
    assert slider.get_attribute("aria-valuetext") == "After 8,800 steps:"


def test_a_term_shows_what_it_means(visit):
    page, _ = visit("book/04_elman_unit.html")
    word = page.locator("a:has(> .std-term)", has_text="bag of words").first
    assert word.get_attribute("title").startswith("A text described by the counts of its words")
    assert word.get_attribute("href") == "glossary.html#term-bag-of-words"


def test_paper_shows_the_text_alone_dark_on_white(visit):
    page, _ = visit("book/04_elman_unit.html", "desktop-dark")
    page.emulate_media(media="print")
    for part in (".bd-sidebar-primary", ".bd-header-article", ".prev-next-footer", "button.copybtn"):
        assert not page.locator(part).first.is_visible(), part
    colours = "e => [getComputedStyle(e).color, getComputedStyle(document.body).backgroundColor]"
    assert page.locator("article p").first.evaluate(colours) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert page.locator("article").bounding_box()["width"] > 0.9 * 1280


@pytest.mark.parametrize("address", ["nothing.html", "book/nothing.html", "a/b/c/d/nothing"])
def test_an_unknown_address_shows_the_page_for_it_at_any_depth(visit, server, address):
    page, watch = visit(address)
    assert watch.outside == []
    assert [error for error in watch.errors if "404" not in error] == []
    assert (
        len([error for error in watch.errors if server.url in error]) == 1
    )  # the page itself, no other file
    assert page.locator("article h1").first.inner_text().startswith("Page not found")
    page.locator("article a").first.click()
    page.wait_for_url(f"**/{DOCUMENTS[0]}.html")


@pytest.mark.parametrize("setting", ["desktop-light", "phone-light"])
def test_one_search_box_and_a_colab_button(visit, setting):
    page, _ = visit("book/08_training.html", setting)
    assert page.locator(".search-button__button:visible, form.bd-search:visible").count() == 1
    assert page.get_by_role("link", name="Open in Colab").is_visible()
    link = page.locator("a:has-text('Colab')").first.get_attribute("href")
    assert link.endswith("/notebooks/08_training.ipynb")


@pytest.mark.parametrize(("word", "expected"), [("perplexity", "book/"), ("StreamBatches", "book/api/text")])
def test_search_finds_a_term(visit, word, expected):
    page, _ = visit(f"search.html?q={word}")
    page.wait_for_selector("#search-results li")
    links = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert any(link.startswith(expected) for link in links)
