"""The same seed on the same machine gives the same losses to the bit, in one process and in the next."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def processes() -> list[list[dict]]:
    """What two processes found, each first with one thread and then with two."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    environment.pop("OMP_NUM_THREADS", None)
    environment["OMP_WAIT_POLICY"] = "passive"  # two threads on one busy core would wait for each other
    command = [sys.executable, str(TESTS / "determinism_worker.py")]
    answers = [
        subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        for _ in range(2)
    ]
    for answer in answers:
        assert answer.returncode == 0, answer.stderr
    return [json.loads(answer.stdout) for answer in answers]


@pytest.mark.parametrize("threads", [1, 2])
def test_two_processes_have_the_same_losses_to_the_bit(processes, threads):
    """With one thread and with two; nothing is said of one against two."""
    one, other = (found[threads - 1] for found in processes)
    assert one["threads"] == threads
    assert one == other
    assert len(set(one["losses"])) == 4
