"""Chapter 11, large vocabularies."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore_exercises.checking import exercise, expect, expect_close, result, same


def _tell(got: Any, right: Any, mistakes: dict[str, Any]) -> None:
    """NotYet with the message of the mistake that gives this value; at times one gives the right value."""
    for message, value in mistakes.items():
        expect(same(value, right) or not same(got, value), message)


@exercise("11.1")
def break_even(answer: Callable[[int, int], float]) -> None:
    """2 L d, for sizes that differ from each other."""
    for L, d in ((3, 10), (4, 7)):
        got, right = result(answer, L, d), 2 * L * d
        mistakes = {
            "every layer has two matrices, W and U.": L * d,
            "the layers are missing: each takes its own products.": 2 * d,
            "that is a number of operations. How many does one token of the output layer take?": right * d,
            "that is a number of operations, not yet of tokens. Solve for V.": 6 * right * d,
            "the output layer has a backward pass, too: count the same passes on both sides.": 3 * right,
        }
        _tell(got, right, mistakes)
        expect_close(got, right, f"for L = {L} and d = {d} it is not {got}.")


@exercise("11.2")
def learned_without(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    """p / pi, divided by its sum."""
    cases = (
        ([0.6, 0.25, 0.1, 0.05], [0.9, 0.5, 0.3, 0.1]),
        ([0.5, 0.3, 0.2], [0.2, 0.2, 0.2]),
        ([0.5, 0.3, 0.2], [0.75, 0.45, 0.3]),
    )
    for case in cases:
        p, pi = (torch.tensor(values, dtype=torch.float64) for values in case)
        got = result(answer, p.clone(), pi.clone())
        odds, product = p / pi, p * pi
        mistakes = {
            "that is p itself. Only with the correction, or where all pi are equal, is p learned.": p,
            "the wrong way round: what is drawn often is often told that it is wrong.": product
            / product.sum(),
            "right up to a factor. A distribution sums to 1.": odds,
            "right up to a factor. A softmax of logarithms has no other exponential in it.": odds.softmax(0),
            "these are logits. What does the softmax make of them?": odds.log(),
        }
        _tell(got, odds / odds.sum(), mistakes)
        expect_close(got, odds / odds.sum(), f"for p = {case[0]} and pi = {case[1]} another one is learned.")


@exercise("11.3")
def sampled_loss(answer: Callable[..., Tensor]) -> None:
    """Targets that were drawn and that were not; two rows with one target."""
    W = torch.tensor([[0.5, 0.1], [-0.4, 0.9], [0.7, -0.6], [-0.2, -0.3], [0.8, 0.4], [-0.9, 0.2]]).double()
    b = torch.tensor([0.1, -0.2, 0.3, 0.0, -0.4, 0.2]).double()
    pi = torch.tensor([0.9, 0.2, 0.3, 0.6, 0.1, 0.5]).double()
    y, drawn = torch.tensor([2, 2, 5, 0]), torch.tensor([True, False, False, True, False, True])
    own = F.one_hot(y, 6).bool()  # (N, V)
    for sign in (1.0, -1.0):
        h = sign * torch.tensor([[1.0, -0.5], [0.3, 0.8], [-0.7, 0.4], [0.2, -1.1]]).double()
        got = result(answer, *(x.clone() for x in (h, W, b, y, drawn, pi)))
        z, log_pi = h @ W.T + b, pi.log()
        corrected = z - log_pi
        target = corrected.gather(1, y[:, None])  # (N, 1)
        twice = torch.cat([target, corrected[:, drawn]], dim=1)  # a drawn target is in it two times
        right = _nats(corrected, y, drawn | own)
        mistakes = {
            "add up the rows: that is their mean.": right / len(y),
            "the correction is missing.": _nats(z, y, drawn | own),
            "the correction has the wrong sign: log(pi) is subtracted.": _nats(z + log_pi, y, drawn | own),
            "the target is corrected, too, and not only what was drawn.": _nats(
                torch.where(own, z, corrected), y, drawn | own
            ),
            "a target that was drawn as well counts twice there.": (twice.logsumexp(1) - target[:, 0]).sum(),
            "the targets of other rows are no candidates.": _nats(corrected, y, drawn | own.any(dim=0)),
            "a row's own target belongs to its candidates.": (
                corrected.masked_fill(own | ~drawn, -torch.inf).logsumexp(1) - target[:, 0]
            ).sum(),
            "that is the loss over all tokens: only the candidates take part.": F.cross_entropy(
                z, y, reduction="sum"
            ),
        }
        _tell(got, right, mistakes)
        expect_close(got, right, f"for this small example the loss is {right:.4f}.")


def _nats(z: Tensor, y: Tensor, candidates: Tensor) -> Tensor:
    return F.cross_entropy(z.masked_fill(~candidates, -torch.inf), y, reduction="sum")


@exercise("11.4")
def expected_cost(answer: Callable[[Sequence[int], list[float], int], float]) -> None:
    """The head, and each cluster as often as it is needed."""
    covered, D = [0.4, 0.6, 0.7, 0.78, 0.85, 0.9, 0.95, 1.0], 64
    for cuts in ((2, 5), (1, 3, 6), (2,)):
        got, right = result(answer, cuts, list(covered), D), _cost(cuts, covered, D)
        head, ends = D * (cuts[0] + len(cuts)), [*cuts[1:], len(covered)]
        shares = [covered[end - 1] - covered[start - 1] for start, end in zip(cuts, ends, strict=True)]
        shifted = [covered[min(end, 7)] - covered[start] for start, end in zip(cuts, ends, strict=True)]
        beyond = [1 - covered[start - 1] for start in cuts]
        mistakes = {
            "the head has an entry for each cluster, too.": right - D * len(cuts),
            "the head has one entry for each cluster, not one for all.": right - D * (len(cuts) - 1),
            "a cluster is not always computed: weigh it with its share of the text.": _cost(
                cuts, covered, D, shares=[1.0] * len(cuts)
            ),
            "a cluster's share ends where the next cluster begins.": _cost(cuts, covered, D, shares=beyond),
            "the shares are off by one: covered[k - 1] belongs to k tokens.": _cost(
                cuts, covered, D, shares=shifted
            ),
            "each cluster is narrower than the one before.": _cost(cuts, covered, D, narrowing=0),
            "the first cluster is narrower than the head already.": _cost(cuts, covered, D, first=0),
            "to press h down to w numbers takes multiplications, too.": head
            + sum(
                share * (D // 4 ** (i + 1)) * (end - start)
                for i, (share, start, end) in enumerate(zip(shares, cuts, ends, strict=True))
            ),
        }
        _tell(got, right, mistakes)
        expect_close(got, right, f"for the cutoffs {cuts} it is not {got}.")


def _cost(
    cuts: Sequence[int],
    covered: list[float],
    D: int,
    shares: list[float] | None = None,
    narrowing: int = 1,
    first: int = 1,
) -> float:
    """Multiplications per token; the shares of the clusters, and how their widths fall, may be others."""
    cost = D * (cuts[0] + len(cuts))
    for i, (start, end) in enumerate(zip(cuts, [*cuts[1:], len(covered)], strict=True)):
        width = D // 4 ** (narrowing * i + first)
        share = shares[i] if shares else covered[end - 1] - covered[start - 1]
        cost += share * width * (D + end - start)
    return cost
