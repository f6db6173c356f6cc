"""Test every notebook with nbmake and build the book, strictly, from exactly those outputs.

    python scripts/build_book.py            every page anew, or after an edit of text only those edited
    python scripts/build_book.py --all      every page anew

Each notebook is executed once, in a copy under .executed/; the copy's outputs go into the book's execution
cache. A notebook runs again only when its code changed, or lmcore, the records or the requirements did (the
cache itself would look at the cells alone). Where only the text of pages has changed since a build that was
right, Sphinx makes the changed pages anew and no others. It does not look again at links from the others,
so `make test` asks for all pages. No network is used. With another text in NEXT_WORD_CORPUS assertions may
fail: see scripts/findings.py.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import nbformat
from findings import go_on_behind_errors, report
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbformat import NotebookNode
from sync_notebooks import ROOT, chapters, difference, notebook_of

import lmcore
from lmcore.course import SETTING, course_source

EXECUTED = ROOT / ".executed"
CACHE = ROOT / "_build" / ".jupyter_cache"
MADE_FROM = ROOT / "_build" / "made_from"  # a hash, left by a build that was right
SECONDS_PER_CELL = 300  # nbmake's limit; a whole chapter is meant to take two minutes at most


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def check_pairs() -> None:
    problems = [text for text in map(difference, chapters()) if text]
    if problems:
        sys.exit("\n".join([*problems, "run: make notebooks"]))


def surroundings() -> bytes:
    """A hash of all that a chapter's outputs depend on besides its own cells."""
    digest = hashlib.sha256(sys.version.encode())
    files = [ROOT / "requirements.txt", ROOT / "constraints.txt"]
    for folder, pattern in (("lmcore", "**/*.py"), ("book/records", "**/*")):
        files += sorted(path for path in (ROOT / folder).glob(pattern) if path.is_file())
    for path in files:
        # the records of the build and of the built pages are made after it, and no chapter reads them
        if "__pycache__" not in path.parts and path.name not in ("book.json", "pages.json"):
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    if course_source() is not None:
        weights = lmcore.course_run() / "model.safetensors"
        digest.update(lmcore.course_corpus().sha256.encode() + weights.read_bytes())
    return digest.digest()


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def stamp_of(notebook: Path, around: bytes) -> str:
    """A hash of what decides the outputs: of the notebook itself only its code, and the tags of the cells."""
    cells = code_cells(nbformat.read(notebook, as_version=4))
    code = [[cell.source, cell.metadata.get("tags", [])] for cell in cells]
    return hashlib.sha256(around + json.dumps(code).encode()).hexdigest()


def execute(notebooks: list[Path]) -> None:
    """Run copies of the notebooks under nbmake, one after another, on all cores each."""
    around = surroundings()
    EXECUTED.mkdir(exist_ok=True)
    for notebook in notebooks:
        copy, stamp_file = EXECUTED / notebook.name, EXECUTED / f"{notebook.stem}.stamp"
        stamp = stamp_of(notebook, around)
        if copy.is_file() and stamp_file.is_file() and stamp_file.read_text() == stamp:
            say(f"{notebook.name}: executed before, nothing changed")
            continue
        stamp_file.unlink(missing_ok=True)
        shutil.copyfile(notebook, copy)
        if course_source() is not None:
            go_on_behind_errors(copy)
        start = time.perf_counter()
        peak = run_nbmake(copy)
        executed = nbformat.read(copy, as_version=4)
        executed.metadata["peak_bytes"] = peak
        nbformat.write(executed, copy)
        stamp_file.write_text(stamp)
        say(f"{notebook.name}: executed in {time.perf_counter() - start:.0f} s, {peak / 1e6:.0f} MB")


