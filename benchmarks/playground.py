"""The playground in Chromium: what a reader waits for.

From the request of a page with one playground (nothing in the browser's cache, the server on the same
machine) until the prompt has been read and the buttons work; and from the press on "Run" until the last token
is in the page, twice 100 tokens, with all pictures. Left out: the way through a real network, and a phone.
"""

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import ROOT, new_record, say, spread, text_table

STATIC = ROOT / "book" / "_static"
MODELS = Path("playground") / "models" / "manifest.json"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
ROUNDS, QUICK_ROUNDS, RUNS = 5, 1, 2
PAGE = """<!doctype html><title>playground</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="playground/playground.css">
<div class="playground" data-models="{name}"></div>
<script type="module" src="playground/start.js"></script>"""
READY = "document.querySelector('.pg-status')?.textContent.includes('Ready')"
WRITE = """async (runs) => {
  const run = [...document.querySelectorAll("button")].find((button) => button.textContent === "Run");
  const status = document.querySelector(".pg-status");
  const count = () => document.querySelectorAll(".pg-token").length;
  const [before, begin] = [count(), performance.now()];
  for (let i = 0; i < runs; i++) {
    await new Promise((done) => {
      const look = () => /written|ended/.test(status.textContent) && done();
      new MutationObserver(look).observe(status, { childList: true });
      run.click();
    });
  }
  return { tokens: count() - before, seconds: (performance.now() - begin) / 1000 };
}"""


def run(quick: bool) -> dict[str, Any]:
    record = new_record("playground", quick)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return {**record, "skipped": "there is no chromium"}
    if not (STATIC / MODELS).is_file():
        return {**record, "skipped": f"there are no models in {STATIC}: run scripts/export_playground.py"}
    from playwright.sync_api import sync_playwright  # only here: the other benchmarks do without a browser

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        record["browser"] = browser.version
        record["models"] = measure(browser, STATIC, QUICK_ROUNDS if quick else ROUNDS)
        browser.close()
    return record


def measure(browser, static: Path, rounds: int) -> dict[str, Any]:
    """By model: the bytes of its file and what each visit took, the models in turn."""
    entries = json.loads((static / MODELS).read_text(encoding="utf-8"))["models"]
    found: dict[str, Any] = {entry["name"]: {"bytes": entry["bytes"], "rounds": []} for entry in entries}
    with served(static) as address:
        for _ in range(rounds):
            for name, own in found.items():
                say(f"playground: {name}")
                own["rounds"].append(visit(browser, address, name))
    return found


def visit(browser, address: str, name: str) -> dict[str, float]:
    """One page in a context of its own: seconds until it is ready, then tokens and seconds of writing."""
    context = browser.new_context()
    page = context.new_page()
    page.route(
        "**/index.html", lambda route: route.fulfill(body=PAGE.format(name=name), content_type="text/html")
    )
    page.goto(f"{address}/index.html", wait_until="commit")
    page.wait_for_function(READY)
    ready = page.evaluate("performance.now() / 1000")
    written = page.evaluate(WRITE, RUNS)
    context.close()
    return {"ready_seconds": ready, **written}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder on a port of this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def table(record: dict[str, Any]) -> str:
    rows = []
    for name, entry in record["models"].items():
        rounds = entry["rounds"]
        ready = spread([each["ready_seconds"] for each in rounds], digits=2)
        seconds = [each["seconds"] for each in rounds]
        tokens = median(each["tokens"] for each in rounds)
        rows.append([name, f"{entry['bytes']:,}", ready, f"{tokens:.0f}", spread(seconds, digits=2)])
    return text_table(["model", "bytes", "ready after (s)", "tokens", "written in (s)"], rows)
