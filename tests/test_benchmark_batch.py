"""The benchmark of batches runs through, and its rates are those of what it did."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import batch


def test_it_runs_through():
    record = json.loads(json.dumps(batch.run(quick=True)))
    assert len(record["models"]) == len(batch.make_models(batch.QUICK.shrink)) * len(batch.WAYS)
    assert all(entry["same_texts"] == 2 for entry in record["models"])
    for entry in record["models"]:
        assert entry["model"] in batch.table(record)


def test_prompts_have_unequal_lengths():
    prompts = batch.make_prompts(batch.Sizes(), 8192)
    assert sorted({len(prompt) for prompt in prompts}) == list(range(2, 33))
    assert len(prompts) == 64
    assert prompts == batch.make_prompts(batch.Sizes(), 8192)


def test_rates_count_every_token():
    settings = {"alone": 2, "prompts": 64, "new_tokens": 10}
    entry = {"model": "m", "way": "w", "seconds": {"alone": [4.0, 2.0, 4.0], "together": [8.0, 16.0, 16.0]}}
    entry["same_texts"] = 2
    assert batch.rates(entry, settings) == {"alone": [5.0, 10.0, 5.0], "together": [80.0, 40.0, 40.0]}
    shown = batch.table({"settings": settings, "models": [entry]}).splitlines()[-1]
    assert shown.split() == ["m,", "w", "5", "(5..10)", "40", "(40..80)", "8.0", "2", "of", "2"]
    with pytest.raises(KeyError):
        batch.rates({"seconds": {"alone": [1.0]}}, settings)
