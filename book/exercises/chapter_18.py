"""Chapter 18, the Transformer."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmcore_exercises.checking import exercise, expect, expect_close, result, same

PLACES = (  # a query (d,), the keys (S, d) and the values (S, dv) of the places that it may see
    (
        torch.tensor([1.0, 2.0, 0.0, -1.0]),
        torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, -1.0, 1.0, 1.0], [2.0, 0.5, 0.0, 1.0]]),
        torch.tensor([[4.0, 0.0], [0.0, 4.0], [1.0, -3.0]]),
    ),
    (
        torch.tensor([0.0, 2.0]),
        torch.tensor([[0.0, 1.0], [1.0, 0.0]]),
        torch.tensor([[4.0, 0.0], [0.0, 4.0]]),
    ),
)


@exercise("18.1")
def look_back(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """The weighted mean of values at one place."""
    for query, keys, values in PLACES:
        got = result(answer, query.clone(), keys.clone(), values.clone())
        products = keys @ query
        scores = products / math.sqrt(len(query))
        weights = scores.softmax(dim=0)
        by_d = (products / len(query)).softmax(dim=0)
        no_exp = products / products.sum()
        mistakes = {
            "those are the weights. The output is the mean of the values under them.": weights,
            "the division by the root of d is missing.": products.softmax(dim=0) @ values,
            "each score was divided by d. It is the root of d.": by_d @ values,
            "the weights do not sum to 1: divide by the sum of all of them.": scores.exp() @ values,
            "scores are no weights yet: take exp of each before you divide by the sum.": no_exp @ values,
            "every place has the same weight. The scores decide who gets how much.": values.mean(dim=0),
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, weights @ values, f"for {len(keys)} places the output is another one.")


@exercise("18.2")
def cache_bytes(answer: Callable[[int, int, int, int, int], int]) -> None:
    """The size of a bounded cache, before its window is full and after."""
    for tokens, window, layers, width, size in ((10, 64, 3, 8, 4), (200, 64, 3, 8, 8), (64, 64, 2, 6, 2)):
        got = result(answer, tokens, window, layers, width, size)
        token = 2 * layers * width * size
        right = token * min(tokens, window - 1)
        mistakes = {
            "that is how many numbers it holds. Each takes some bytes.": right // size,
            "a token leaves two vectors in each block: a key and a value.": right // 2,
            "every block has a cache of its own.": right // layers,
            "the cache is bounded: what does it drop once the window is full?": token * tokens,
            "one too many: the token that comes next is itself the last of the window.": token * window,
            "that is a full window. After a few tokens there is less.": token * (window - 1),
        }
        for message, value in mistakes.items():
            expect(got != value or value == right, message)
        expect(got == right, f"after {tokens} tokens, with a window of {window}, it is not {got}.")


@exercise("18.3")
def order_matters(answer: Callable[[int, bool], bool]) -> None:
    """A prediction for each number of blocks, with and without rotations."""
    distances = "with rotations a product depends on the distance, and the swap changes distances."
    a_set = "one block without rotations: the last place takes a mean over the others. Has a mean an order?"
    first_two = "several blocks, no rotations: what has each of the first two places seen in block one?"
    for blocks in (1, 2, 3):
        expect(yes_or_no(answer, blocks, True), distances)
        if blocks == 1:
            expect(not yes_or_no(answer, blocks, False), a_set)
        else:
            expect(yes_or_no(answer, blocks, False), first_two)


def yes_or_no(answer: Callable, *arguments: Any) -> bool:
    got = result(answer, *arguments)
    expect(got in (True, False), f"the answer should be True or False, and it is {got!r}.")
    return bool(got)


@exercise("18.4")
def leaks(answer: Callable[[Callable, int, int], bool]) -> None:
    """A test for causality, put to the test: layers that leak here or there, and two that do not."""
    T, D = 9, 4
    everything = torch.ones(T, T)
    past = everything.tril()
    hole = past.clone()
    hole[1, 4] = 1.0
    cases = (
        (past, False, "a causal layer is accused. From t on outputs may move; look at those before t only."),
        (everything.tril(-1), False, "a layer that sees only what lies before each place is accused."),
        (everything, True, "a layer without a mask is let through. Change later inputs: what moves?"),
        (everything.tril(1), True, "one diagonal too many is let through: each place sees its successor."),
        (hole, True, "a single leak, from one place in the middle to another, is let through. Try every t."),
    )
    for weights, leaky, message in cases:
        expect(yes_or_no(answer, mixing(weights), T, D) == leaky, message)


def mixing(weights: Tensor) -> Callable[[Tensor], Tensor]:
    """A layer whose output at place t is a sum of inputs, with row t of the weights."""

    def run(x: Tensor) -> Tensor:
        return weights.to(x.dtype) @ x

    return run


@exercise("18.5")
def cached_step(answer: Callable[..., tuple[Tensor, Any]]) -> None:
    """Attention, a token at a time, against the sliding window over the whole text."""
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 7, 4, generator=generator)
    v = torch.randn(7, 3, generator=generator)
    for window in (3, 2):
        outputs, cache = read(answer, q, k, v, window)
        expect(not same(outputs, v), "each token sees itself only. Is the new cache handed back?")
        expect(not same(outputs[1], v[0]), "a token sees those before it, but not itself. Store, then look.")
        mistakes = {
            "nothing ever falls out of the window.": sliding(q, k, v, len(q)),
            "one too many is seen: the new token itself is one of the window.": sliding(q, k, v, window + 1),
            "one too few is seen: the new token and window - 1 others.": sliding(q, k, v, window - 1),
            "the division by the root of d is missing.": sliding(2 * q, k, v, window),  # d is 4
        }
        for message, value in mistakes.items():
            expect(not same(outputs, value), message)
        expect_close(outputs, sliding(q, k, v, window), f"with a window of {window} the outputs are others.")
        held = len(cache[0])
        expect(held <= window, f"the outputs are right, but the cache holds {held} tokens and grows.")


def read(answer: Callable, q: Tensor, k: Tensor, v: Tensor, window: int) -> tuple[Tensor, Any]:
    """The reader's outputs for all tokens, and the last cache."""
    cache, outputs = None, []
    for new in zip(q, k, v, strict=True):
        got = result(answer, *new, cache, window)
        expect(isinstance(got, tuple | list) and len(got) == 2, "two things are asked for: output and cache.")
        output, cache = got
        outputs.append(torch.as_tensor(output))
    return torch.stack(outputs), cache


def sliding(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Attention of every place to the last few, itself among them."""
    distance = torch.arange(len(q))[:, None] - torch.arange(len(k))
    scores = q @ k.T / math.sqrt(q.shape[1])
    seen = (distance >= 0) & (distance < window)
    return scores.masked_fill(~seen, -math.inf).softmax(dim=1) @ v
