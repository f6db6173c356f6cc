"""Chromium, wherever this machine has it, started so that it asks no host but the page's own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright
from site_server import SiteServer, on_the_wire

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
HOW = "no Chromium on this machine (Debian: apt-get install chromium)"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
READY = """async () => {
    if (window.MathJax?.startup) await MathJax.startup.promise;
    await document.fonts.ready;
    await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
}"""


def path() -> str | None:
    return next((found for found in map(shutil.which, NAMES) if found), None)


@contextmanager
def started() -> Iterator[Browser]:
    """A headless browser; raises FileNotFoundError, which says how to get one, if there is none."""
    program = path()
    if program is None:
        raise FileNotFoundError(HOW)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """What goes wrong on a page from now on: requests to other hosts, and errors of any kind.

    Requests are only listened to: a page whose requests are rerouted does without the browser's cache.
    """

    def __init__(self, page: Page, site: str):
        self.outside: list[str] = []
        self.errors: list[str] = []
        own = (site, "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(own) else self.outside.append(r.url))
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("response", lambda r: self.errors.append(f"{r.status} {r.url}") if r.status >= 400 else None)


def read(page: Page, address: str) -> None:
    """Open the address and wait until formulas, fonts and images are there."""
    page.goto(address, wait_until="load")
    page.evaluate(READY)


def weight(page: Page, server: SiteServer) -> int:
    """Bytes, as they are sent, of the page and of everything that it asks for until it is quiet."""
    page.wait_for_load_state("networkidle")
    asked = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    found = {server.file_of(address.removeprefix(server.origin)) for address in (page.url, *asked)}
    return sum(len(on_the_wire(file)) for file in found if file)
