"""Mixtures of models: a counting one and a network as one model, and the weights that suit a text."""

import math

import ngram_by_hand as hand
import numpy as np
import pytest
import torch
from ngram_by_hand import VOCAB_SIZE, arrays

import lmcore
from lmcore.errors import InputError
from lmcore.mixture import best_weights, nats_of_targets

INPUTS = torch.tensor([[2, 8, 7, 8, 5], [8, 8, 3, 2, 4]])
TARGETS = torch.tensor([[8, 7, 8, 5, 8], [8, 3, 2, 4, 0]])


@pytest.fixture(scope="module")
def counting() -> lmcore.NGramLM:
    return lmcore.kneser_ney(arrays(hand.long_text(seed=5, size=300)), VOCAB_SIZE, 3)


@pytest.fixture(scope="module")
def network() -> lmcore.RecurrentLM:
    torch.manual_seed(1)
    return lmcore.RecurrentLM(lmcore.RNNConfig(VOCAB_SIZE, emb_dim=8, emb_std=2.0)).double().eval()


@pytest.fixture
def mixture(counting, network) -> lmcore.InterpolatedLM:
    return lmcore.InterpolatedLM([counting, network], [0.3, 0.7])


@pytest.fixture
def held_out():
    return arrays(hand.long_text(seed=6, size=200))


def batches(documents, batch_size=2, seq_len=7):
    return lmcore.DocumentBatches(documents, 0, batch_size, seq_len)


def nats(model, documents):
    return lmcore.evaluate(model, batches(documents), pad_id=0).total_nats


@torch.no_grad()
def test_probabilities_are_the_weighted_mean(mixture, counting, network):
    logits, _ = mixture(INPUTS)
    wanted = 0.3 * counting(INPUTS)[0].exp() + 0.7 * network(INPUTS)[0].softmax(dim=-1)
    torch.testing.assert_close(logits.exp(), wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(logits.logsumexp(dim=-1), torch.zeros(2, 5).double(), rtol=0, atol=1e-12)


@torch.no_grad()
def test_targets_are_scored_as_the_rows_say(mixture, network, monkeypatch):
    monkeypatch.setattr("lmcore.mixture.rows_at_once", lambda *sizes: 3)  # chunks that do not come out even
    for model in (mixture, network):
        found, _ = nats_of_targets(model, INPUTS, TARGETS)
        wanted = -model(INPUTS)[0].log_softmax(dim=-1).gather(-1, TARGETS[..., None])[..., 0]
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@torch.no_grad()
def test_a_text_may_be_cut_anywhere(mixture):
    whole, _ = mixture(INPUTS)
    nats_whole, _ = mixture.target_nats(INPUTS, TARGETS)
    for cut in range(1, 5):
        first, state = mixture(INPUTS[:, :cut])
        torch.testing.assert_close(torch.cat([first, mixture(INPUTS[:, cut:], state)[0]], dim=1), whole)
        second, _ = mixture.target_nats(INPUTS[:, cut:], TARGETS[:, cut:], state)
        torch.testing.assert_close(second, nats_whole[:, cut:])


def test_a_model_with_all_the_weight_is_alone(counting, network, held_out):
    alone = lmcore.InterpolatedLM([counting, network], [0.0, 1.0])
    assert nats(alone, held_out) == pytest.approx(nats(network, held_out), rel=1e-12)


def test_fitted_weights_are_better_than_all_others(counting, network, held_out):
    fitted = lmcore.fit_mixture([counting, network], batches(held_out), pad_id=0)
    assert fitted.weights.sum() == pytest.approx(1)
    best = nats(fitted, held_out)
    assert best <= min(nats(counting, held_out), nats(network, held_out)) + 1e-6
    for weight in np.linspace(0, 1, 21):
        other = lmcore.InterpolatedLM([counting, network], [float(weight), 1 - float(weight)])
        assert best <= nats(other, held_out) + 1e-6


def test_fitting_depends_on_the_text_and_not_on_its_batches(counting, network, held_out):
    first = lmcore.fit_mixture([counting, network], batches(held_out), pad_id=0)
    again = lmcore.fit_mixture([counting, network], batches(held_out, 7, 64), pad_id=0)
    torch.testing.assert_close(first.weights, again.weights, rtol=0, atol=1e-9)


def test_fitting_switches_dropout_off(counting, held_out):
    config = lmcore.RNNConfig(VOCAB_SIZE, emb_dim=8, emb_std=2.0, dropout=0.5)
    network = lmcore.RecurrentLM(config).train()
    first, again = (
        lmcore.fit_mixture([counting, network], batches(held_out), pad_id=0).weights for _ in range(2)
    )
    assert torch.equal(first, again)
    assert not network.training


def test_weights_by_hand():
    """Of two models each is sure of its own tokens and holds the others nearly impossible."""
    sure, hopeless = -math.log(0.9), 400.0  # exp(-400) is far below the smallest float32
    told = np.array([[sure] * 3 + [hopeless], [hopeless] * 3 + [sure]])
    assert best_weights(told) == pytest.approx([0.75, 0.25])
    assert best_weights(told + 800) == pytest.approx([0.75, 0.25])
    impossible_for_one = np.array([[sure, math.inf], [sure, sure]])
    assert best_weights(impossible_for_one) == pytest.approx([0, 1], abs=1e-3)


def test_a_token_that_no_model_holds_possible_is_told():
    with pytest.raises(InputError, match="1 of 3 tokens have probability 0 under every model"):
        best_weights(np.array([[1.0, math.inf, math.inf], [1.0, 2.0, math.inf]]))


def test_the_mixture_writes(mixture):
    sampling = lmcore.Sampling(max_new_tokens=12, seed=0)
    assert 1 <= len(lmcore.generate_ids(mixture, [2], sampling, eos_id=3)) <= 12


def test_unigram_counts_mix_too(counting, held_out):
    unigram = lmcore.UnigramLM(held_out, VOCAB_SIZE)
    fitted = lmcore.fit_mixture([counting, unigram], batches(held_out), pad_id=0)
    assert nats(fitted, held_out) < min(nats(counting, held_out), nats(unigram, held_out))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "1 weights for 2 models"),
        ([-0.1, 1.1], r"a weight is -0.1; it must be in \[0, 1\]"),
        ([0.5, 0.6], "the weights sum to 1.1; they must sum to 1"),
        ([math.nan, 1.0], "a weight is nan"),
    ],
)
def test_weights_that_are_none_are_refused(counting, network, weights, message):
    with pytest.raises(InputError, match=message):
        lmcore.InterpolatedLM([counting, network], weights)


def test_models_of_different_vocabularies_are_refused(counting, model):
    with pytest.raises(InputError, match=r"vocabularies have \[9, 20\] tokens"):
        lmcore.fit_mixture([counting, model], [], pad_id=0)


def test_no_text_is_no_text_to_fit_to(counting, network):
    with pytest.raises(InputError, match="0 batches"):
        lmcore.fit_mixture([counting, network], [], pad_id=0)
