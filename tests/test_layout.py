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
    "sources.reading",
    "sources.jsonl",
    "corpus",
    "sources.files",
    "sources.cache",
    "sources.compressed",
    "sources.archive",
    "sources.download",
    "normalize",
    "tokenizer",
    "hub",
    "sources.dataset",
    "sources.source",
    "tokens",
    "data",
    "counts",
    "ngram",
    "smoothing",
    "prune",
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
    "sampling",
    "writer",
    "streaming",
    "beam",
    "generate",
    "applications",
    "checkpoint",
    "playground",
    "record",
    "course",
    "runs.history",
    "plots",
    "train_config",
    "step",
    "runs.resume",
    "runs.snapshots",
    "runs.folder",
    "runs.keeper",
    "runs.stopping",
    "runs.ledger",
    "runs.look",
    "runs.watch",
    "trainer",
    "runs.listing",
    "interop.carried",
    "interop.model_card",
    "interop.onnx_step",
    "interop.huggingface",
    "interop.export",
    "generate_command",
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
    inside = {name.removeprefix("lmcore.") for name in names if name.startswith("lmcore.")}
    return {name for name in inside if place(name).exists()}


def place(name: str) -> Path:
    return FOLDER.joinpath(*name.split(".")).with_suffix(".py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(FOLDER).with_suffix("").parts)


def test_every_module_has_its_place():
    packages = {"__init__", "interop.__init__", "runs.__init__", "sources.__init__"}
    assert {name_of(path) for path in FILES} == {*ORDER, *packages}


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_from_those_above_it(name):
    above = set(ORDER[: ORDER.index(name)])
    assert imported(place(name)) <= above


def test_imports_are_seen():
    assert {"rnn", "tokenizer", "errors"} <= imported(place("checkpoint"))
    assert {"runs.history", "step"} <= imported(place("trainer"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", FILES, ids=name_of)
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
