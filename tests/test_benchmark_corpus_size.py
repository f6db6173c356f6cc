"""The benchmark of corpus sizes: it runs through, and measures its children and not itself."""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import corpus_size


def test_it_runs_through_and_its_own_memory_does_not_count():
    ballast = np.ones(10**9, dtype=np.uint8)  # touched, so that this process really holds it
    record = json.loads(json.dumps(corpus_size.run(quick=True)))
    peaks = [run["peak_bytes"] for run in record["runs"]]
    assert [run["times"] for run in record["runs"]] == [1, 2]
    assert all(run["prepared"] and run["tokens_per_second"] > 0 for run in record["runs"])
    assert 10**8 < min(peaks) <= max(peaks) < ballast.nbytes
    table = corpus_size.table(record)
    assert "0.1 MB" in table
    assert table.splitlines()[2].count("1.000") == 2  # the smallest text, against itself
