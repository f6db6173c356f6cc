"""What committed records have to reach.

Speed is measured by benchmarks/, once, on a machine without other work; here only its records are read.
"""

import json
from statistics import median

import pytest

import lmcore


def record(name: str) -> dict:
    return json.loads(lmcore.committed(f"benchmarks/{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", record("playground")["models"])
def test_the_playground_is_ready_and_writes_soon(name):
    rounds = record("playground")["models"][name]["rounds"]
    assert median(entry["ready_seconds"] for entry in rounds) <= 2
    assert median(entry["seconds"] for entry in rounds if entry["tokens"] == 200) <= 1
