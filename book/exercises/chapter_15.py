"""Chapter 15, vanishing gradients."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lmcore_exercises.checking import exercise, expect, expect_close, result, same

INPUTS = torch.tensor(  # of eleven units, six steps
    [
        [-0.7, -0.6, 0.4, 0.7, 0.2, -0.4, -1.0, 0.7, -0.8, -0.7, 0.3],
        [-0.5, -0.3, 0.7, -0.4, 0.2, 0.2, -0.4, -0.3, -0.2, -0.8, 0.2],
        [0.1, -0.9, 0.1, 0.7, 0.8, 0.1, -0.1, -0.1, 0.2, 0.6, 0.4],
        [-0.7, 0.7, 0.8, -0.2, 0.4, -0.2, 0.4, 0.7, -0.4, -0.3, 0.1],
        [0.1, 0.3, 0.3, 0.0, -0.7, 0.2, 0.3, -0.6, -0.7, 0.9, 0.5],
        [0.6, -0.1, -1.0, -0.9, 0.6, 0.8, -0.5, 0.4, 0.2, 0.1, 0.2],
    ],
    dtype=torch.float64,
)


@exercise("15.1")
def sigmoid_chain(answer: Callable[[float, list[float]], float]) -> None:
    """The derivative of the last state of a sigmoid unit by its first, for steep and for falling units."""
    for w, inputs in ((4.0, [-2.0, -1.0]), (3.0, [0.5, -1.5, -2.0]), (-5.0, [0.4, 1.0, 2.0])):
        got = result(answer, w, list(inputs))
        states, h = [], 0.0
        for x in inputs:
            h = _sigmoid(w * h + x)
            states.append(h)
        slopes = [h * (1 - h) for h in states]
        mistakes = {
            "that is the slope of tanh, 1 - h^2. The sigmoid has another one.": [
                w * (1 - h * h) for h in states
            ],
            "w is missing: it is a factor of every step.": slopes,
            "w is a factor of every step, not of the whole.": [w, *slopes],
            "the slope at h_t belongs to the step to h_t. Yours are one step late.": [
                w * h * (1 - h) for h in [0.0, *states[:-1]]
            ],
            "the sigmoid is taken twice: h_t is its value already.": [
                w * _sigmoid(h) * (1 - _sigmoid(h)) for h in states
            ],
            "that is the last step alone.": [w * slopes[-1]],
        }
        for message, factors in mistakes.items():
            expect(not same(got, math.prod(factors)), message)
        factors = [w * slope for slope in slopes]
        expect(not same(got, sum(factors)), "by the chain rule factors are multiplied, not added.")
        expect_close(got, math.prod(factors), f"for w = {w} and inputs {inputs} it is another number.")


@exercise("15.2")
def tipping_push(answer: Callable[[float], float]) -> None:
    """The lasting push that tips a bit, for several w (not 2: there two mistakes would not show)."""
    for w in (1.5, 4.0, 3.0):
        got = result(answer, w)
        h = math.sqrt(1 - 1 / w)
        other = math.sqrt(1 / w)
        right = w * h - math.atanh(h)
        mistakes = {
            "that is the input x, which is negative. Give its strength.": -right,
            "that is the number for w = 2. The resting place depends on w.": math.sqrt(2)
            - math.atanh(math.sqrt(0.5)),
            "that is the state h where the slope is one. Which x makes it a resting place?": h,
            "the slope of the whole step is w (1 - h^2), with a square.": w * h * h - math.atanh(h * h),
            "w (1 - h^2) = 1 was solved for 1 - h^2, not for h^2.": w * other - math.atanh(other),
            "at a resting place h = tanh(w h + x). What undoes the tanh?": w * h - math.tanh(h),
            "inside of the tanh stands w h, not h.": math.atanh(h) - h,
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, right, f"for w = {w} it is another number.")


@exercise("15.3")
def read_in_windows(answer: Callable[[Callable, Tensor, Tensor, int], Tensor]) -> None:
    """The states are those of one reading, and gradients stay within their window."""

    def step(x_t: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(x_t + 0.8 * h)

    x = torch.linspace(-1, 1, 14, dtype=torch.float64).view(7, 2).requires_grad_()
    start = torch.full((2,), 0.5, dtype=torch.float64)
    got = result(answer, step, x, start.clone(), 3)
    expect(isinstance(got, Tensor) and got.shape == (7, 2), "one tensor is wanted, (T, D): stack the states.")
    whole, h = [], start
    for x_t in x.detach():
        h = step(x_t, h)
        whole.append(h)
    whole = torch.stack(whole)
    expect_close(got[:3], whole[:3], "the states of the first window are others. Begin with the h handed in.")
    expect_close(got, whole, "the states change at a cut. The state goes on; only its gradient stops.")
    expect(got.requires_grad, "no gradient comes back at all: the states that are returned are detached.")
    for t in (5, 2, 6, 3):
        (gradient,) = torch.autograd.grad(got[t].sum(), x, retain_graph=True)
        reached = [s for s in range(7) if gradient[s].any()]
        first = t - t % 3
        expect(first == 0 or reached != list(range(t + 1)), "gradients reach the start: nothing is cut.")
        expect(first == t or reached != [t], "gradients reach one step only: cut between windows.")
        back = min(reached, default="nothing")
        where = f"with window = 3, step {t} (from 0) reaches back to {back}, it should be {first}."
        expect(reached == list(range(first, t + 1)), f"the cuts are in other places: {where}")


@exercise("15.4")
def with_radius(answer: Callable[[Tensor, float], Tensor]) -> None:
    """A multiple of the matrix, for eigenvalues that are positive, negative and complex."""
    skewed = torch.tensor([[0.5, 0.0], [1.0, 0.8]], dtype=torch.float64)  # largest eigenvalue 0.8
    given = skewed.clone()
    got = result(answer, given, 1.2)
    expect(torch.equal(given, skewed), "the matrix that was handed in has changed. Return another one.")
    mistakes = {
        "the largest singular value is 1.2 now. The spectral radius is another number.": 2,
        "the root of the sum of squares is 1.2 now, not the spectral radius.": "fro",  # codespell:ignore
    }
    for message, norm in mistakes.items():
        expect(not same(got, skewed * 1.2 / torch.linalg.matrix_norm(skewed, norm)), message)
    expect(
        not same(got, skewed * 1.2), "what is the radius before? Multiplying by the new one is not enough."
    )
    expect(not same(got, skewed * 0.8 / 1.2), "the quotient is upside down.")
    expect_close(got, skewed * 1.5, "the spectral radius is another one.")
    signs = torch.diag(torch.tensor([-3.0, 2.0], dtype=torch.float64))
    got = result(answer, signs.clone(), 1.5)
    expect(not same(got, signs * 0.75), "an eigenvalue may be negative: its absolute value counts.")
    expect_close(got, signs * 0.5, "for a diagonal of -3 and 2 the radius is another one.")
    turn = torch.tensor([[0.0, -2.0], [2.0, 0.0]], dtype=torch.float64)  # eigenvalues 2i and -2i
    got = result(answer, turn.clone(), 0.5)
    expect_close(
        got, turn * 0.25, "an eigenvalue may be complex: its absolute value counts, not its real part."
    )


@exercise("15.5")
def share_alive(answer: Callable[[Tensor, int], float]) -> None:
    """The share of units that have not touched zero in the last k steps."""
    got = result(answer, INPUTS.clone(), 3)
    states, h = [], torch.zeros(11, dtype=torch.float64)
    for x_t in INPUTS:
        h = torch.relu(h + x_t)
        states.append(h)
    states = torch.stack(states)
    mistakes = {
        "that is how many units. Divide by their number.": 8,
        "that is the share of the units whose gradient is lost.": 3 / 11,
        "one step too many: the state from which the k steps start has no say.": _share(states[2:]),
        "one step too few: h_T itself counts, too.": _share(states[4:]),
        "the slope depends on the state, not on the sign of the input.": _share(INPUTS[3:]),
        "these sums go below zero: a unit stops there, and grows again from there.": _share(
            INPUTS.cumsum(0)[3:]
        ),
        "one zero anywhere in the last k steps is enough to lose the gradient.": _share(states[5:]),
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    for k in (3, 1, 5):
        got = result(answer, INPUTS.clone(), k)
        right = _share(states[6 - k :])
        expect_close(got, right, f"for k = {k} it is another share: look at the last {k} states.")


def _sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def _share(values: Tensor) -> float:
    """Of columns that are above zero in every row."""
    return (values > 0).all(dim=0).double().mean().item()
