"""Chapter 7, cross-entropy."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore_exercises.checking import NotYet, exercise, expect, expect_close, result, same


@exercise("7.1")
def score(answer: Callable[[list[float]], tuple[float, float]]) -> None:
    """Nats per token and perplexity of a text, from the probabilities of its tokens; then of a long text."""
    for probabilities in ([1 / 2, 1 / 4, 1 / 8], [0.9, 0.1, 0.4, 0.7]):
        nats, perplexity = _two(result(answer, probabilities), "nats per token, and the perplexity")
        p = torch.tensor(probabilities, dtype=torch.float64)
        right = -p.log().mean()
        wrong_nats = {
            "these are bits. The natural logarithm gives nats.": -p.log2().mean(),
            "the nats are a sum. Divide it by the number of tokens.": -p.log().sum(),
            "nats: first the logarithm of each probability, then the mean.": -p.mean().log(),
            "a loss is not negative: take minus the logarithm.": -right,
        }
        _recognise(nats, wrong_nats)
        expect_close(nats, right, f"for {probabilities} it is not {nats} nats/token.")
        wrong_perplexities = {
            "that is the mean of the tokens' perplexities. Average the losses first.": (1 / p).mean(),
            "that is the reciprocal: a perplexity is a number of choices, at least 1.": (-right).exp(),
            "that is 1 / P of the whole text. A perplexity is per token.": 1 / p.prod(),
            "perplexity: with nats the base is e, not 2.": 2**right,
            "that is 1 over the mean probability. Average the losses.": 1 / p.mean(),
        }
        _recognise(perplexity, wrong_perplexities)
        expect_close(perplexity, right.exp(), f"for {probabilities} the perplexity is not {perplexity}.")
    _score_long_text(answer)


def _score_long_text(answer: Callable) -> None:
    too_small = "for 2,000 tokens the product of probabilities is rounded to 0. Add logarithms instead."
    try:
        got = result(answer, [0.1] * 2000)
    except (ValueError, ZeroDivisionError) as error:  # `math.log(0)`, or 1 / 0
        raise NotYet(too_small) from error
    expect_close(got, [math.log(10), 10], too_small)


@exercise("7.2")
def batch_loss(answer: Callable[[Tensor, Tensor, int], Tensor]) -> None:
    """Nats per real token of a padded batch of unequal rows; padding has another id each time."""
    draws = torch.Generator().manual_seed(0)
    for targets, pad in ([[1, 4, 2], [3, 0, 0]], 0), ([[2, 4, 4], [1, 0, 3]], 4):
        logits, y = torch.randn(2, 3, 5, generator=draws, dtype=torch.float64), torch.tensor(targets)
        got = result(answer, logits, y, pad)
        expect(torch.as_tensor(got).numel() == 1, "one number is asked for: the mean over the batch.")
        each = F.cross_entropy(logits.transpose(1, 2), y, reduction="none")  # (B, T)
        mask = (y != pad).double()
        rows = (each * mask).sum(dim=1) / mask.sum(dim=1)
        mistakes = {
            "padding is scored like real tokens.": each.mean(),
            "padding is out of the sum, and still in the number that you divide by.": (each * mask).mean(),
            "each row has the same weight; each token should have it.": rows.mean(),
            "that is the sum. Divide it by the number of real tokens.": (each * mask).sum(),
        }
        _recognise(got, mistakes | _wrong_logits(logits, y, pad))
        right = (each * mask).sum() / mask.sum()
        expect_close(got, right, f"for targets {targets} and <pad> = {pad} the loss is another one.")


def _wrong_logits(logits: Tensor, y: Tensor, pad: int) -> dict[str, tuple[Tensor, ...]]:
    B, T, V = logits.shape
    mixed, probabilities = logits.reshape(B, V, T), logits.softmax(dim=-1).transpose(1, 2)
    return {
        "positions are mixed: view gives the axes other names, it does not exchange them.": (
            F.cross_entropy(mixed, y, ignore_index=pad),
            F.cross_entropy(mixed, y),
        ),
        "there is a softmax too many: F.cross_entropy wants logits.": (
            F.cross_entropy(probabilities, y, ignore_index=pad),
            F.cross_entropy(probabilities, y),
        ),
    }


@exercise("7.3")
def gradient(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    """The gradient of the mean loss by the logits, as autograd has it; then for large logits."""
    draws = torch.Generator().manual_seed(0)
    z, y = torch.randn(3, 4, generator=draws, dtype=torch.float64), torch.tensor([2, 0, 2])
    got = result(answer, z.clone(), y)
    onehot, p, over_rows = F.one_hot(y, 4), z.softmax(dim=1), z.softmax(dim=0)
    right = (p - onehot) / 3
    mistakes = {
        "the loss is a mean over N predictions, so its gradient is smaller.": p - onehot,
        "the sign is turned round: a step against it would make the truth less likely.": (-right, onehot - p),
        "that is the probability alone. What was true is missing.": (p, p / 3),
        "that is divided by all numbers of the table, not by its rows.": right / 4,
        "the softmax goes over the vocabulary, the last axis.": (
            (over_rows - onehot) / 3,
            over_rows - onehot,
        ),
    }
    _recognise(got, mistakes)
    expect_close(got, right, "autograd gives other numbers. Derive it for one row first.")
    large = torch.tensor([[1000.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    got = result(answer, large, torch.tensor([1]))
    expect_close(got, [[1.0, -1.0, 0.0, 0.0]], "for a logit of 1,000 the exponential overflows.")


@exercise("7.4")
def scaled_loss(answer: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    """The mean loss after all logits were multiplied by a factor, for one above 1 and one below."""
    z = torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 0.5]], dtype=torch.float64)
    y = torch.tensor([2, 1])
    loss = F.cross_entropy(z, y)
    for a in (2.0, 0.5):
        got = result(answer, z.clone(), y, a)
        mistakes = {
            "the factor has no effect.": loss,
            "the loss was scaled. The factor belongs to the logits, before the softmax.": a * loss,
            "the logits were divided by the factor.": F.cross_entropy(z / a, y),
            "the probabilities were scaled: they no longer sum to one.": loss - math.log(a),
            "that is the sum. Take the mean.": F.cross_entropy(a * z, y, reduction="sum"),
        }
        _recognise(got, mistakes)
        expect_close(got, F.cross_entropy(a * z, y), f"for the factor {a} the loss is another one.")


@exercise("7.5")
def per_text(answer: Callable[[float, int, int, int], tuple[float, float]]) -> None:
    """Bits per byte and word perplexity from the loss per token and three counts."""
    for nats, tokens, words, num_bytes in ((3.0, 500, 400, 2000), (2.0, 900, 800, 3000)):
        got = result(answer, nats, tokens, words, num_bytes)
        bits, perplexity = _two(got, "bits per byte, and the word perplexity")
        total, bit = nats * tokens, math.log(2)
        wrong_bits = {
            "these are nats per byte. One bit is ln 2 nats.": total / num_bytes,
            "a bit is less than a nat, so there are more of them.": total * bit / num_bytes,
            "these are bits per token. How many nats is the whole text?": nats / bit,
            "bits: bytes and tokens have changed places.": nats / bit * num_bytes / tokens,
        }
        _recognise(bits, wrong_bits)
        expect_close(bits, total / bit / num_bytes, f"it is not {bits} bits per byte.")
        shared_out = math.exp(nats) * tokens / words
        wrong_perplexities = {
            "that is the perplexity per token.": math.exp(nats),
            "a perplexity cannot be shared out. Share out the nats, then take the exponential.": shared_out,
            "perplexity: words and tokens have changed places.": math.exp(nats * words / tokens),
            "perplexity: with nats the base is e, not 2.": 2 ** (total / words),
        }
        _recognise(perplexity, wrong_perplexities)
        expect_close(perplexity, math.exp(total / words), f"the word perplexity is not {perplexity}.")


def _two(got: tuple, what: str) -> tuple:
    expect(isinstance(got, (tuple, list)) and len(got) == 2, f"return two numbers: {what}.")
    return got


def _recognise(got: Any, mistakes: dict[str, Any]) -> None:
    """NotYet with the message of the mistake that leads to this value; a tuple holds several values."""
    for message, values in mistakes.items():
        for value in values if isinstance(values, tuple) else (values,):
            expect(not same(got, value), message)
