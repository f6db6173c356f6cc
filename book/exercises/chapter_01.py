"""Chapter 1, what a language model is."""

from collections import Counter, defaultdict
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import torch
from torch import Tensor

from lmcore_exercises.checking import exercise, expect, expect_close, result, same

Counts = defaultdict[str, Counter]
SENTENCES = ("the cat sat on the mat", "the dog sat on the rug", "the cat saw the dog")
STEPS = ("the | <bos>", "cat | the", "saw | cat", "the | saw", "rug | the", "<eos> | rug")


@exercise("1.1")
def factors(answer: list[float] | None) -> None:
    """The six conditional probabilities of "the cat saw the rug"."""
    expect(answer is not None, "factors is still None. Put six numbers there, between square brackets.")
    single = isinstance(answer, int | float | Fraction)
    expect(not single, "that is one number. Give the six factors that it is the product of.")
    got = [float(value) if isinstance(value, Fraction) else value for value in answer]
    right = [1, 2 / 6, 1 / 2, 1, 1 / 6, 1]
    different = [1, 1 / 4, 1 / 2, 1, 1 / 4, 1]
    backwards = [1 / 2, 1, 1, 1 / 6, 1, 1 / 3]
    frequencies = [6 / 20, 2 / 20, 1 / 20, 6 / 20, 1 / 20, 3 / 20]
    mistakes = {
        "the end is a factor too: after the last word comes <eos>.": right[:-1],
        "the beginning is a factor too: the first word comes after <bos>.": right[1:],
        'count every "the", not the different words that come after it.': different,
        "the condition is turned round. P(cat | the) asks what comes after, not what came before.": backwards,
        "that is how frequent each word is. Count only the places after the word before it.": frequencies,
    }
    for message, values in mistakes.items():
        expect(not same(got, values), message)
    expect(len(got) == len(STEPS), f"there should be {len(STEPS)} numbers, and there are {len(got)}.")
    for step, value, wanted in zip(STEPS, got, right, strict=True):
        expect(same(value, wanted), f"look at P({step}) again: it is not {value}.")


@exercise("1.2")
def share_finished(answer: Callable[[Counts, int], float]) -> None:
    """Sentences of at most n words: of "a", "a a", "a a a" ..., and of the chapter's three sentences."""
    got = result(answer, counted("a", "a a"), 3)  # of k words: 2/3 times 1/3 to the power of k - 1
    mistakes = {
        "a sentence of n words takes n + 1 steps: the last one leads to <eos>.": 8 / 9,
        "the longest sentences that you counted have n + 1 words.": 80 / 81,
        "that is the probability of exactly n words. Add the shorter sentences.": 2 / 27,
        "that is what is not finished yet.": 1 / 27,
        "all words that may follow got the same share. A share goes by the counts.": 7 / 8,
        "the sum is above 1. Each word passes on only the probability that had arrived at it.": 2,
    }
    for message, value in mistakes.items():
        expect(not same(_plain(got), value), message)
    expect_close(_plain(got), 26 / 27, 'counted from "a" and "a a", and with n = 3, it is another number.')
    for n, wanted in ((0, 0), (2, 1 / 2), (5, 7 / 12), (9, 59 / 72)):
        got = result(answer, counted(*SENTENCES), n)
        expect_close(
            _plain(got), wanted, f"for the chapter's three sentences and n = {n} it is another number."
        )


@exercise("1.3")
def surprise(answer: Callable[[Tensor], Tensor]) -> None:
    """Minus the sum of the logarithms, for a short text and for one whose product is zero to a computer."""
    p = torch.tensor([0.5, 0.25, 0.125])
    got = result(answer, p)
    right = -p.log().sum()
    mistakes = {
        "the sign is turned round: the less likely a text, the larger its surprise.": -right,
        "that is in bits (logarithms to the base 2), and nats were asked for.": -p.log2().sum(),
        "that is with logarithms to the base 10. Nats go with the natural logarithm.": -p.log10().sum(),
        "that is the mean per token. Asked for is the surprise of the whole text.": right / 3,
        "that is the probability of the text. Its surprise is minus the logarithm of it.": p.prod(),
        "that is one surprise per token. Asked for is one number.": -p.log(),
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(got, right, "for the probabilities 1/2, 1/4 and 1/8 it is another number.")
    got = torch.as_tensor(result(answer, torch.full((2000,), 0.5, dtype=torch.float64)))
    message = "for 2,000 tokens it is not finite: their product is zero to the computer. Avoid the product."
    expect(got.isfinite().all(), message)
    expect_close(
        got, 2000 * torch.tensor(2.0).log(), "for 2,000 tokens of probability 1/2 it is another number."
    )


@exercise("1.4")
def posterior(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Three candidates of which the sound decides, and two that are most unlikely."""
    p, fit = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.1, 0.4, 0.2])
    got = result(answer, p.log(), fit.log())
    negative = (torch.as_tensor(got) < 0).any()
    expect(not negative, "these are still logarithms: a probability is never negative.")
    mistakes = {
        "the sound has no part in it.": p,
        "the language model has no part in it.": fit / fit.sum(),
        "these are the products. One candidate was said: they must sum to one.": p * fit,
        "logarithms were multiplied. The logarithm of a product is a sum.": (p.log() * fit.log()).softmax(0),
        "that is the mean of two distributions. The rule has a product.": (p + fit / fit.sum()) / 2,
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(got, [0.25, 0.5, 0.25], "for three candidates the probabilities are others.")
    got = result(answer, torch.tensor([-800.0, -802.0]), torch.tensor([-11.0, -10.0]))
    message = "for logarithms near -800 it is not a number: exp gives zero for all. Move them up before exp."
    expect(torch.as_tensor(got).isfinite().all(), message)
    expect_close(
        got, torch.tensor([1.0, 0.0]).softmax(0), "for logarithms near -800 the probabilities are others."
    )


def counted(*sentences: str) -> Counts:
    """``follows`` as in the chapter."""
    follows = defaultdict(Counter)
    for sentence in sentences:
        words = ["<bos>", *sentence.split(), "<eos>"]
        for before, word in pairwise(words):
            follows[before][word] += 1
    return follows


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Fraction) else value
