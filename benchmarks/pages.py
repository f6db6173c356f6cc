"""What a page of the built book costs a reader: bytes, and the time until something can be read.

Each page is opened in a fresh Chromium profile on a line of 1.6 Mbit/s with 150 ms round trips (what
Lighthouse calls slow 4G), some times over, one page after the other in each round. Beside the first
contentful paint stand the largest one, how much of the page jumps while it loads, and what axe-core finds;
these are Lighthouse's questions, asked without a network. With ``quick`` one page is opened once.

The server is this machine's own: its answers cost no time but the line's. Left out: a slower processor.
"""

import sys
from statistics import median
from typing import Any

from benchmarks.measure import ROOT, new_record, say, text_table

sys.path.insert(0, str(ROOT / "scripts"))

import chromium
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page
from site_server import SITE, SiteServer, serving

LINE = {"latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 750e3 / 8, "offline": False}
ROUNDS = 3
WATCH = """
window.seen = {paint: null, largest: null, shift: 0};
const note = (type, what) => new PerformanceObserver(list => list.getEntries().forEach(what))
    .observe({type, buffered: true});
note('paint', entry => { if (entry.name === 'first-contentful-paint') seen.paint = entry.startTime; });
note('largest-contentful-paint', entry => { seen.largest = entry.startTime; });
note('layout-shift', entry => { if (!entry.hadRecentInput) seen.shift += entry.value; });
"""
SHAPE = """() => ({
    requests: performance.getEntriesByType('resource').length + 1,
    elements: document.querySelectorAll('*').length,
    described: !!document.querySelector('meta[name=description]')?.content && !!document.title
        && !!document.documentElement.lang && !!document.querySelector('meta[name=viewport]'),
})"""


def run(quick: bool) -> dict[str, Any]:
    record = new_record("pages", quick, line=LINE, rounds=1 if quick else ROUNDS)
    if not (SITE / "index.html").is_file():
        return {**record, "skipped": "no built book; run: make book"}
    if chromium.path() is None:
        return {**record, "skipped": chromium.HOW}
    names = sorted(path.relative_to(SITE).as_posix() for path in (SITE / "book").rglob("*.html"))
    names = names[:1] if quick else names
    with serving() as server, chromium.started() as browser:
        record["settings"]["browser"] = browser.version
        record["pages"] = {name: what_it_is(browser, server, name) for name in names}
        for number in range(record["settings"]["rounds"]):
            say(f"round {number + 1} of {record['settings']['rounds']}")
            for name in names:
                record["pages"][name]["loads"].append(load(browser, server, name))
    return record


def what_it_is(browser: Browser, server: SiteServer, name: str) -> dict[str, Any]:
    """Bytes and requests of a page, and how many elements axe-core finds fault with."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    chromium.read(page, server.url + name)
    found = {"bytes": chromium.weight(page, server), **page.evaluate(SHAPE)}
    page.evaluate(AXE_SCRIPT)
    violations = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    found["axe"] = {rule["id"]: len(rule["nodes"]) for rule in violations}
    page.context.close()
    return {**found, "loads": []}


def load(browser: Browser, server: SiteServer, name: str) -> dict[str, float]:
    """One visit on the slow line with nothing in the cache: milliseconds, and the layout shift."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    slow_down(page)
    page.add_init_script(WATCH)
    page.goto(server.url + name, wait_until="load", timeout=120_000)
    page.evaluate(chromium.READY)
    seen = page.evaluate("seen")
    page.context.close()
    return {"first_paint_ms": seen["paint"], "largest_paint_ms": seen["largest"], "shift": seen["shift"]}


def slow_down(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", LINE)


def table(record: dict[str, Any]) -> str:
    rows = []
    for name, found in record["pages"].items():
        middle = {key: median(load[key] for load in found["loads"]) for key in found["loads"][0]}
        rows.append(
            [
                name.removeprefix("book/").removesuffix(".html"),
                f"{found['bytes'] / 1000:.0f}",
                found["requests"],
                f"{middle['first_paint_ms'] / 1000:.2f}",
                f"{middle['largest_paint_ms'] / 1000:.2f}",
                f"{middle['shift']:.3f}",
                sum(found["axe"].values()),
            ]
        )
    header = ["page", "kB", "requests", "first paint, s", "largest, s", "shift", "axe"]
    heaviest = max(found["bytes"] for found in record["pages"].values())
    return f"{text_table(header, rows)}\nheaviest page: {heaviest / 1000:.0f} kB compressed"
