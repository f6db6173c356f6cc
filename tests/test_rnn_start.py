"""An untrained RecurrentLM: its size, its numbers, where its loss stands, and that it can learn."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from lmcore.data import shift
from lmcore.errors import InputError
from lmcore.loss import next_token_nats
from lmcore.ngram import UnigramLM
from lmcore.rnn import RecurrentLM, RNNConfig


def test_number_of_parameters():
    reference = RNNConfig(vocab_size=32_011, emb_dim=128, num_layers=2, cell="elman")
    assert RecurrentLM(reference).num_parameters == 8_292_619
    tied = RecurrentLM(dataclasses.replace(reference, vocab_size=1000, tie_weights=True))
    assert tied.num_parameters == 1000 * 128 + 2 * (2 * 128 * 128 + 128) + 1000


@pytest.mark.parametrize("tie_weights", [False, True])
def test_start(tie_weights):
    model = RecurrentLM(RNNConfig(vocab_size=300, emb_dim=32, pad_id=7, tie_weights=tie_weights))
    bound = (6 / (300 + 32)) ** 0.5
    for matrix in (model.embedding.weight, model.output.weight):
        assert 0.97 * bound < matrix.abs().max() <= bound
    assert model.embedding.weight[7].count_nonzero() == 0
    assert model.embedding.weight[6].count_nonzero() == 32
    assert model.output.bias.count_nonzero() == 0
    assert all(layer.b.count_nonzero() == 0 for layer in model.layers)


def nats_per_token(model: nn.Module, ids: torch.Tensor) -> float:
    nats, count, _ = next_token_nats(model, ids[:, :-1], ids[:, 1:], pad_id=0)
    return nats.item() / count


@pytest.mark.parametrize("tie_weights", [False, True])
def test_untrained_model_stands_at_ln_v(tie_weights):
    model = RecurrentLM(RNNConfig(vocab_size=500, emb_dim=32, tie_weights=tie_weights))
    ids = torch.randint(1, 500, (8, 60))
    assert nats_per_token(model, ids) == pytest.approx(math.log(500), abs=0.1)


def test_start_from_frequencies_stands_at_the_unigram_level(bpe, documents):
    ids = bpe.encode_documents(documents)
    unigram = UnigramLM(ids, bpe.vocab_size)
    model = RecurrentLM(RNNConfig(vocab_size=bpe.vocab_size, emb_dim=32))
    model.start_from_frequencies(unigram.log_probs)
    row = torch.cat([torch.from_numpy(document) for document in ids]).long()[None]
    level = nats_per_token(unigram, row)
    assert level < math.log(bpe.vocab_size) - 0.5
    assert nats_per_token(model, row) == pytest.approx(level, abs=0.1)


def test_one_batch_can_be_learnt_by_heart(char, documents):
    rows = torch.tensor([char.encode(text)[:25] for text in documents[:4]]).numpy()
    batch = shift(rows, carries_state=False)
    model = RecurrentLM(RNNConfig(vocab_size=char.vocab_size, emb_dim=48))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        nats, count, _ = next_token_nats(model, batch.inputs, batch.targets, char.pad_id)
        optimizer.zero_grad()
        (nats / count).backward()
        optimizer.step()
    # the first character of each row is given; four rows are told apart by it or soon after
    assert nats.item() / count < 0.05


def test_the_embedding_can_start_wider():
    model = RecurrentLM(RNNConfig(vocab_size=2000, emb_dim=32, emb_std=0.4))
    assert model.embedding.weight.std().item() == pytest.approx(0.4, rel=0.02)
    assert model.embedding.weight[0].count_nonzero() == 0
    assert model.output.weight.abs().max() < 0.1


@pytest.mark.parametrize("std", [0.0, -1.0, math.inf, math.nan])
def test_an_embedding_start_that_is_no_width_is_refused(std):
    with pytest.raises(InputError, match=r"emb_std is .*; it must be above 0"):
        RNNConfig(vocab_size=10, emb_std=std)
