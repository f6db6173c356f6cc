"""Chapter 17, scans."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmcore_exercises.checking import NotYet, exercise, expect, expect_close, result, same

STARTS = (  # a, b and h_0
    (torch.tensor([2.0, 1.0, 0.5, 1.0]), torch.tensor([1.0, 1.0, 5.0, 2.0]), 3.0),
    (torch.tensor([0.5, 2.0, 1.0, -1.0]), torch.tensor([4.0, 0.0, -2.0, 1.0]), -2.0),
)


def states(a: Tensor, b: Tensor, h: Tensor | float = 0.0) -> Tensor:
    """All h_t = a_t h_{t-1} + b_t along the first axis."""
    found = []
    for a_t, b_t in zip(a, b, strict=True):
        h = a_t * h + b_t
        found.append(h)
    return torch.stack(found)


def pair(got: Any, message: str) -> tuple[Any, Any]:
    """The two parts of an answer that should have two."""
    if not (isinstance(got, tuple | list) and len(got) == 2):
        raise NotYet(message)
    return got[0], got[1]


@exercise("17.1")
def with_start(answer: Callable[..., Tensor]) -> None:
    """A start state, brought into a tree that begins at zero; the tree must be called."""
    calls = []

    def tree(a: Tensor, b: Tensor) -> Tensor:
        calls.append(len(b))
        return states(a, b)

    for a, b, h_0 in STARTS:
        given_a, given_b = a.clone(), b.clone()
        got = result(answer, tree, given_a, given_b, h_0)
        untouched = torch.equal(given_a, a) and torch.equal(given_b, b)
        expect(untouched, "the a or the b that was handed in has changed. Make new ones.")
        zero, right = states(a, b), states(a, b, h_0)
        unscaled = states(a, torch.cat([b[:1] + h_0, b[1:]]))
        first_only = torch.cat([right[:1], zero[1:]])
        kept = torch.cat([torch.tensor([h_0]), right])
        mistakes = {
            "the start state has no part in it.": zero,
            "h_0 was added to every state, whole. What do the factors do to it on its way?": zero + h_0,
            "h_0 came in without its factor. Step 1 treats it like any old state.": unscaled,
            "only h_1 knows of the start. The states after it are made from it, too.": first_only,
            "there is one state too many: h_0 itself is not asked for.": kept,
            "the states should begin with h_1, and yours begin with h_0.": kept[:-1],
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, right, f"for h_0 = {h_0} the states are others. Do step 1 alone, on paper.")
    expect(calls, "the states are right, but each waits for the one before. Call the tree instead.")


@exercise("17.2")
def gradients(answer: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """Gradients of a linear recurrence by its factors and by its terms."""
    for seed, T in ((0, 5), (1, 8)):
        generator = torch.Generator().manual_seed(seed)
        a, b, g = torch.randn(3, T, 2, generator=generator, dtype=torch.float64)
        h = states(a, b, 1.0)
        before = torch.cat([torch.ones_like(h[:1]), h[:-1]])
        errors = from_the_end(torch.cat([a[1:], a[:1]]), g)  # the last factor meets a zero
        got = result(answer, a.clone(), before.clone(), g.clone())
        by_a, by_b = pair(got, "two tensors are asked for: the gradients by a, and those by b.")
        mistakes = {
            "g_t is only the direct part. h_t also acts on L through all later states.": g,
            "time runs the wrong way: e_t depends on what comes after it, so begin at the end.": states(a, g),
            "the factor is one place off: which one stands between h_t and h_{t+1}?": from_the_end(a, g),
            "the two are in the wrong order: first by a, then by b.": errors * before,
        }
        for message, value in mistakes.items():
            expect(not same(by_b, value), message)
        expect_close(by_b, errors, "the gradient by b is another one. How does b_T act on L, how b_{T-1}?")
        mistakes = {
            "the gradient by a is not that by b. What is a_t multiplied by in its step?": errors,
            "the gradient by a takes the whole gradient by h_t, too, not its direct part.": g * before,
            "the derivative of a_t h_{t-1} by a_t has no a_t left in it.": errors * a,
            "step t multiplies a_t by the state before it, h_{t-1}, and not by h_t.": errors * h,
        }
        for message, value in mistakes.items():
            expect(not same(by_a, value), message)
        expect_close(by_a, errors * before, "the gradient by b is right, the one by a is not yet.")


def from_the_end(factors: Tensor, g: Tensor) -> Tensor:
    """The same recurrence with time turned round."""
    return states(factors.flip(0), g.flip(0)).flip(0)


@exercise("17.3")
def parity_terms(answer: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
    """Factors and terms, by the bit alone, whose state has the sign of the parity for rows of any length."""
    short = torch.tensor([[1] * 8, [0] * 8, [0, 1, 1, 0, 1, 0, 0, 1]])
    a, b = by_bit(answer, short)
    expect(a.abs().max() <= 1 + 1e-6, "a factor lies outside of -1 to 1.")
    expect(a.min() < 0, "no factor is below zero. With such factors a unit moves one way, as the text shows.")
    ones, zeros, mixed = signs_fit(states(a, b, 1.0), short).tolist()
    expect(ones, "on a row of ones the sign has to change at every step, and yours does not.")
    expect(zeros, "a zero leaves the parity as it is, and with your terms it changes the sign.")
    expect(mixed, "ones alone and zeros alone are right, but not a row that has both.")
    long = torch.randint(2, (2, 2000), generator=torch.Generator().manual_seed(0))
    h = states(*by_bit(answer, long), 1.0)
    early, late = h[:100].abs().min(), h[-100:].abs().min()
    expect(late > early / 2, "short rows are right, but the state fades. Which factors lose nothing?")
    expect(signs_fit(h, long).all(), "short rows are right, but not rows of two thousand bits.")


def by_bit(answer: Callable, x: Tensor) -> tuple[Tensor, Tensor]:
    """The reader's factors and terms for bits (B, T), time first."""
    parts = pair(result(answer, x.clone()), "two tensors are asked for: the factors a and the terms b.")
    a, b = (torch.as_tensor(part, dtype=torch.float64) for part in parts)
    for part in (a, b):
        found, wanted = tuple(part.shape), tuple(x.shape)
        expect(found == wanted, f"a and b should have the shape of x, {wanted}, and one has {found}.")
        for bit in (0, 1):
            alike = part[x == bit]
            equal = alike.max() - alike.min() < 1e-6
            expect(equal, "a_t and b_t may depend on the bit at t alone. Yours differ between equal bits.")
    return a.T, b.T


