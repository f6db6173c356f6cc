"""requirements.lock says what requirements.txt says, and pins the content of every file that pip may take."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ["requirements.lock", "requirements-cuda.lock"]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def name_of(line: str) -> str:
    """As the registry compares names: "Jinja2", "jupyter_core" and "jupyter-core" are spelled alike."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=;\[ ]", line)[0]).lower()


def versions(text: str) -> dict[str, str]:
    """Name and version of every line "name==version"."""
    pins = (line for line in text.splitlines() if re.match(r"[A-Za-z0-9][\w.\[\]-]*==", line))
    return {name_of(line): re.split(r"==|[ ;#]", line)[1] for line in pins}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt"])
def test_every_pin_is_in_the_lock_with_the_same_version(name):
    pinned, locked = versions(read(name)), versions(read("requirements.lock"))
    assert len(pinned) > 10
    assert {package: locked.get(package) for package in pinned} == pinned


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_hashes_and_comes_from_the_registry(name):
    text = re.sub(r"#.*\n", "", read(name))
    packages = re.split(r"\n(?=\S)", text.strip())
    assert len(packages) == len(versions(text)) > 10
    for package in packages:
        first, *hashes = [line.removesuffix("\\").strip() for line in package.splitlines()]
        assert re.fullmatch(r"[a-z0-9-]+(\[[a-z,-]+\])?==[\w.]+( ; .*)?", first), first
        assert hashes, first
        assert all(HASH.fullmatch(line) for line in hashes), first


def test_the_two_locks_share_no_package():
    one, other = (set(versions(read(name))) for name in LOCKS)
    assert not one & other
    assert "torch" in one


def test_no_requirement_is_an_address():
    for name in ("requirements.txt", "constraints.txt", "pyproject.toml"):
        assert not re.search(r"git\+|@ *https?:|--(extra-)?index-url|--find-links", read(name)), name
