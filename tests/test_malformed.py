"""The book's page of error messages is what lmcore says today, in a process as a reader has one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lmcore

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "tests" / "malformed" / "page.py"
PAGE = ROOT / "book" / "reference_errors.md"


@pytest.fixture(scope="module")
def provoked() -> str:
    """The page as it would be written now."""
    environment = {**os.environ, "PYTHONPATH": str(Path(lmcore.__file__).parents[1])}
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8")


def cases(page: str) -> list[list[str]]:
    """What is wrong, what shows it, the message: of every row of three."""
    rows = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in page.splitlines() if line[:2] == "| "]
    return [row for row in rows if len(row) == 3 and row[1].startswith("`")]


def test_the_page_says_what_lmcore_says(provoked):
    assert PAGE.read_text(encoding="utf-8") == provoked, "run: make errors"


def test_it_has_cases_of_every_kind(provoked):
    found = cases(provoked)
    assert len(found) >= 60
    assert len({shown for _, shown, _ in found}) == len(found)
    for command in ("train", "evaluate", "generate", "export", "runs"):
        assert any(shown.startswith(f"`python -m lmcore {command} ") for _, shown, _ in found)
    assert sum(not shown.startswith("`python -m") for _, shown, _ in found) >= 20


def test_no_message_shows_the_inside_of_the_program(provoked):
    for _, shown, message in cases(provoked):
        for inside in ("Traceback", "NoneType", "object is not", "__init__", "unexpected keyword", "Error("):
            assert inside not in message, f"{shown}: {message}"
        assert len(message) <= 400, f"{shown}: {message}"
