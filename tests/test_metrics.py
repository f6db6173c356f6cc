"""Nats, perplexity and bits per byte: weighted by token, whatever the shape of the batches."""

import math
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from lmcore import metrics
from lmcore.data import Batch, DocumentBatches, shift
from lmcore.loss import next_token_nats
from lmcore.metrics import Evaluation, evaluate
from lmcore.rnn import RecurrentLM, RNNConfig
from lmcore.tokenizer import train_char


class Uniform(nn.Module):
    """Every token equally likely, always."""

    def __init__(self, vocab_size: int):
        super().__init__()
        self.vocab_size = vocab_size

    def forward(self, tokens, state=None):
        assert not torch.is_grad_enabled()  # or the graph of a whole corpus would stay in memory
        return torch.zeros(*tokens.shape, self.vocab_size), None


@pytest.fixture
def trained_like(char) -> RecurrentLM:
    """A float64 model far enough from its start that what it has read matters."""
    model = RecurrentLM(RNNConfig(vocab_size=char.vocab_size, emb_dim=8)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


@pytest.mark.parametrize("vocab_size", [2, 50, 1000])
def test_uniform_model_has_perplexity_v(vocab_size):
    ids = [np.array([0, 1, 1, 1, 1]), np.array([0, 1, 1])]
    result = evaluate(Uniform(vocab_size), DocumentBatches(ids, pad_id=0), pad_id=0)
    assert result.perplexity == pytest.approx(vocab_size, rel=1e-5)
    assert result.num_tokens == 6


def test_batch_size_and_seq_len_change_nothing(trained_like, char, documents):
    ids = char.encode_documents(documents[:7])
    shapes = [(1, 1000), (1, 1), (3, 7), (7, 32), (16, 256)]
    results = [
        evaluate(trained_like, DocumentBatches(ids, char.pad_id, *shape), char.pad_id, char.token_bytes())
        for shape in shapes
    ]
    for result in results:
        assert result.total_nats == pytest.approx(results[0].total_nats, abs=1e-9)
        assert result.num_tokens == sum(len(document) - 1 for document in ids)
        assert result.num_bytes == sum(len(text.encode()) for text in documents[:7])


def test_equals_the_probability_of_each_document_read_alone(trained_like, char, documents):
    total = 0.0
    for document in char.encode_documents(documents[:5]):
        row = torch.from_numpy(document).long()[None]
        log_probs = trained_like(row[:, :-1])[0].log_softmax(dim=-1)
        total -= log_probs.gather(2, row[:, 1:, None]).sum().item()
    batches = DocumentBatches(char.encode_documents(documents[:5]), char.pad_id, 2, 10)
    assert evaluate(trained_like, batches, char.pad_id).total_nats == pytest.approx(total, abs=1e-9)


def test_every_token_weighs_the_same(trained_like, char, documents):
    ids = char.encode_documents([documents[0], documents[1][:5]])
    batches = list(DocumentBatches(ids, char.pad_id, batch_size=1, seq_len=40))
    result = evaluate(trained_like, batches, char.pad_id)
    nats, counts, state = [], [], None
    for batch in batches:
        state = state if batch.carries_state else None
        batch_nats, count, state = next_token_nats(
            trained_like, batch.inputs, batch.targets, char.pad_id, state
        )
        nats.append(batch_nats.item())
        counts.append(count)
    assert len(set(counts)) > 1
    assert result.perplexity == pytest.approx(math.exp(sum(nats) / sum(counts)), rel=1e-12)
    mean_of_means = np.mean([n / c for n, c in zip(nats, counts, strict=True)])
    mean_of_perplexities = np.mean([math.exp(n / c) for n, c in zip(nats, counts, strict=True)])
    assert result.nats_per_token != pytest.approx(mean_of_means, rel=1e-3)
    assert result.perplexity != pytest.approx(mean_of_perplexities, rel=1e-3)


def test_the_mean_of_per_batch_perplexities_is_larger_and_not_returned(trained_like, char, documents):
    """exp is convex (Jensen's inequality), so with batches of one size the mean of exps is the larger."""
    rows = np.concatenate(char.encode_documents(documents))[: 12 * 25].reshape(12, 25)
    batches = [shift(row[None], carries_state=False) for row in rows]
    result = evaluate(trained_like, batches, char.pad_id)
    perplexities = [evaluate(trained_like, [batch], char.pad_id).perplexity for batch in batches]
    assert result.perplexity < 0.99 * np.mean(perplexities)
    assert result.perplexity == pytest.approx(math.exp(np.mean(np.log(perplexities))), rel=1e-9)


def test_state_is_carried_only_where_the_batch_says_so(model):
    ids = torch.randint(1, 20, (1, 12))
    first, second = ids[:, :6], ids[:, 6:]

    def nats(carries_state: bool) -> float:
        batches = [
            Batch(first[:, :-1], first[:, 1:], False),
            Batch(second[:, :-1], second[:, 1:], carries_state),
        ]
        return evaluate(model, batches, pad_id=0).total_nats

    alone = sum(
        next_token_nats(model, part[:, :-1], part[:, 1:], pad_id=0)[0].item() for part in (first, second)
    )
    assert nats(False) == pytest.approx(alone, abs=1e-12)
    assert nats(True) != pytest.approx(alone, abs=1e-6)


def test_units():
    result = Evaluation(total_nats=8 * math.log(2) * 3, num_tokens=4, num_bytes=6)
    assert result.nats_per_token == pytest.approx(6 * math.log(2))
    assert result.perplexity == pytest.approx(64)
    assert result.bits_per_byte == pytest.approx(4)
    assert str(result) == "4.159 nats/token, perplexity 64.0, 4.000 bits/byte over 4 tokens"
    assert "unknown bits/byte" in str(Evaluation(1.0, 1, None))


def test_a_diverged_model_has_infinite_perplexity():
    assert Evaluation(total_nats=1e6, num_tokens=1, num_bytes=None).perplexity == math.inf
    assert Evaluation(total_nats=699.0, num_tokens=1, num_bytes=None).perplexity < math.inf


def test_no_bits_per_byte_where_a_target_is_unknown(documents):
    char = train_char([documents[0]])
    model = Uniform(char.vocab_size)

    def bits(text: str, **more) -> float | None:
        batches = DocumentBatches(char.encode_documents([text]), char.pad_id)
        return evaluate(model, batches, char.pad_id, **more).bits_per_byte

    known = {"token_bytes": char.token_bytes(), "unk_id": char.unk_id}
    seen = documents[0][:20]
    nats = 21 * math.log(char.vocab_size)  # 20 characters and <eos>
    assert bits(seen, **known) == pytest.approx(nats / math.log(2) / len(seen.encode()), rel=1e-5)
    assert bits(seen + "ÿ", **known) is None
    assert bits(seen) is None


def test_bytes_are_those_of_the_predicted_tokens():
    batches = DocumentBatches([np.array([4, 1, 2, 3]), np.array([4, 2])], pad_id=0)
    result = evaluate(Uniform(5), batches, pad_id=0, token_bytes=np.array([0, 1, 10, 100, 1000]))
    assert result.num_bytes == 1 + 10 + 100 + 10


@pytest.mark.parametrize("training", [True, False])
def test_the_model_s_mode_is_restored_and_dropout_is_off_meanwhile(training):
    model = RecurrentLM(RNNConfig(vocab_size=20, emb_dim=8, dropout=0.5)).train(training)
    batches = DocumentBatches([np.arange(1, 20)], pad_id=0)
    results = [evaluate(model, batches, pad_id=0) for _ in range(2)]
    assert results[0] == results[1]
    assert results[0].by_position == ()
    assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_nothing_is_kept_per_batch(model, monkeypatch):
    """A small tensor kept for each batch keeps freed buffers apart: 16 MiB a batch, once."""
    rows = torch.randint(2, 20, (4, 7))
    batches = [shift(rows.numpy(), carries_state=False)] * 5
    score, alive = metrics.next_token_nats, []

    def watch(*arguments):
        assert sum(reference() is not None for reference in alive) <= 1  # the last one's name is still bound
        nats, count, state = score(*arguments)
        alive.append(weakref.ref(nats))
        return nats, count, state

    monkeypatch.setattr(metrics, "next_token_nats", watch)
    metrics.evaluate(model, batches, pad_id=0)
    assert len(alive) == 5
