"""Chapter 16, GRU and LSTM."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lmcore_exercises.checking import NotYet, exercise, expect, expect_close, result, same


@exercise("16.1")
def bracket_weights(answer: Callable[[], tuple[Any, Any]]) -> None:
    """A cell of one unit that counts: its gates at each kind of character, then 500 characters in a row."""
    W, b = _two(result(answer), "two things are wanted, W and b.")
    expect(W.shape == (2, 4), f"W has the shape {tuple(W.shape)}, it should be (2, 4).")
    expect(b.shape == (4,), f"b has the shape {tuple(b.shape)}, it should be (4,).")
    read = torch.cat([torch.eye(2), torch.zeros(1, 2)]).double() @ W + b  # (3, 4)
    i, f, g = torch.sigmoid(read[:, 0]), torch.sigmoid(read[:, 1]), torch.tanh(read[:, 2])
    for k, (name, wanted) in enumerate({"'('": 1, "')'": -1, "another character": 0}.items()):
        expect(f[k] > 0.99, f"at {name} the forget gate is {f[k]:.2f}: what was counted fades.")
        half_open = wanted and i[k] < 0.99
        expect(not half_open, f"at {name} the input gate is {i[k]:.2f}: only a part of g is written.")
        adds = i[k] * g[k]
        message = f"at {name} the cell adds {adds:+.2f}, it should be {wanted:+d}. Look at g."
        expect(abs(adds - wanted) < 0.01, message)
    counts = [torch.zeros((), dtype=torch.float64)]
    for k in 30 * [0] + 440 * [2] + 30 * [1]:
        counts.append(f[k] * counts[-1] + i[k] * g[k])
    before, after = counts[470], counts[500]
    message = (
        f"of 30 open brackets {before:.2f} are left after 440 others, and {after:.2f} when all are closed."
    )
    expect(abs(before - 30) < 0.1 and abs(after) < 0.1, f"{message} No gate is quite 0 or 1.")


@exercise("16.2")
def find_order(answer: Callable[[Sequence[Tensor], Tensor, Callable], Sequence[int]]) -> None:
    """The order of four blocks, for two orders that are not their own inverse."""
    draws = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draws, dtype=torch.float64)

    x, parts = normal(2, 6, 3), (normal(3, 8), normal(2, 8), normal(8))

    def lstm(W: Tensor, U: Tensor, b: Tensor) -> Tensor:
        state, outputs = torch.zeros(2, 2, 2, dtype=torch.float64), []
        for x_t in x.unbind(dim=1):
            state = _step(x_t, state, W, U, b)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1)

    for arriving in ([1, 2, 0, 3], [3, 0, 1, 2]):  # the block that comes first is our block 1, and so on
        foreign = tuple(_blocks(part, arriving) for part in parts)
        order = _four(result(answer, foreign, lstm(*parts), lstm))
        right = [arriving.index(block) for block in range(4)]
        expect(
            order != [0, 1, 2, 3],
            "as they arrive the blocks give other outputs. Compare numbers, not shapes.",
        )
        expect(
            order != arriving,
            "that is the way from our order to theirs. Which of *theirs* is our first block?",
        )
        expect(order == right, f"with the blocks in the order {order} the LSTM does not give the outputs.")


@exercise("16.3")
def memory_slope(answer: Callable[[float, float, Tensor, Tensor], Any]) -> None:
    """The derivative of the new cell state by the old one, with the way through h."""
    cases = (
        (0.7, 0.8, [0.3, 1.0, -0.5], [0.9, -0.6, 1.2]),
        (-1.1, 0.6, [0.2, -0.4, 0.8], [-1.5, 1.0, 0.7]),
    )
    for c, o, p, u in cases:
        p, u = torch.tensor(p, dtype=torch.float64), torch.tensor(u, dtype=torch.float64)
        got = result(answer, c, o, p.clone(), u.clone())
        squashed = torch.tensor(c, dtype=torch.float64).tanh()
        i, f, g = (squash(p[k] + u[k] * o * squashed) for k, squash in enumerate(SQUASH))
        by_i, by_f, by_g = u[0] * g * i * (1 - i), u[1] * c * f * (1 - f), u[2] * i * (1 - g**2)
        through, slope = by_i + by_f + by_g, 1 - squashed**2
        mistakes = {
            "that is the additive path alone. The gates look at h, and h is made of c.": f,
            "that is the way through h alone. The additive path belongs to it.": through * o * slope,
            "the input gate looks at h, too.": f + (by_f + by_g) * o * slope,
            "the forget gate looks at h, too.": f + (by_i + by_g) * o * slope,
            "the candidate looks at h, too.": f + (by_i + by_f) * o * slope,
            "h = o tanh(c): by c it has a slope of tanh.": f + through * o,
            "h = o tanh(c): the output gate is a factor.": f + through * slope,
            "h = o tanh(c) does not change one to one with c.": f + through,
            "what the forget gate multiplies is missing.": f + (by_i + by_f / c + by_g) * o * slope,
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, f + through * o * slope, f"for c = {c} and o = {o} it is another number.")


@exercise("16.4")
def fixed_step(answer: Callable) -> None:
    """An LSTM step with one gate held at given values, for each gate."""
    draws = torch.Generator().manual_seed(1)
    shapes = ((2, 3), (2, 2), (2, 2), (3, 8), (2, 8), (8,))
    x_t, h, c, W, U, b = (torch.randn(*s, generator=draws, dtype=torch.float64) for s in shapes)
    value = torch.tensor([0.3, 0.9], dtype=torch.float64)
    for gate in ("f", "i", "o"):
        given = (h.clone(), c.clone())
        new = _two(
            result(answer, x_t, given, W, U, b, gate, value.clone()), "two things are wanted, h and c."
        )
        got = torch.stack(new) if new[0].shape == new[1].shape else new[0]
        fixed = {gate: value}
        right = _step(x_t, (h, c), W, U, b, fixed)
        mistakes = {
            "nothing is held constant.": _step(x_t, (h, c), W, U, b),
            "the two are in the wrong order: h comes first.": right.flip(0),
            "the value is a gate already: no sigmoid.": _step(x_t, (h, c), W, U, b, {gate: value.sigmoid()}),
            "the columns are not in that order. It is i, f, g, o.": _step(
                x_t, (h, c), *(_blocks(part, [0, 1, 3, 2]) for part in (W, U, b)), fixed
            ),
            "h is to show the new cell state, not the old one.": torch.stack(
                [right[0] / right[1].tanh() * c.tanh(), right[1]]
            ),
        }
        for other in "ifo".replace(gate, ""):
            message = f"the value has gone to gate {other} instead of {gate}."
            mistakes[message] = _step(x_t, (h, c), W, U, b, {other: value})
        for message, wrong in mistakes.items():
            expect(not same(got, wrong), message)
        expect_close(got, right, f"with gate {gate} held constant h or c is another one.")


@exercise("16.5")
def running_means(answer: Callable[[Tensor, Tensor], Any]) -> None:
    """Means with exponentials of scores as weights, over what has been read; scores small and large."""
    scores, candidates = torch.tensor([0.5, -1.0, 2.0, 1.0]), torch.tensor([0.9, -0.5, 0.7, 0.1])
    got = result(answer, scores.clone(), candidates.clone())
    weights = scores.exp()
    in_the_end = (scores.softmax(0) * candidates).sum()
    mistakes = {
        "the weights of what has been read by step t must sum to 1, without those to come.": (
            scores.softmax(0) * candidates
        ).cumsum(0),
        "each step has a mean of its own, over what has been read by then.": in_the_end.expand(4),
        "one mean per step is wanted, not the last alone.": in_the_end,
        "that is c_t. The sum of the weights divides it.": (weights * candidates).cumsum(0),
        "the weights are exponentials of the scores, not the scores.": (scores * candidates).cumsum(0)
        / scores.cumsum(0),
        "those are plain means: the scores have no part in them.": candidates.cumsum(0) / torch.arange(1, 5),
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    right = (weights * candidates).cumsum(0) / weights.cumsum(0)
    expect_close(got, right, "the means are others. Check the second one by hand.")

    large = torch.tensor([0.0, 800.0, 798.0, 2.0])
    means = torch.as_tensor(result(answer, large.clone(), candidates.clone()), dtype=torch.float64).detach()
    vanish = "all weights so far are zero if the largest of *all* scores is taken off."
    expect(not means[0].isnan(), f"with scores 0, 800, 798, 2 the first mean is nan: {vanish}")
    expect(
        not means.isnan().any(), "with scores 0, 800, 798, 2 there is a nan: exp(800) is too large a number."
    )
    right = [large[:t].softmax(0) @ candidates[:t] for t in range(1, 5)]
    expect_close(means, right, "with scores 0, 800, 798, 2 the means are others.")


SQUASH = (torch.sigmoid, torch.sigmoid, torch.tanh)  # i, f, g


def _step(x_t: Tensor, state: Any, W: Tensor, U: Tensor, b: Tensor, fixed: dict | None = None) -> Tensor:
    """One step of an LSTM, columns i, f, g, o, with some gates held at given values: h and c, (2, B, D)."""
    i, f, g, o = (x_t @ W + state[0] @ U + b).chunk(4, dim=1)
    gates = {"i": i.sigmoid(), "f": f.sigmoid(), "o": o.sigmoid()} | (fixed or {})
    c = gates["f"] * state[1] + gates["i"] * g.tanh()
    return torch.stack([gates["o"] * c.tanh(), c])


def _blocks(part: Tensor, order: list[int]) -> Tensor:
    return torch.cat([part.chunk(4, dim=-1)[k] for k in order], dim=-1)


def _two(got: Any, message: str) -> tuple[Tensor, Tensor]:
    try:
        first, second = (torch.as_tensor(part, dtype=torch.float64).detach() for part in got)
    except (TypeError, ValueError) as error:
        raise NotYet(message) from error
    return first, second


def _four(got: Any) -> list[int]:
    message = "the order itself is wanted: 0, 1, 2 and 3, each once."
    try:
        order = [int(number) for number in got]
    except (TypeError, ValueError) as error:
        raise NotYet(message) from error
    expect(sorted(order) == [0, 1, 2, 3], message)
    return order
