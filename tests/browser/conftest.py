"""The built book, served on localhost, and a headless Chromium to read it with."""

import contextlib
import functools
import http.server
import shutil
import threading
from pathlib import Path

import pytest
from playground_site import READY, SUB_PATH, make_site
from playwright.sync_api import sync_playwright

BOOK = Path(__file__).resolve().parents[2] / "_build" / "html"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def site():
    """Address of the served book."""
    assert (BOOK / "index.html").is_file(), "no built book: run make book first"
    handler = functools.partial(QuietHandler, directory=str(BOOK))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


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
