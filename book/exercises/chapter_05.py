"""Chapter 5, mini-batches."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from lmcore_exercises.checking import exercise, expect, expect_close, result, same


@exercise("5.1")
def shapes(answer: Callable[[list[int], int, int], tuple]) -> None:
    """Three shapes and a count, for two batches in which all the sizes differ."""
    for lengths, V, D in (([4, 2, 5], 9, 6), ([2, 7], 11, 4)):
        got = result(answer, list(lengths), V, D)
        four = isinstance(got, list | tuple) and len(got) == 4
        expect(four, "give four things in this order: three shapes and the number of real targets.")
        ids, vectors, logits, targets = (tuple(one) if isinstance(one, list) else one for one in got)
        B, T = len(lengths), max(lengths)
        where = f"for sentences of {lengths} tokens, V = {V} and D = {D}"
        expect(ids != (T, B), "ids: the sentences come first, one row each, then their tokens.")
        expect(ids != (B, sum(lengths)), "ids: a row holds one sentence, not the tokens of all.")
        expect(ids == (B, T), f"ids: {where} the shape is not {ids}. The longest sentence fits exactly.")
        expect(vectors != (B, T, V), "embeddings: every id becomes D numbers, not V.")
        expect(vectors == (B, T, D), f"embeddings: {where} the shape is not {vectors}.")
        expect(logits != (B, T, V), "logits: only the inputs are read, all tokens of a row but the last one.")
        expect(logits != (B, T - 1, D), "logits: there is one score for each token of the vocabulary.")
        expect(logits == (B, T - 1, V), f"logits: {where} the shape is not {logits}.")
        expect(targets != sum(lengths), "targets: nothing predicts the first token of a sentence.")
        expect(targets != B * (T - 1), "targets: padding was counted, too.")
        expect(targets == sum(lengths) - B, f"targets: {where} there are not {targets}.")


@exercise("5.2")
def together(answer: Callable[[list[float], list[int]], float]) -> None:
    """Total nats by total targets, of two batches and of three."""
    for means, counts in (([2.0, 7.0], [4, 1]), ([1.0, 2.0, 6.0], [1, 3, 2])):
        got = result(answer, list(means), list(counts))
        nats, plain = sum(mean * count for mean, count in zip(means, counts, strict=True)), sum(means)
        mistakes = {
            "that is the mean of the means: a small batch weighs as much as a large one.": plain / len(means),
            "that is the sum of all nats. Divide it by the number of all targets.": nats,
            "the nats were divided by the number of batches, not of targets.": nats / len(means),
            "means were added up. First multiply each by its number of targets.": plain / sum(counts),
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, nats / sum(counts), f"for the means {means} of {counts} targets it is another one.")


@exercise("5.3")
def pooled_order(answer: Callable[[Tensor, int, torch.Generator], Tensor]) -> None:
    """50 sentences, all of different length, in pools of 20, 20 and 10."""
    lengths = 100 + 7 * torch.arange(50) % 50  # from 100 on: no length is the number of a sentence
    order = _order(answer, lengths, seed=0)
    values = order.tolist()
    expect(set(values).isdisjoint(lengths.tolist()), "these are lengths. Give the numbers of the sentences.")
    expect(len(values) != 40, "the last pool is missing, the one with fewer sentences.")
    expect(sorted(values) == list(range(50)), "every sentence must occur, and none twice.")
    message = "that sorts the whole corpus by length. Only inside a pool do lengths decide."
    sizes = lengths[order]
    expect((sizes.diff() < 0).any(), message)
    for pool in sizes.split(20):
        expect((pool.diff() > 0).all(), f"inside a pool the lengths must rise, and one has {pool.tolist()}.")
    message = "the first pool holds neighbours in the corpus. Shuffle the sentences before you make pools."
    expect(set(values[:20]) not in (set(range(20)), set(range(20, 40))), message)
    first, second, _ = sizes.split(20)
    message = "one pool holds shorter sentences than the next. Shuffle first, and sort inside the pools only."
    expect(first.max() > second.min() and second.max() > first.min(), message)
    again, other = _order(answer, lengths, seed=0), _order(answer, lengths, seed=1)
    expect(torch.equal(order, again), "the same seed gives another order: give torch.randperm the generator.")
    expect(not torch.equal(order, other), "another seed gives the same order: use the generator handed in.")


@exercise("5.4")
def gradient_in_parts(answer: Callable[[Callable, list, Tensor], Tensor]) -> None:
    """Three parts of a sum of squares, an old gradient in weight.grad, and a note of each pass."""
    rows = torch.tensor([[1, 2, 0], [0, 1, 3], [2, 0, 1], [3, 1, 1], [0, 2, 2], [1, 1, 4]]).float()
    parts, start = [rows[:3], rows[3:4], rows[4:]], torch.tensor([0.5, -1.0, 2.0])
    old, weight, passes = torch.tensor([100.0, 200.0, 300.0]), start.clone().requires_grad_(), []
    weight.grad = old.clone()

    def nats_of(part: Tensor) -> tuple[Tensor, int]:
        passes.append("forward")
        scores = part @ weight
        if scores.requires_grad:
            scores.register_hook(lambda _: passes.append("backward"))
        return scores.square().sum(), len(part)

    got = result(answer, nats_of, list(parts), weight)
    own = [2 * part.T @ (part @ start) for part in parts]  # the gradient of the nats of each part
    total = own[0] + own[1] + own[2]
    of_means = sum(gradient / len(part) for gradient, part in zip(own, parts, strict=True))
    kept = (total / 6 + old, (total + old) / 6, total + old, of_means + old, (of_means + old) / 3)
    means, last = (of_means / 3, of_means), (own[2], own[2] / 2, own[2] / 6)
    mistakes = {
        "the old gradient of weight.grad is in it. Clear it before the first part.": kept,
        "each part was divided by its own number of targets, so that small parts have more weight.": means,
        "only the last part is in it. Clear the gradient once, before the first part.": last,
        "that is the gradient of all nats. Divide it by the number of all targets.": (total,),
        "the nats were divided by the number of parts, not of targets.": (total / 3,),
    }
    for message, values in mistakes.items():
        expect(not any(same(got, value) for value in values), message)
    expect_close(got, total / 6, "for three parts with 3, 1 and 2 targets it is another gradient.")
    message = (
        "the gradient is right, but all parts were in memory at the same time. "
        "Call backward after each part: it frees what the part needed."
    )
    expect(("backward", "backward") not in pairwise(passes), message)


@exercise("5.5")
def last_real(answer: Callable[[Tensor, Tensor, int], Tensor]) -> None:
    """Rows of 4, 2 and 1 real tokens; then a batch in which padding has the id 9, and 0 is a word."""
    hidden = torch.arange(24.0).view(3, 4, 2)
    tokens = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [7, 0, 0, 0]])
    got = result(answer, hidden.clone(), tokens.clone(), 0)
    expect(isinstance(got, Tensor), "give one tensor (B, D). torch.stack joins a list of rows.")
    message = "that is every place for every row, (B, B, D). Each row has one place of its own."
    expect(got.shape != (3, 3, 2), message)
    mistakes = {
        "that is the last place of every row. In shorter rows it is padding.": hidden[:, -1],
        "that is one place too early: a row of n tokens ends at place n - 1.": hidden[[0, 1, 2], [2, 0, -1]],
        "that is the first place of every row.": hidden[:, 0],
        "that is a mean over the places of a row. Pick a single one.": [[3, 4], [9, 10], [16, 17]],
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(got, hidden[[0, 1, 2], [3, 1, 0]], f"for tokens {tokens.tolist()} the states are others.")
    got = result(answer, hidden[:2].clone(), torch.tensor([[3, 0, 9, 9], [1, 2, 4, 0]]), 9)
    message = "with pad_id = 9 the states are others. There 0 is the id of a word: compare with pad_id."
    expect_close(got, hidden[[0, 1], [1, 3]], message)


def _order(answer: Callable, lengths: Tensor, seed: int) -> Tensor:
    got = result(answer, lengths.clone(), 20, torch.Generator().manual_seed(seed))
    pools = isinstance(got, list | tuple) and any(isinstance(pool, Tensor) and pool.ndim for pool in got)
    expect(not pools, "that is a list of pools. Join them into one order.")
    return torch.as_tensor(got)
