"""Data flows one way through lmcore, and its files and functions stay short enough to read."""

import ast
from pathlib import Path

import pytest

import lmcore

FOLDER = Path(lmcore.__file__).parent
ORDER = [  # a module imports only from those above it
    "errors",
    "durable",
    "snapshot",
    "distributed",
    "reading",
    "jsonl",
    "corpus",
    "files",
    "cache",
    "compressed",
    "archive",
    "download",
    "normalize",
    "tokenizer",
    "hub",
    "dataset",
    "sources",
    "tokens",
    "data",
    "counts",
    "ngram",
    "smoothing",
    "loss",
    "output",
    "model",
    "cells",
    "gated",
    "scan",
    "rnn",
    "tagger",
    "gpt",
    "mixture",
    "metrics",
    "generate",
    "checkpoint",
    "record",
    "history",
    "plots",
    "train_config",
    "step",
    "resume",
    "snapshot_folder",
    "run_folder",
    "keeper",
    "stopping",
    "ledger",
    "look",
    "watch",
    "trainer",
    "runs",
    "arguments",
    "__main__",
]
FILES = sorted(FOLDER.rglob("*.py"))
MAX_FILE_LINES, MAX_FUNCTION_LINES = 280, 50


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """Modules of lmcore that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno} has a relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    inside = {name.removeprefix("lmcore.").split(".")[0] for name in names if name.startswith("lmcore.")}
    return {name for name in inside if (FOLDER / f"{name}.py").exists()}


def test_every_module_has_its_place():
    assert {path.stem for path in FILES} == {*ORDER, "__init__"}


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_from_those_above_it(name):
    above = set(ORDER[: ORDER.index(name)])
    assert imported(FOLDER / f"{name}.py") <= above


def test_imports_are_seen():
    assert {"rnn", "tokenizer", "errors"} <= imported(FOLDER / "checkpoint.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_and_functions_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_bare_except(path):
    assert all(node.type for node in ast.walk(tree(path)) if isinstance(node, ast.ExceptHandler))


def test_everything_that_the_package_offers_is_there():
    public = {
        alias.name
        for node in ast.walk(tree(FOLDER / "__init__.py"))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert all(hasattr(lmcore, name) for name in public)
    for name in ("RecurrentLM", "Trainer", "InputError", "builtin_corpus", "generate"):
        assert name in public
