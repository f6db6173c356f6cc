"""Chapters to notebooks: `book/NN_*.md` is edited, `notebooks/NN_*.ipynb` is generated from it.

    python scripts/sync_notebooks.py            write every notebook anew
    python scripts/sync_notebooks.py --check    only say which differ; exit 1 if any does

Not `jupytext --sync`: that trusts modification times, which git does not keep.
"""

import sys
from pathlib import Path

import jupytext
from jupytext.compare import NotebookDifference, compare_notebooks

ROOT = Path(__file__).resolve().parent.parent


def chapters() -> list[Path]:
    """Chapters with code, in reading order."""
    return sorted((ROOT / "book").glob("[0-9][0-9]_*.md"))


def notebook_of(chapter: Path) -> Path:
    return ROOT / "notebooks" / f"{chapter.stem}.ipynb"


def difference(chapter: Path) -> str | None:
    """What differs between a chapter and its notebook, or None if they are a pair."""
    notebook = notebook_of(chapter)
    if not notebook.is_file():
        return f"{notebook.relative_to(ROOT)} is missing"
    try:
        compare_notebooks(
            jupytext.read(notebook),
            jupytext.read(chapter),
            fmt="md:myst",
            allow_expected_differences=True,
        )
    except NotebookDifference as error:
        return f"{notebook.relative_to(ROOT)} differs from its chapter: {error}"
    return None


def write(chapter: Path) -> bool:
    """Write the notebook of a chapter unless it is a pair already; returns whether it did."""
    if difference(chapter) is None:
        return False
    notebook = jupytext.read(chapter, config=jupytext.config.load_jupytext_config(str(chapter)))
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
    written = [chapter.stem for chapter in chapters() if write(chapter)]
    print(f"notebooks written: {', '.join(written) or 'none, all were up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
