"""Print the whole book, from the built chapters' outputs, to _build/next-word.pdf.

    python scripts/make_pdf.py      make pdf

Sphinx puts all pages into one, Chromium typesets and prints it. The program ends with an error unless every
formula and image was there and the outline of the file has every chapter. No network is used.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import chromium
from pypdf import PdfReader
from site_server import ROOT, serving
from sync_notebooks import chapters

FOLDER = ROOT / "_build" / "singlehtml"
PDF = ROOT / "_build" / "next-word.pdf"
LIMIT = 300_000  # milliseconds for the typesetting of all formulas, and for the printing
COUNT = """() => ({
    formulas: document.querySelectorAll('article .math').length,
    typeset: document.querySelectorAll('article mjx-container').length,
    wrong: document.querySelectorAll('mjx-merror').length,
    broken: [...document.images].filter(i => !i.naturalWidth).map(i => i.src),
})"""
# folded solutions are unfolded, and each chapter starts on a page of its own
PREPARE = """() => {
    document.querySelectorAll('details').forEach(d => d.open = true);
    document.querySelectorAll('.toggle-hidden').forEach(e => e.classList.remove('toggle-hidden'));
    document.querySelectorAll('h1').forEach(h => h.style.breakBefore = 'page');
}"""
FOOTER = '<div style="font-size: 8px; width: 100%; text-align: center"><span class="pageNumber"></span></div>'


def build() -> Path:
    """The book as one page of HTML, strictly; returns its path."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [str(jupyter_book), "build", str(ROOT), "--builder", "singlehtml", "-W", "-n", "--keep-going"]
    environment = {**os.environ, "NO_COLOR": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{result.stdout}\n{result.stderr}\nthe book did not build as one page; see above")
    page = FOLDER / "book.html"
    shutil.copyfile(FOLDER / "book" / "intro.html", page)  # its links are relative to the folder above
    return page


def print_page(page: Path) -> None:
    """Typeset and print; ends the program if an error, a formula or an image is in the way."""
    with serving(FOLDER, "/") as server, chromium.started() as browser:
        sheet = browser.new_page()
        sheet.set_default_timeout(LIMIT)
        watch = chromium.Watch(sheet, server.url)
        chromium.read(sheet, f"{server.url}{page.name}")
        sheet.evaluate(PREPARE)
        found = sheet.evaluate(COUNT)
        problems = [*watch.errors, *watch.outside, *found["broken"]]
        if problems or found["wrong"] or found["typeset"] != found["formulas"]:
            sys.exit("\n".join([*problems, f"not all formulas were typeset: {found}"]))
        margins = {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}
        options = {
            "display_header_footer": True,
            "header_template": "<span></span>",
            "footer_template": FOOTER,
        }
        sheet.pdf(path=PDF, format="A4", tagged=True, outline=True, margin=margins, **options)
        print(f"==> {found['formulas']} formulas")


def outline(reader: PdfReader) -> list[str]:
    """The titles of the outline's upper two levels, in order."""
    titles = []
    for entry in reader.outline:
        titles += (
            [e.title for e in entry if not isinstance(e, list)] if isinstance(entry, list) else [entry.title]
        )
    return titles


def title_of(chapter: Path) -> str:
    lines = chapter.read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("# ") for line in lines if line.startswith("# ") and len(line) > 2)


def check() -> None:
    """End the program unless the outline has the chapters, in order."""
    reader = PdfReader(PDF)
    titles = outline(reader)
    missing = [t for t in map(title_of, chapters()) if not any(entry.endswith(t) for entry in titles)]
    if missing:
        sys.exit(f"{PDF.name} has no entry in its outline for: {', '.join(missing)}")
    print(f"==> {PDF}: {len(reader.pages)} pages, {PDF.stat().st_size / 1e6:.1f} MB, {len(titles)} entries")


def main() -> None:
    print("==> building the book as one page", flush=True)
    page = build()
    print("==> printing", flush=True)
    print_page(page)
    check()


if __name__ == "__main__":
    main()
