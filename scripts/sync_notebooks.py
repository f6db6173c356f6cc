"""Chapters to notebooks: `book/NN_*.md` is edited, `notebooks/NN_*.ipynb` is generated from it.

    python scripts/sync_notebooks.py            write every notebook anew
    python scripts/sync_notebooks.py --check    only say which differ; exit 1 if any does

Numbers that a chapter reads from records stand in its notebook as they are in the records now: when a
record changes, the notebook differs. What Colab does not know is written in plain Markdown, below each plot
stands its caption, and in the place of a playground a link to the page.

Not `jupytext --sync`: that trusts modification times, which git does not keep.
"""

import re
import sys
import tomllib
from pathlib import Path

import jupytext
from jupytext.compare import NotebookDifference, compare_notebooks
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from plain_markdown import Book, NotPlain, caption, plain, read_book

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "book" / "_ext"))

from record_numbers import RecordError, fill_in

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PLAYGROUND = re.compile(r"^```\{playground\}$.*?^```$", re.MULTILINE | re.DOTALL)


def chapters() -> list[Path]:
    """Chapters with code, in reading order."""
    return sorted((ROOT / "book").glob("[0-9][0-9]_*.md"))


def notebook_of(chapter: Path) -> Path:
    return ROOT / "notebooks" / f"{chapter.stem}.ipynb"


def link_playgrounds(text: str, chapter: str) -> str:
    """A link to the chapter's page in the place of each {playground}, which runs only there."""
    page = f"{PROJECT['urls']['Documentation']}/book/{chapter}.html"
    note = f"*Here small trained models run in the browser, on [the page of this chapter]({page}).*"
    return PLAYGROUND.sub(lambda _: note, text)


def read(chapter: Path, **options) -> NotebookNode:
    """A chapter as the notebook to be read in Colab.

    Raises RecordError if a record lacks a number, NotPlain if the book lacks a figure, an equation or a work.
    """
    notebook, book = jupytext.read(chapter, **options), read_book(ROOT)
    try:
        notebook.cells = with_captions(notebook.cells, book)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = fill_in(cell.source, ROOT / "book" / "records")
                cell.source = plain(link_playgrounds(cell.source, chapter.stem), chapter.stem, book)
    except (RecordError, NotPlain) as error:
        raise type(error)(f"book/{chapter.name}: {error}") from None
    return notebook


def with_captions(cells: list[NotebookNode], book: Book) -> list[NotebookNode]:
    """The cells, and below each that makes a figure its caption."""
    found = []
    for cell in cells:
        found.append(cell)
        if figure := cell.metadata.get("mystnb", {}).get("figure"):
            found.append(new_markdown_cell(caption(figure["name"], figure["caption"], book)))
    return found


def difference(chapter: Path) -> str | None:
    """What differs between a chapter and its notebook, or None if they are a pair."""
    notebook = notebook_of(chapter)
    if not notebook.is_file():
        return f"{notebook.relative_to(ROOT)} is missing"
    try:
        compare_notebooks(
            jupytext.read(notebook),
            read(chapter),
            fmt="md:myst",
            allow_expected_differences=True,
        )
    except (RecordError, NotPlain) as error:
        return str(error)
    except NotebookDifference as error:
        return f"{notebook.relative_to(ROOT)} differs from its chapter: {error}"
    return None


def write(chapter: Path) -> bool:
    """Write the notebook of a chapter unless it is a pair already; returns whether it did.

    Raises RecordError or NotPlain, as `read` does.
    """
    if difference(chapter) is None:
        return False
    notebook = read(chapter, config=jupytext.config.load_jupytext_config(str(chapter)))
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # random ids would make every diff noisy
    jupytext.write(notebook, notebook_of(chapter), fmt="ipynb")
    return True


def main() -> int:
    if "--check" in sys.argv[1:]:
        problems = [text for text in map(difference, chapters()) if text]
        problems += [
            f"notebooks/{path.name} has no chapter"
            for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
            if not (ROOT / "book" / f"{path.stem}.md").is_file()
        ]
        print("\n".join(problems) or f"{len(chapters())} chapters, each equal to its notebook")
        return 1 if problems else 0
    try:
        written = [chapter.stem for chapter in chapters() if write(chapter)]
    except (RecordError, NotPlain) as error:
        sys.exit(str(error))
    print(f"notebooks written: {', '.join(written) or 'none, all were up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
