"""Damaged files by the thousand: no loader runs them, hangs, fails otherwise, or gives a wrong model.

Each program of tests/fuzz runs in a process of its own, without the type checks of conftest.py: a reader of
the book has none, and they would turn away what only lmcore must.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import lmcore

FOLDER = Path(__file__).parent / "fuzz"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processor time is limited by a POSIX timer")


def counts(program: str, *options: str) -> Counter[str]:
    """How the readings of one program ended; fails with what went wrong."""
    environment = {**os.environ, "PYTHONPATH": str(Path(lmcore.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", str(FOLDER / program), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["failures"] == []
    return Counter(result["counts"])


def test_damaged_checkpoints_are_refused_or_give_the_very_same_model():
    found = counts("checkpoints.py", "--count", "14000", "--everywhere")  # a quarter of them signed again
    assert set(found) == {"refused", "equal"}
    assert found["refused"] > 15_000
    assert found["equal"] > 200  # damage that changes nothing, and models of somebody who signed again


def test_damaged_snapshots_are_refused_or_give_the_very_same_tensors():
    found = counts("snapshots.py", "--count", "5000", "--everywhere")
    assert set(found) == {"refused", "equal"}
    assert found["refused"] > 6_000
    assert found["equal"] > 50


def test_readers_of_every_kind_of_file_refuse_what_they_cannot_read():
    found = counts("loaders.py")
    assert set(found) == {"refused", "equal"}
    assert min(found.values()) > 500
