"""Every page as a reader's browser sees it: no error, no outside request, all formulas and images."""

import html.parser
import urllib.parse
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[2] / "_build" / "html"
PAGES = sorted(p.relative_to(BOOK).as_posix() for p in BOOK.glob("book/*.html"))
WIDTHS = {"desktop": 1280, "phone": 390}


def test_the_book_has_pages():
    chapters = [page for page in PAGES if page.startswith(("book/0", "book/1"))]
    assert len(chapters) >= 10


@pytest.fixture
def visit(browser, site):
    """Opens a page at a width; returns the page and lists of outside requests and errors."""
    pages = []

    def open_page(name, width, theme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
        pages.append(page)
        outside, errors = [], []

        def route(route):
            if route.request.url.startswith((site, "data:", "blob:")):
                route.continue_()
            else:
                outside.append(route.request.url)
                route.abort()

        page.route("**/*", route)
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda r: errors.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.goto(f"{site}/{name}", wait_until="networkidle")
        page.evaluate("window.MathJax?.startup ? MathJax.startup.promise : null")
        return page, outside, errors

    yield open_page
    for page in pages:
        page.close()


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_page_is_sound(visit, name, width):
    page, outside, errors = visit(name, width)
    assert outside == []
    assert errors == []
    formulas = page.evaluate("document.querySelectorAll('article .math').length")
    assert page.evaluate("document.querySelectorAll('article mjx-container').length") == formulas
    assert page.evaluate("document.querySelectorAll('mjx-merror').length") == 0
    broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    assert page.evaluate(broken) == []
    no_alt = "[...document.querySelectorAll('article img')].filter(i => !i.alt).map(i => i.src)"
    assert page.evaluate(no_alt) == []
    raw_table = "[...document.querySelectorAll('article p')].filter(p => p.innerText.startsWith('| '))"
    assert page.evaluate(f"{raw_table}.map(p => p.innerText)") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_one_search_box_and_a_colab_button(visit):
    page, _, _ = visit("book/08_training.html", WIDTHS["desktop"])
    assert page.locator("form.bd-search:visible").count() <= 1
    link = page.locator("a:has-text('Colab')").first.get_attribute("href")
    assert link.endswith("/notebooks/08_training.ipynb")


def test_search_finds_a_term(visit):
    page, _, _ = visit("search.html?q=perplexity", WIDTHS["desktop"])
    page.wait_for_selector("#search-results li")
    assert page.locator("#search-results li a").count() > 0


class _Links(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes[key] for key in ("id", "name") if attributes.get(key)}
        self.links += [attributes[key] for key in ("href", "src") if attributes.get(key)]


def test_internal_links_and_anchors_resolve():
    parsed = {BOOK / name: _Links((BOOK / name).read_text(encoding="utf-8")) for name in PAGES}
    missing = []
    for file, page in parsed.items():
        for link in page.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme or link.startswith("//"):
                continue
            path = urllib.parse.unquote(url.path)
            target = (file.parent / path).resolve() if path else file
            anchor_missing = url.fragment and target in parsed and url.fragment not in parsed[target].ids
            if not target.exists() or anchor_missing:
                missing.append(f"{file.name}: {link}")
    assert missing == []