def run_nbmake(copy: Path) -> int:
    """Execute a notebook where it lies; returns the memory of its largest process, in bytes."""
    command = [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", "-q", "-p", "no:cacheprovider"]
    command += [f"--nbmake-timeout={SECONDS_PER_CELL}", str(copy)]
    process = subprocess.Popen(command, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)  # of the process and of those that it has started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{copy.name} failed")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def name_text_from_anywhere() -> None:
    """Notebooks run in a folder of their own, where a relative path would lead nowhere."""
    source = course_source()
    if source is not None and Path(source).exists():
        os.environ[SETTING] = str(Path(source).resolve())


def check_errors(source: str) -> None:
    """Of what went wrong on another text: list the findings, and stop for everything else."""
    file = ROOT / "_build" / "findings.txt"
    executed = {chapter: EXECUTED / notebook_of(chapter).name for chapter in chapters()}
    mistakes = report(executed, source, file)
    print(file.read_text(encoding="utf-8"), end="", flush=True)
    if mistakes:
        sys.exit("\n".join(["other errors than failed assertions:", *map(str, mistakes)]))


def seconds_of(cell: NotebookNode) -> float:
    """How long a cell ran, by the clock times that nbmake leaves in it."""
    times = cell.metadata.get("execution")
    if not times:
        return 0.0
    start, end = (datetime.fromisoformat(times[f"iopub.status.{name}"]) for name in ("busy", "idle"))
    return (end - start).total_seconds()


def fill_cache() -> None:
    """Store each notebook with its copy's outputs under its chapter's path, as if the build had run it."""
    shutil.rmtree(CACHE, ignore_errors=True)
    cache = get_cache(str(CACHE))
    for chapter in chapters():
        notebook = nbformat.read(notebook_of(chapter), as_version=4)
        executed = code_cells(nbformat.read(EXECUTED / notebook_of(chapter).name, as_version=4))
        for cell, ran in zip(code_cells(notebook), executed, strict=True):
            cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
        seconds = sum(map(seconds_of, executed))  # for the page of execution times
        bundle = CacheBundleIn(notebook, str(chapter), data={"execution_seconds": seconds})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def made_from() -> str:
    """A hash of what the pages are made from besides their text: outputs, extensions, settings."""
    files = [*EXECUTED.glob("*.ipynb"), ROOT / "_config.yml", ROOT / "_toc.yml"]
    for pattern in ("_ext/*.py", "_templates/**/*.html", "_static/**/*"):
        files += (path for path in (ROOT / "book").glob(pattern) if path.is_file())
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def build(all_pages: bool) -> None:
    """A strict build: fails on any warning, and if a chapter was not found in the cache."""
    now, sitemap = made_from(), ROOT / "_build" / "html" / "sitemap.xml"
    there = sitemap.is_file() and MADE_FROM.is_file()
    anew = all_pages or not there or MADE_FROM.read_text() != now
    MADE_FROM.unlink(missing_ok=True)  # after a failure the next build makes every page anew
    if anew:
        shutil.rmtree(ROOT / "_build" / "html", ignore_errors=True)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [str(jupyter_book), "build", str(ROOT), "-W", "-n", "--keep-going"]
    command += ["--all"] if anew else []
    all_addresses = None if anew else sitemap.read_bytes()
    log = ROOT / "_build" / "build.log"
    with open(log, "w", encoding="utf-8") as file:
        environment = {**os.environ, "NO_COLOR": "1"}
        result = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=environment)
    text = log.read_text(encoding="utf-8")
    if result.returncode:
        print(text)
        sys.exit(f"the build failed; its output is above and in {log}")
    names = [chapter.relative_to(ROOT).as_posix() for chapter in chapters()]
    again = [name for name in names if f"{name}: Executing notebook" in text]
    if again:
        print(text)
        sys.exit(f"executed a second time instead of taken from the cache: {', '.join(again)}")
    if all_addresses:  # what Sphinx has written lists only the pages that it made anew
        sitemap.write_bytes(all_addresses)
    MADE_FROM.write_text(now)


def main() -> None:
    parser = argparse.ArgumentParser(description="Execute the chapters and build the book, strictly.")
    parser.add_argument("--all", action="store_true", help="make every page anew")
    all_pages = parser.parse_args().all
    start = time.perf_counter()
    check_pairs()
    name_text_from_anywhere()
    notebooks = [notebook_of(chapter) for chapter in chapters()]
    say(f"testing {len(notebooks)} notebooks with nbmake")
    execute(notebooks)
    if source := course_source():
        check_errors(source)
    fill_cache()
    say("building the book (strict: every warning is an error)")
    build(all_pages)
    say(f"done in {time.perf_counter() - start:.0f} s: open _build/html/index.html")


if __name__ == "__main__":
    main()
