"""Chapter 10, generation and temperature."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore_exercises.checking import NotYet, exercise, expect, expect_close, result, same

# next-token probabilities: one model that is sure, one that is not, and one whose best tokens come late
PROBABILITIES = [[0.95, 0.03, 0.01, 0.007, 0.003], [0.4, 0.3, 0.15, 0.1, 0.05], [0.05, 0.35, 0.2, 0.1, 0.3]]
LOGITS = torch.tensor(PROBABILITIES).log() + torch.tensor([[3.0], [-1.0], [0.5]])
TOP_P = 0.8


@exercise("10.1")
def temperature_for(answer: Callable[[float, float], float]) -> None:
    """d / ln(odds)."""
    for d, odds in ((2.0, 9.0), (0.5, 4.0)):
        got = result(answer, d, odds)
        mistakes = {
            "that is 1 / T. The difference of the logits is divided by T.": math.log(odds) / d,
            "a difference of logits is no ratio of probabilities yet: take a logarithm.": d / odds,
            "take the natural logarithm: the softmax has powers of e, not of 10.": d / math.log10(odds),
            "take the natural logarithm: the softmax has powers of e, not of 2.": d / math.log2(odds),
            "a temperature is positive. Which of the two tokens is the better one?": -d / math.log(odds),
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, d / math.log(odds), f"for d = {d} and odds {odds} it is not {got}.")


@exercise("10.2")
def entropy_slope(answer: Callable[[Tensor, float], Any]) -> None:
    """Var(z) / T^3, the variance under the distribution at temperature T."""
    for logits, T in (([2.0, 1.0, 0.0, -1.0], 0.7), ([0.5, 3.0, -2.0], 2.0)):
        z = torch.tensor(logits, dtype=torch.float64)
        got = result(answer, z.clone(), T)
        p = (z / T).softmax(0)
        variance = _variance(z, p)
        mistakes = {
            "the sign: a higher temperature spreads the probabilities.": -variance / T**3,
            "that is the derivative by b = 1 / T. The chain rule has one more factor.": -variance / T,
            "that is the derivative by b = 1 / T but for its sign. Use the chain rule.": variance / T,
            "a factor 1 / T is missing: b stands before the variance, too.": variance / T**2,
            "the variance is there; the powers of T are missing.": variance,
            "the variance is that under p: likely tokens count more.": z.var(correction=0) / T**3,
            "the variance is that under p, no estimate from a sample.": z.var() / T**3,
            "p is the distribution at temperature T, not at 1.": _variance(z, z.softmax(0)) / T**3,
            "the mean of the squares is no variance yet.": (p * z * z).sum() / T**3,
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(
            got, variance / T**3, f"for the logits {logits} and T = {T} it is {variance / T**3:.4f}."
        )


def _variance(z: Tensor, p: Tensor) -> Tensor:
    return (p * z * z).sum() - (p * z).sum() ** 2


@exercise("10.3")
def tokens_kept(answer: Callable[[Tensor, float, float, bool], Tensor]) -> None:
    """The size of the nucleus of logits / T, or of the logits themselves."""
    for T in (0.5, 2.0):
        pair = [result(answer, LOGITS.clone(), T, TOP_P, cut_first) for cut_first in (False, True)]
        for got, logits in zip(pair, (LOGITS / T, LOGITS), strict=True):
            expect(torch.as_tensor(got).shape != (), "that is one number for all rows. Count in each row.")
            probs = logits.softmax(dim=-1)
            dropped = (_sorted(probs).cumsum(dim=-1) <= TOP_P).sum(dim=-1)
            expect(not same(got, dropped), "the token that crosses p is missing. It stays.")
            unsorted = _number_needed(probs)
            expect(not same(got, unsorted), "add up from the likeliest token down, not in the order of ids.")
        after, before = (_number_needed(_sorted(x.softmax(dim=-1))) for x in (LOGITS / T, LOGITS))
        expect(not same(pair[0], pair[1]), "cut_first changes nothing. What does the cut see in each case?")
        swapped = same(pair[0], before) and same(pair[1], after)
        expect(not swapped, "the two cases are swapped.")
        times = _number_needed(_sorted((LOGITS * T).softmax(dim=-1)))
        expect(not same(pair[0], times), "logits are divided by the temperature.")
        expect_close(pair[0], after, f"with T = {T} and the cut after it, other numbers of tokens stay.")
        expect_close(pair[1], before, f"with T = {T} and the cut before it, other numbers of tokens stay.")


def _sorted(probs: Tensor) -> Tensor:
    return probs.sort(dim=-1, descending=True).values


def _number_needed(probs: Tensor) -> Tensor:
    """How many tokens have less than p before them, in the order in which they are given."""
    return (probs.cumsum(dim=-1) - probs < TOP_P).sum(dim=-1)


class _Toy:
    """A model of 11 tokens: the next one follows from all that was read. It notes what it is fed."""

    def __init__(self):
        self.reads: list[tuple[tuple, tuple]] = []  # tokens, and what the state had read before them

    def __call__(self, tokens: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        if not isinstance(tokens, Tensor) or tokens.ndim != 2 or len(tokens) != 1:
            raise NotYet("the model takes a tensor of ids of shape (1, T): one text, T tokens.")
        before = () if state is None else state
        if not isinstance(before, tuple):
            raise NotYet("hand the state on as the model returned it.")
        new = tuple(int(token) for token in tokens[0])
        self.reads.append((new, before))
        following = [self.next_after(before + new[: i + 1]) for i in range(len(new))]
        return F.one_hot(torch.tensor(following), 11).float()[None], before + new

    @staticmethod
    def next_after(read: tuple) -> int:
        total = 0
        for token in read:
            total = (3 * total + token + 1) % 11
        return total


@exercise("10.4")
def go_on(answer: Callable[[Any, Any, int, int], tuple[list[int], Any]]) -> None:
    """Every read is one token on top of the state before; the last new id has not been read."""
    for prompt, last_id, n in (((2, 5), 4, 3), ((7,), 1, 4)):
        model, right = _Toy(), []
        for _ in range(n):
            right.append(_Toy.next_after((*prompt, last_id, *right)))
        value = result(answer, model, prompt, last_id, n)
        if not (isinstance(value, (tuple, list)) and len(value) == 2):
            raise NotYet("return two things: the list of new ids, and the state.")
        _check_reads(model.reads, prompt, last_id)
        ids, state = [int(token) for token in value[0]], value[1]
        expect(ids[:1] != [last_id], "last_id belongs to the text that is there. Return the new ids alone.")
        expect(len(ids) == n, f"{n} new ids were asked for, and {len(ids)} came.")
        expect(ids == right, "these ids are not the likeliest ones. The last position tells what comes next.")
        twice = (*prompt, last_id, *right)
        expect(state != twice, "the state has read the last new id. The next call would feed that id again.")
        expect(state == twice[:-1], "return the state that has read everything but the last new id.")


def _check_reads(reads: list[tuple[tuple, tuple]], prompt: tuple, last_id: int) -> None:
    expect(reads, "the model was not asked.")
    tokens, before = reads[0]
    expect(before == prompt, "the first step leaves out the state that was handed in: the text is forgotten.")
    expect(tokens == (last_id,), "the first step must feed last_id, and nothing else: no one has fed it yet.")
    alone = all(len(tokens) == 1 for tokens, _ in reads)
    expect(alone, "a step feeds tokens that the state has read already. Feed only the newest one.")
    for (tokens, earlier), (_, later) in itertools.pairwise(reads):
        expect(
            later == earlier + tokens, "a step does not go on from the state that the one before returned."
        )
