"""The benchmark of counting models runs through, and its sums are the evaluator's."""

import itertools
import json
import sys
from pathlib import Path

import pytest
import torch

import lmcore

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import __main__ as command
from benchmarks import ngrams


@pytest.fixture
def record(monkeypatch):
    def here(function, **arguments):
        return getattr(ngrams, function.split(":")[1])(**arguments), 0

    monkeypatch.setattr(ngrams, "in_child", here)  # a new process takes seconds to start
    monkeypatch.setattr(ngrams, "peak_bytes", itertools.count(1).__next__)  # this one's is long past
    return json.loads(json.dumps(ngrams.run(quick=True)))


def find(record, smoothing, order):
    (found,) = (m for m in record["models"] if (m["smoothing"], m["order"]) == (smoothing, order))
    return found


def test_it_runs_through_and_prints_its_table(record):
    assert "ngrams" in command.NAMES
    assert len(record["models"]) == len(ngrams.SMOOTHINGS) * len(ngrams.QUICK_ORDERS)
    assert all(found["peak_bytes"] > found["before_bytes"] for found in record["models"])
    table = ngrams.table(record)
    assert table.count("infinite") == 2 * sum(m["impossible"] > 0 for m in record["models"]) > 0
    assert f"{find(record, 'kneser-ney', 2)['bits_per_byte']:.3f}" in table


def test_the_context_helps_where_smoothing_is_good(record):
    bits = {
        (smoothing, order): find(record, smoothing, order)["bits_per_byte"]
        for smoothing in ("laplace", "kneser-ney")
        for order in ngrams.QUICK_ORDERS
    }
    assert bits["kneser-ney", 2] < bits["kneser-ney", 1]
    assert bits["kneser-ney", 2] < bits["laplace", 2]
    assert find(record, "maximum likelihood", 2)["bits_per_byte"] is None


def test_sums_are_those_of_the_evaluator(bpe, documents):
    train, held_out = (bpe.encode_documents(part) for part in (documents[:25], documents[25:]))
    model = lmcore.kneser_ney(train, bpe.vocab_size, 2)
    found, impossible = ngrams.score(model, lmcore.Tokens.of(held_out), bpe.token_bytes())
    batches = lmcore.DocumentBatches(held_out, bpe.pad_id)
    wanted = lmcore.evaluate(model, batches, bpe.pad_id, bpe.token_bytes(), bpe.unk_id)
    assert impossible == 0
    assert found.num_tokens == wanted.num_tokens
    assert found.bits_per_byte == pytest.approx(wanted.bits_per_byte, rel=1e-12)
    hard = lmcore.maximum_likelihood(train, bpe.vocab_size, 3)
    found, impossible = ngrams.score(hard, lmcore.Tokens.of(held_out), bpe.token_bytes())
    assert 0 < impossible < found.num_tokens
    assert not torch.tensor(found.total_nats).isfinite()
