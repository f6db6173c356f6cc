"""The benchmark of output layers: its step taken apart is the whole step, and it runs through."""

import itertools
import json
import sys
from pathlib import Path

import pytest
import torch

import lmcore
from lmcore.step import make_optimizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import outputs, vocabulary


@pytest.fixture
def log_probs(bpe, documents):
    return lmcore.UnigramLM(bpe.encode_documents(documents), bpe.vocab_size).log_probs


@pytest.fixture
def batches(bpe, documents):
    return lmcore.StreamBatches(bpe.encode_documents(documents), batch_size=2, seq_len=8)


def plain_steps(name, log_probs, batches) -> lmcore.RecurrentLM:
    """Two steps in one piece, by autograd alone."""
    model = outputs.make_model(name, log_probs).train()
    optimizer = make_optimizer(model, lmcore.TrainConfig(max_steps=1))
    torch.manual_seed(0)  # for the sampled layer
    state = None
    for _, batch in zip(range(2), batches.epoch(0), strict=False):
        nats, count, state = lmcore.next_token_nats(model, batch.inputs, batch.targets, 0, state)
        optimizer.zero_grad()
        (nats / count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state = [h.detach() for h in state]
    return model


@pytest.mark.parametrize("name", outputs.VARIANTS)
def test_a_step_in_pieces_is_the_whole_step(name, log_probs, batches):
    stepper = outputs.Stepper(name, log_probs, batches)
    torch.manual_seed(0)
    pieces = [stepper.step() for _ in range(2)]
    model = plain_steps(name, log_probs, batches)
    assert all(set(entry) == set(outputs.PIECES) and min(entry.values()) > 0 for entry in pieces)
    expected = dict(model.named_parameters())
    for key, found in stepper.model.named_parameters():
        torch.testing.assert_close(found, expected[key], atol=1e-6, rtol=1e-4)


def test_variants_differ_in_the_output_layer_only(log_probs):
    models = {name: outputs.make_model(name, log_probs) for name in outputs.VARIANTS}
    first, *others = models.values()
    for model in others:
        for one, other in zip(first.layers.parameters(), model.layers.parameters(), strict=True):
            assert torch.equal(one, other)
    tied = models["chunked, tied"]
    assert tied.output.weight is tied.embedding.weight
    assert models["sampled 256"].output.negatives == 256
    hidden, targets = torch.randn(5, outputs.EMB_DIM), torch.randint(len(log_probs), (5,))
    whole, chunked = (models[name].nats(hidden, targets) for name in ("whole logits", "chunked"))
    torch.testing.assert_close(whole, chunked)


def test_it_runs_through_and_prints_its_tables(monkeypatch):
    def here(function, **arguments):
        return getattr(vocabulary, function.split(":")[1])(**arguments), vocabulary.peak_bytes()

    monkeypatch.setattr(vocabulary, "in_child", here)  # a new process takes seconds to start
    # This process had its peak long ago, and the kernel's own count is exact to some pages only.
    monkeypatch.setattr(vocabulary, "peak_bytes", itertools.count(1).__next__)
    record = json.loads(json.dumps(vocabulary.run(quick=True)))
    assert record["quick"]
    assert [entry["variant"] for entry in record["steps"]] == list(outputs.VARIANTS)
    assert [entry["variant"] for entry in record["same_seconds"]] == list(outputs.VARIANTS)
    assert {entry["steps"] for entry in record["same_steps"]} == {vocabulary.QUICK.budget_steps}
    for entry in record["steps"]:
        assert len(entry["seconds"]) == vocabulary.QUICK.rounds
        assert all(len(times) == vocabulary.QUICK.rounds for times in entry["pieces"].values())
        assert entry["peak_bytes"] > entry["before_bytes"] > 0
    table = vocabulary.table(record)
    assert all(table.count(name) >= 2 for name in outputs.VARIANTS)
    assert "unigram" in table