def signs_fit(h: Tensor, x: Tensor) -> Tensor:
    """Per row, whether states (T, B) are below zero exactly where the ones so far are odd in number."""
    return (h.sign() == 1 - 2 * (x.cumsum(dim=1) % 2).T).all(dim=0)


@exercise("17.4")
def mean_memory(answer: Callable[[Tensor], Tensor]) -> None:
    """1 / (1 - geometric mean over time), for a few steps and for thousands."""
    keep = torch.tensor([[0.9, 0.5, 0.2], [0.4, 0.5, 0.8], [0.9, 0.5, 0.8], [0.7, 0.5, 0.1]])
    left, constant = keep.prod(dim=0), keep.log().mean(dim=0).exp()
    of_each = (1 / (1 - keep)).mean(dim=0)
    got = result(answer, keep.clone())
    shape = torch.as_tensor(got).shape
    expect(shape != (), "that is one number for all units. Each has a memory of its own.")
    expect(shape != (4,), "that is one number per step. Time is the first axis.")
    mistakes = {
        "the factors of many steps multiply, and you have added them.": 1 / (1 - keep.mean(dim=0)),
        "that is the mean of the memories at each step. First the constant, then its memory.": of_each,
        "that is the constant factor. What is asked for is its memory, in steps.": constant,
        "that is what is left after all steps. Which constant would leave as much?": left,
        "the product belongs to T steps together. Which constant, at each of them, gives it?": 1 / (1 - left),
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(got, 1 / (1 - constant), "four steps of three units have another memory.")
    got = result(answer, torch.tensor([[0.4, 0.3]]).repeat(5000, 1))
    expect(not same(got, [1.0, 1.0]), "four steps are right. A product of 5,000 factors is 0 in a computer.")
    expect_close(got, [1 / 0.6, 1 / 0.7], "four steps are right, five thousand are not.")
