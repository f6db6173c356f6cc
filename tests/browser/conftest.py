"""The built book, served as GitHub Pages serves it, and a headless Chromium to read it with.

One browser for all tests, and one context for each setting, so that a page's files are fetched once.
"""

import contextlib
import functools
import http.server
import threading
from pathlib import Path

import chromium
import pytest
from built import SETTINGS, WIDTHS
from playground_site import READY, SUB_PATH, make_site
from site_server import SITE, serving


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def server():
    assert (SITE / "index.html").is_file(), "no built book: run make book first"
    with serving(max_age=600) as server:
        yield server


@pytest.fixture(scope="session")
def site(server) -> str:
    """The address of the built book, without a slash behind it."""
    return server.url.removesuffix("/")


@pytest.fixture(scope="session")
def browser():
    if chromium.path() is None:
        pytest.skip(chromium.HOW)
    with chromium.started() as browser:
        yield browser


@pytest.fixture(scope="session")
def playground_folder(tmp_path_factory, bpe, documents) -> Path:
    """What to serve: a small book with playgrounds of random models."""
    return make_site(tmp_path_factory.mktemp("playground"), bpe, documents)


@pytest.fixture
def serve():
    """Serve a folder that holds a book; returns the book's address."""
    with contextlib.ExitStack() as stack:

        def serve(folder: Path) -> str:
            handler = functools.partial(QuietHandler, directory=str(folder))
            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}/{SUB_PATH}"

        yield serve


@pytest.fixture
def open_page(browser):
    """Open an address in a context of its own, and wait until a playground there is ready.

    ``page.outside``, ``page.fetched`` and ``page.errors`` are lists of what it asked for and complained of.
    """
    with contextlib.ExitStack() as stack:

        def open_page(url: str, wait_for: str | None = READY, script: str | None = None, **options):
            page = stack.enter_context(browser.new_context(**options)).new_page()
            page.outside, page.fetched, page.errors = [], [], []
            home = url.split("/book/")[0]

            def route(route):
                inside = route.request.url.startswith((home, "data:", "blob:"))
                (page.fetched if inside else page.outside).append(route.request.url)
                route.continue_() if inside else route.abort()

            page.route("**/*", route)
            page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
            page.on("pageerror", lambda error: page.errors.append(str(error)))
            if script:
                page.add_init_script(script)
            page.goto(url)
            if wait_for:
                page.evaluate("document.querySelector('.playground').scrollIntoView()")  # starts only then
                page.wait_for_function(wait_for)
            return page

        yield open_page


@pytest.fixture
def full(open_page, serve, playground_folder):
    """The page with the whole playground, the GRU loaded; it must ask nobody else and complain of nothing."""
    page = open_page(f"{serve(playground_folder)}/book/full.html")
    yield page
    assert page.outside == []
    assert page.errors == []


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
