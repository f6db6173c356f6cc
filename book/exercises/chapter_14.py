"""Chapter 14, evaluation."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lmcore_exercises.checking import NotYet, exercise, expect, expect_close, result, same

PAD = 3


@exercise("14.1")
def four_numbers(answer: Callable[[float, int, int, int], Sequence[float]]) -> None:
    """Nats per token, perplexity, bits per byte and word perplexity; all counts differ."""
    for nats, tokens, size, words in ((12.0, 6, 20, 4), (12.0, 12, 20, 4), (9.0, 8, 30, 5)):
        per_token, perplexity, bits, per_word = _four(result(answer, nats, tokens, size, words))
        bits_mistakes = {
            "these are nats per byte, not bits.": nats / size,
            "a bit is smaller than a nat, so there must be more bits than nats.": nats * math.log(2) / size,
            "those are bits per token. Another tokenizer would change them.": nats / math.log(2) / tokens,
        }
        word_mistakes = {
            "those are nats per word. Take the exponential.": nats / words,
            "a perplexity cannot be scaled. Scale the nats first.": math.exp(nats / tokens) * tokens / words,
            "the nats are divided by the tokens, not by the words.": math.exp(nats / tokens),
        }
        expect(
            not same(per_token, nats / math.log(2) / tokens), "nats per token: the total is in nats already."
        )
        expect_close(per_token, nats / tokens, "nats per token: divide the total by what was predicted.")
        expect(
            not same(perplexity, 2 ** (nats / tokens)),
            "perplexity: a base of 2 belongs to bits, not to nats.",
        )
        expect_close(perplexity, math.exp(nats / tokens), "perplexity: it is made of the nats per token.")
        for message, value in bits_mistakes.items():
            expect(not same(bits, value), f"bits per byte: {message}")
        expect_close(bits, nats / math.log(2) / size, "bits per byte: turn the total into bits, then divide.")
        for message, value in word_mistakes.items():
            expect(not same(per_word, value), f"word perplexity: {message}")
        expect_close(per_word, math.exp(nats / words), "word perplexity: as the perplexity, but per word.")


@exercise("14.2")
def overall(answer: Callable[[list[float], list[int]], float]) -> None:
    """The perplexity of several batches together, from the mean loss and the size of each."""
    for means, counts in (([4.0, 2.0], [10, 30]), ([1.0, 3.0, 2.0], [5, 1, 2])):
        got = result(answer, list(means), list(counts))
        total = sum(mean * count for mean, count in zip(means, counts, strict=True))
        exponentials = [math.exp(mean) for mean in means]
        weighted = sum(e * count for e, count in zip(exponentials, counts, strict=True)) / sum(counts)
        mistakes = {
            "that is the loss. The perplexity is its exponential.": total / sum(counts),
            "a batch of few tokens weighs as much as one of many.": math.exp(sum(means) / len(means)),
            "that is a mean of perplexities, and too large.": sum(exponentials) / len(means),
            "the weights are right, but the exponential comes after the mean, not before.": weighted,
            "that is one over the probability of the whole text: it is not per token.": math.exp(total),
            "the total is divided by the number of batches, not of tokens.": math.exp(total / len(means)),
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        right = math.exp(total / sum(counts))
        expect_close(got, right, f"for means {means} and counts {counts} it is another number.")


@exercise("14.3")
def sign_test(answer: Callable[[int, int], float]) -> None:
    """The probability of a result at least as lopsided, if each message is a fair coin's."""
    got = result(answer, 2, 11)  # fewer than half
    tail, exactly = 67 / 2**11, 55 / 2**11  # 55 + 11 + 1 ways for 9 wins or more
    mistakes = {
        "one side only: as lopsided a result for the other model counts, too.": tail,
        "exactly 2 wins: the still more lopsided results belong to it, too.": exactly,
        "exactly 2 or 9 wins: the still more lopsided results belong to it, too.": 2 * exactly,
        "2 wins of 11 are as lopsided as 9: the other model won the rest.": 1.0,
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    for wins, n, right in ((2, 11, 2 * tail), (8, 9, 2 * 10 / 2**9), (5, 10, 1.0)):
        got = result(answer, wins, n)
        if (torch.as_tensor(got) > 1.0001).any():
            raise NotYet(f"for {wins} of {n} it is above 1, so no probability: something is counted twice.")
        expect_close(got, right, f"for {wins} of {n} it is another number. Count the ways on both sides.")


@exercise("14.4")
def windows(answer: Callable[[Tensor, int, int], tuple[Tensor, Tensor]]) -> None:
    """Rows of k inputs and their k targets, no token but the first without a prediction."""
    for n, k in ((11, 4), (9, 4), (6, 1)):
        ids = torch.arange(10, 10 + n)
        inputs, targets = _inputs_and_targets(result(answer, ids.clone(), k, PAD))
        expect(inputs.shape == targets.shape, "inputs and targets must have the same shape.")
        expect(
            not torch.equal(inputs, targets), "a target is the token after its input, not the input itself."
        )
        predicted = targets[targets != PAD].tolist()
        expect(set(predicted) <= set(ids.tolist()), "the last row must be filled with pad_id, nothing else.")
        expect(10 not in predicted, "the text's first token is a target, but nothing comes before it.")
        expect(len(set(predicted)) == len(predicted), "some tokens are predicted more than once.")
        missing = sorted(set(ids[1:].tolist()) - set(predicted))
        if missing and missing == ids[n - len(missing) :].tolist():
            raise NotYet("the end of the text is never predicted. Fill the last row instead of dropping it.")
        expect(
            not missing, "some tokens are never predicted: they are first in their window, and inputs only."
        )
        rows = -(-(n - 1) // k)
        found = tuple(targets.shape)
        expect(found == (rows, k), f"for {n} tokens and k = {k} the shape is {found}, not {(rows, k)}.")
        expect(
            predicted == ids[1:].tolist(), "the targets must go through the text in its order, row by row."
        )
        before = inputs[targets != PAD]
        expect_close(before, ids[:-1], "an input is the token right before its target.")


@exercise("14.5")
def overlapping(answer: Callable[[Tensor, int, int, int], tuple[Tensor, Tensor]]) -> None:
    """Windows that overlap; each token is scored once, by the window that has read most before it."""
    for window, stride, rows in ((6, 2, 4), (5, 5, 3), (4, 1, 3)):
        ids = torch.arange(10, 11 + window + stride * (rows - 1))
        inputs, targets = _inputs_and_targets(result(answer, ids.clone(), window, stride, PAD))
        for part in (inputs, targets):
            found = tuple(part.shape)
            expect(found == (rows, window), f"the shape is {found}, it should be {(rows, window)}.")
        expect(not (inputs == PAD).any(), "pad_id has got into the inputs, which share the targets' memory.")
        places = stride * torch.arange(rows)[:, None] + torch.arange(window)
        expect_close(inputs, ids[places], "row i of the inputs begins with token i * stride of the text.")
        scored = targets != PAD
        after = ids[places + 1]
        expect(torch.equal(targets[scored], after[scored]), "a target is the token after its input.")
        times = torch.bincount(targets[scored], minlength=10 + len(ids))[11:]  # of all but the first token
        expect(times.max() <= 1, "some tokens are scored by more than one window. Score only the new ones.")
        expect(times.min() == 1, "some tokens are never scored. The first window has no window before it.")
        if scored[1:, : window - stride].any():
            raise NotYet("each token is scored once, but not by the window that has read most before it.")


def _four(got: Any) -> list[float]:
    try:
        values = [float(value) for value in got]
    except (TypeError, ValueError) as error:
        raise NotYet("four numbers are wanted, in the order of the text.") from error
    expect(len(values) == 4, f"four numbers are wanted, and these are {len(values)}.")
    return values


def _inputs_and_targets(got: Any) -> tuple[Tensor, Tensor]:
    try:
        inputs, targets = (torch.as_tensor(part).long() for part in got)
    except (TypeError, ValueError) as error:
        raise NotYet("two tensors are wanted, the inputs and the targets.") from error
    return inputs, targets
