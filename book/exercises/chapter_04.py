"""Chapter 4, the Elman unit."""

from collections.abc import Callable

import torch
from torch import Tensor

from lmcore_exercises.checking import NotYet, exercise, expect, expect_close, result, same

DOG, BITES = torch.tensor([0.9, -0.3, 0.4]), torch.tensor([-0.5, 0.8, 0.6])
W = torch.tensor([[0.5, -0.2, 0.3], [0.1, 0.6, -0.4], [-0.3, 0.2, 0.7]])
U = torch.tensor([[0.4, 0.1, -0.6], [-0.3, 0.5, 0.2], [0.6, -0.1, 0.3]])
B = torch.tensor([0.1, 0.0, -0.1])


@exercise("4.1")
def third_state(answer: Callable[[list[float]], list[float]]) -> None:
    """h_3 from h_2, for the chapter's numbers and for a state that it never saw."""
    for h_2 in ([0.6, -0.2, 0.5], [0.1, 0.9, -0.7]):
        got = result(answer, h_2)
        before = torch.tensor(h_2)
        inside = BITES @ W + before @ U + B
        mistakes = {
            "the tanh is missing: a state lies between -1 and 1.": inside,
            "the bias b is missing.": torch.tanh(inside - B),
            "the old state has no part in it: add h_2 U.": torch.tanh(BITES @ W + B),
            'that is the step for "dog". The third word is "bites".': torch.tanh(DOG @ W + before @ U + B),
            "W and U were read along rows. x W takes a column of W for each number.": torch.tanh(
                W @ BITES + U @ before + B
            ),
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, torch.tanh(inside), f"for h_2 = {h_2} the state is another one. Go term by term.")


@exercise("4.2")
def tied_parameters(answer: Callable[[int, int, int], int]) -> None:
    """The number of parameters of a tied Elman model, for small sizes that differ from each other."""
    for V, D, L in ((7, 3, 2), (11, 4, 1)):
        got = result(answer, V, D, L)
        layers = L * (2 * D * D + D)
        mistakes = {
            "the output layer still has a matrix of its own.": 2 * V * D + layers + V,
            "the output layer keeps its bias: one number per token.": V * D + layers,
            "every layer has two matrices, W and U.": V * D + L * (D * D + D) + V,
            "every layer has one bias of D numbers.": V * D + L * 2 * D * D + V,
            "the layers' parameters count once per layer.": V * D + 2 * D * D + D + V if L > 1 else None,
        }
        for message, value in mistakes.items():
            expect(got != value, message)
        expect(got == V * D + layers + V, f"for V = {V}, D = {D}, L = {L} it is not {got}.")


@exercise("4.3")
def shuffle_past(answer: Callable[[Tensor, torch.Generator], Tensor]) -> None:
    """Rows of tokens whose order is lost, except for the last token of each."""
    tokens = torch.arange(60).view(3, 20)
    given = tokens.clone()
    got = result(answer, tokens, torch.Generator().manual_seed(0))
    expect(torch.equal(tokens, given), "the tokens that were handed in have changed. Work on a clone.")
    expect(got.shape == given.shape, f"the shape is {tuple(got.shape)}, it should be {tuple(given.shape)}.")
    expect(torch.equal(got[:, -1], given[:, -1]), "the last token of a row must stay where it is.")
    if not torch.equal(got.sort(dim=1).values, given):
        raise NotYet("a row must keep its own tokens: only their order changes.")
    expect(not torch.equal(got, given), "nothing was shuffled.")
    orders = got - got.sort(dim=1).values  # the order of each row, whatever its tokens
    if torch.equal(orders[0], orders[1]) and torch.equal(orders[1], orders[2]):
        raise NotYet("all rows were shuffled in one and the same order. Draw a new one for each row.")
    again = result(answer, given.clone(), torch.Generator().manual_seed(0))
    expect(torch.equal(got, again), "the same seed gives another order: give torch.randperm the generator.")


@exercise("4.4")
def apart(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Half of the sum of absolute differences, per row of (..., V)."""
    p = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    q = torch.tensor([[0.0, 0.0, 1.0], [0.2, 0.5, 0.3]])
    got = result(answer, p, q)
    expect(torch.as_tensor(got).shape != (), "that is one number for all rows. Sum over the last axis only.")
    expect(not same(got, [2.0, 0.4]), "the half is missing: distributions that share nothing are 1 apart.")
    expect(not same(got, [0.0, 0.0]), "differences cancel: p and q both sum to 1. Take absolute values.")
    expect_close(got, [1.0, 0.2], "take the sum of |p - q| over the tokens, and half of it.")
