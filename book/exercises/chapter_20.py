"""Chapter 20, is my loss normal?"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from statistics import mean

import torch
from torch import Tensor

from lmcore_exercises.checking import exercise, expect, expect_close, result, same

VERDICTS = ("normal", "sum", "high", "low")
DOCUMENTS = [[3, 1, 3, 1, 3, 2, 1, 3, 3, 1], [2, 3, 1]]


@exercise("20.1")
def first_loss(answer: Callable[[float, int, int], str]) -> None:
    """Four verdicts on the loss before the first step."""
    level = math.log(50)
    base = "it is ln 50, and that is normal with 50 tokens. Take the logarithm to base e."
    near = "it lies within 0.1 of ln V, and that is normal, however many predictions were averaged."
    divide = "it is the sum over all predictions of a batch. Divide by their number, and look again."
    cases = (
        (level, 1, "normal", base),
        (level + 0.05, 64, "normal", near),
        (level - 0.05, 64, "normal", near),
        (64 * level, 64, "sum", divide),
        (64 * (level + 0.05), 64, "sum", "divided by 64 it lies within 0.1 of ln V: a sum was reported."),
        (level + 1, 64, "high", "that is well above ln V, and no sum."),
        (level - 1, 64, "low", "well below ln V before any training is no luck. Look at both sides."),
        (10 * level, 64, "high", "divided by 64 it is far from ln V. Not every large loss is a sum."),
    )
    for loss, predictions, verdict, message in cases:
        got = result(answer, loss, 50, predictions)
        expect(got in VERDICTS, f"the answer should be one of {', '.join(VERDICTS)}, and it is {got!r}.")
        expect(got == verdict, f"{loss:.2f} with V = 50 and {predictions} predictions: {message}")


@exercise("20.2")
def unpadded(answer: Callable[[float, float, float], float]) -> None:
    """The loss of real positions from a mean that holds padding, too."""
    for reported, real, cost in ((1.2, 0.6, 0.1), (3.9, 0.5, 3.9), (1.1, 0.55, 0.0)):
        got = result(answer, reported, real, cost)
        left = reported - (1 - real) * cost
        right = left / real
        mistakes = {
            "the padding pulls the mean down: the true loss is above the reported one.": reported * real,
            "the padding is not always free. Take its cost off before you divide.": reported / real,
            "what is left without the padding belongs to the real positions alone: divide.": left,
            "the padding's cost counts only with the share of the padding.": (reported - cost) / real,
            "the shares are the wrong way round.": (reported - real * cost) / (1 - real),
        }
        for message, value in mistakes.items():
            expect(not same(got, value) or same(value, right), message)
        expect_close(got, right, "write the reported loss as a sum of two parts, and solve for the true one.")


@exercise("20.3")
def shifts(answer: Callable[[Tensor, Tensor], list[int]]) -> None:
    """Which shifts fit, for batches that are right, wrong, mixed up and of one token only."""
    text = torch.randperm(36, generator=torch.Generator().manual_seed(0)).view(3, 12)
    inputs, right = text[:, 2:10], text[:, 3:11]
    found = fitting(answer, inputs, right)
    expect(found != [-1], "this batch is right. Its targets are one place ahead: the shift is 1, not -1.")
    expect(found != [], "nothing fits a batch that is right. Compare only where both exist: roll wraps.")
    expect(found == [1], f"for a batch that is right the list should be [1], and it is {found}.")
    for k in (0, 2, -1, -2):
        found = fitting(answer, inputs, text[:, 2 + k : 10 + k])
        expect(found == [k], f"for targets shifted by {k} the list should be [{k}], and it is {found}.")
    found = fitting(answer, inputs, right[[0, 2, 1]])
    expect(found == [], "the first row fits, and the others do not. Look at every row.")
    found = fitting(answer, inputs, torch.cat([right[:, :4], right[:, 4:].flip(1)], dim=1))
    expect(found == [], "a shift has to fit at every place, not at some.")
    found = fitting(answer, torch.full((2, 5), 7), torch.full((2, 5), 7))
    expect(found == [-2, -1, 0, 1, 2], "rows of one and the same token fit every shift: list all five.")


def fitting(answer: Callable, inputs: Tensor, targets: Tensor) -> list[int]:
    """The reader's list."""
    got = result(answer, inputs.clone(), targets.clone())
    expect(isinstance(got, list | tuple), f"the answer should be a list of shifts, and it is {got!r}.")
    return list(got)


@exercise("20.4")
def bigram_floor(answer: Callable[[list[list[int]]], float]) -> None:
    """The conditional entropy of the next token, in nats, on the counted text itself."""
    got = result(answer, [list(ids) for ids in DOCUMENTS])
    pairs, line = pairs_of(DOCUMENTS), [token for ids in DOCUMENTS for token in ids]
    right = entropy(pairs) - entropy(first for first, _ in pairs)
    nats, tokens = right * len(pairs), Counter(line)
    crossing = pairs_of([line])
    crossed = entropy(crossing) - entropy(first for first, _ in crossing)
    after = [[then for first, then in pairs if first == token] for token in tokens]
    with_last = sum(n * math.log(tokens[first] / n) for (first, _), n in Counter(pairs).items())
    mistakes = {
        "no pair goes from one document into the next.": crossed,
        "those are bits. Nats come from the logarithm to base e.": right / math.log(2),
        "that is the sum over all predictions. Divide by their number.": nats,
        "the first token of a document is no prediction: divide by fewer.": nats / len(line),
        "that is the loss of whole pairs, and the first of the two is known.": entropy(pairs),
        "that is the unigram level. The token before is known.": entropy(then for _, then in pairs),
        "frequent contexts count more: take the mean over predictions.": mean(map(entropy, after)),
        "the last token of a document has no successor: it is no context.": with_last / len(pairs),
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(got, right, "for two short documents it is another number. Count the pairs by hand.")
    got = result(answer, [[0, 1, 0, 1, 0]])
    expect_close(got, 0.0, "where each token has one successor nothing is left to guess: it should be 0.")


def pairs_of(documents: list[list[int]]) -> list[tuple[int, int]]:
    return [pair for ids in documents for pair in pairwise(ids)]


def entropy(things: Iterable) -> float:
    """Nats per thing when each is guessed by its own frequency."""
    counts = Counter(things)
    total = counts.total()
    return sum(count * math.log(total / count) for count in counts.values()) / total
