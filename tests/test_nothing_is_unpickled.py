"""No code of ours can run what is in a file: the ways to do so do not occur in the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    path for folder in ("lmcore", "benchmarks", "scripts") for path in (ROOT / folder).rglob("*.py")
)
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.save", "torch.hub.load"}
METHODS = {"extractall", "read_pickle"}
OPTIONS = {"allow_pickle", "trust_remote_code", "shell"}


def dangers(source: str) -> list[str]:
    """What in a source text could run something, each with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for danger in _dangers_of(node):
            found.append(f"line {node.lineno}: {danger}")
    return found


def _dangers_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
    if isinstance(node, ast.ImportFrom):
        return [node.module] if (node.module or "").split(".")[0] in MODULES else []
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        options = [keyword.arg for keyword in node.keywords if _is_on(keyword)]
        return [name] * (name in CALLS or name.split(".")[-1] in METHODS) + options
    return []


def _is_on(keyword: ast.keyword) -> bool:
    return keyword.arg in OPTIONS and not (
        isinstance(keyword.value, ast.Constant) and not keyword.value.value
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_file_holds_a_way_to_run_what_it_reads(path):
    assert dangers(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "eval('1')",
        "archive.extractall()",
        "np.load('x', allow_pickle=True)",
        "subprocess.run('ls', shell=True)",
        "AutoTokenizer.from_pretrained(name, trust_remote_code=flag)",
    ],
)
def test_each_of_them_would_be_seen(source):
    assert len(dangers(source)) == 1


def test_what_is_switched_off_is_no_danger():
    assert dangers("np.load('x', allow_pickle=False)\nmodel.eval()\nre.compile('x')") == []
