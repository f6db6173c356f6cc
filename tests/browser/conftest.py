"""The built book, served as GitHub Pages serves it, and a headless Chromium to read it with.

One browser for all tests, and one context for each setting, so that a page's files are fetched once.
"""

import chromium
import pytest
from built import SETTINGS, WIDTHS
from site_server import SITE, serving


@pytest.fixture(scope="session")
def server():
    assert (SITE / "index.html").is_file(), "no built book: run make book first"
    with serving(max_age=600) as server:
        yield server


@pytest.fixture(scope="session")
def browser():
    if chromium.path() is None:
        pytest.skip(chromium.HOW)
    with chromium.started() as browser:
        yield browser


@pytest.fixture(scope="session")
def contexts(browser):
    """By setting, for example "phone-dark"; the theme is the one that a reader has chosen before."""
    made = {}
    for setting in SETTINGS:
        name, theme = setting.split("-")
        width, height = WIDTHS[name]
        made[setting] = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        made[setting].set_default_timeout(120_000)  # milliseconds; on a busy machine all takes longer
        made[setting].add_init_script(f"localStorage.mode = localStorage.theme = '{theme}'")
    yield made
    for context in made.values():
        context.close()


@pytest.fixture
def visit(contexts, server):
    """Opens an address of the book in a setting; returns the page and what was wrong on the way."""
    pages = []

    def visit(name, setting="desktop-light"):
        page = contexts[setting].new_page()
        pages.append(page)
        watch = chromium.Watch(page, server.url)
        chromium.read(page, server.url + name)
        return page, watch

    yield visit
    for page in pages:
        page.close()
