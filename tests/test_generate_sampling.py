"""The distribution that the next token is drawn from: temperature, top-k, top-p."""

import math

import pytest
import torch

from lmcore.errors import InputError
from lmcore.generate import Sampling, keep_top_k, keep_top_p, next_token_probs


def kept(logits: torch.Tensor) -> list[int]:
    return (logits > -torch.inf).nonzero().flatten().tolist()


def test_top_p_keeps_the_token_that_crosses_p():
    logits = torch.tensor([0.05, 0.4, 0.25, 0.3]).log()
    for p, expected in [(1e-9, [1]), (0.39, [1]), (0.41, [1, 3]), (0.69, [1, 3]), (0.71, [1, 2, 3])]:
        assert kept(keep_top_p(logits, p)) == expected
    assert kept(keep_top_p(logits, 0.96)) == kept(keep_top_p(logits, 1.0)) == [0, 1, 2, 3]
    assert torch.equal(keep_top_p(logits, 0.5)[[1, 3]], logits[[1, 3]])


def test_top_k_keeps_the_k_largest():
    logits = torch.tensor([0.1, 3.0, -2.0, 1.0])
    assert [kept(keep_top_k(logits, k)) for k in (1, 2, 3, 4, 99)] == [
        [1], [1, 3], [0, 1, 3], [0, 1, 2, 3], [0, 1, 2, 3]
    ]  # fmt: skip
    assert kept(keep_top_k(torch.tensor([1.0, 2.0, 1.0, 0.0]), 2)) == [0, 1, 2]  # a tie at the last place


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_filters_of_transformers(seed):
    from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

    logits = 3 * torch.randn(10, 40, generator=torch.Generator().manual_seed(seed))
    for k in (1, 7, 40):
        assert torch.equal(keep_top_k(logits, k), TopKLogitsWarper(k)(None, logits))
    for p in (0.1, 0.5, 0.9, 0.99):
        assert torch.equal(keep_top_p(logits, p), TopPLogitsWarper(p)(None, logits))


def test_temperature_divides_the_logits_before_the_filters():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    torch.testing.assert_close(
        next_token_probs(logits, Sampling(temperature=0.5)), (2 * logits).softmax(dim=-1)
    )
    hot = next_token_probs(logits, Sampling(temperature=10.0, top_p=0.8))
    assert kept(hot.log()) == [0, 1, 2, 3]  # nearly uniform: all four are needed to reach 0.8
    cold = next_token_probs(logits, Sampling(temperature=0.5, top_p=0.8))
    assert kept(cold.log()) == [0]
    both = next_token_probs(logits, Sampling(top_k=3, top_p=0.9))
    torch.testing.assert_close(both, torch.tensor([2.0, 1, -torch.inf, -torch.inf]).softmax(dim=-1))


@pytest.mark.parametrize("temperature", [0.0, 1e-40, 1e-320])
def test_temperature_zero_is_greedy(temperature):
    logits = torch.randn(5, 9)
    probs = next_token_probs(logits, Sampling(temperature=temperature, top_k=2, top_p=0.5))
    assert torch.equal(probs.argmax(dim=-1), logits.argmax(dim=-1))
    assert torch.equal(probs.sum(dim=-1), torch.ones(5))
    assert torch.equal(probs.amax(dim=-1), torch.ones(5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.5}, r"temperature is -0.5; it must be 0 \(greedy\) or above"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"top_k": 0}, "top_k is 0; it must be at least 1"),
        ({"top_p": 0.0}, r"top_p is 0.0; it must be in \(0, 1\]"),
        ({"top_p": 1.01}, "top_p is 1.01"),
        ({"top_p": math.nan}, "top_p is nan"),
        ({"max_new_tokens": -1}, "max_new_tokens is -1; it must be 0 or above"),
        ({"seed": -1}, r"seed is -1; it must be in \[0, 2\*\*63\)"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Sampling(**settings)
