"""Chapter 3, embeddings."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore_exercises.checking import exercise, expect, expect_close, result, same

# chosen so that every usual mistake finds other neighbours of 2 - 5 + 0
TABLE = torch.tensor(
    [[1, -1, -6], [-3, -3, 2], [-1, -3, 2], [0, 6, -3], [9, -6, 0], [-3, 3, 3], [4, -2, -6], [-2, -2, -9]]
).float()


@exercise("3.1")
def start_table(answer: Callable[[int, int, int], Tensor]) -> None:
    """60 rows of 40 numbers, of which row 3 is the padding; their spread says how they were drawn."""
    V, D, pad_id = 60, 40, 3
    a = (6 / (V + D)) ** 0.5
    table = result(answer, V, D, pad_id)
    expect(isinstance(table, Tensor), "a tensor (V, D) was expected.")
    expect(table.shape == (V, D), f"the shape is {tuple(table.shape)}, it should be {(V, D)}.")
    table = table.detach()
    expect((table != 0).any(), "all numbers are zero: all tokens would be the same to the network.")
    expect((table[0] != 0).any(), "row 0 is zero. The padding row is the one that pad_id names.")
    expect((table[pad_id] == 0).all(), "the padding row is not zero. Was it filled again, like all others?")
    others = table[torch.arange(V) != pad_id]
    spread, largest = others.std(), others.abs().max()
    expect(spread < 0.7, "the standard deviation is near 1: nn.Embedding's own start, not Xavier's.")
    expect(others.min() < 0, "no number is negative. The range goes from -a to a.")
    message = f"some numbers are as large as {largest:.3f}, and a is {a:.3f} for V = {V} and D = {D}."
    expect(largest < 1.001 * a, message)
    message = f"no number is larger than {largest:.3f}, and a is {a:.3f} for V = {V} and D = {D}."
    expect(largest > 0.9 * a, message)
    expect(abs(spread / a * 3**0.5 - 1) < 0.1, "the numbers do not lie evenly between -a and a.")


@exercise("3.2")
def table_gradient(answer: Callable[[Tensor, Tensor, int, int], Tensor]) -> None:
    """Two batches of six places: one token stands at two of them, and the last place is padding."""
    arriving = torch.arange(1.0, 19.0).view(2, 3, 3)
    for ids, pad_id in ((torch.tensor([[1, 2, 3], [1, 2, 0]]), 0), (torch.tensor([[0, 2, 3], [0, 2, 4]]), 4)):
        got = result(answer, ids.clone(), arriving.clone(), 6, pad_id)
        expect(isinstance(got, Tensor), "a tensor (V, D) was expected.")
        expect(got.shape == (6, 3), f"the shape is {tuple(got.shape)}, it should be (6, 3): a row per token.")
        twice = int(ids[0, 0])
        first, second = arriving[0, 0], arriving[1, 0]
        message = (
            f"token {twice} stands at two places, and its row holds what arrived at one of them. "
            "With an id that occurs twice, table[ids] += ... keeps one addition only."
        )
        expect(not same(got[twice], first) and not same(got[twice], second), message)
        expect(not same(got[twice], (first + second) / 2), "that is a mean. A row adds up what arrives.")
        expect(not same(got[twice], [2, 2, 2]), "that counts the places. Add up what arrives at them.")
        message = "the padding row must stay zero, whatever arrives at its places."
        expect(not same(got[pad_id], arriving[1, 2]), message)
        wanted = torch.zeros(6, 3)
        for token, row in zip(ids.flatten().tolist(), arriving.flatten(0, 1), strict=True):
            wanted[token] += row if token != pad_id else 0
        expect_close(got, wanted, f"for the ids {ids.tolist()} it is another gradient.")


@exercise("3.3")
def even_width(answer: Callable[[int, int], float]) -> None:
    """D from V = N (2 D + 1), for numbers with which no usual mistake meets the right width."""
    for V, N in ((41, 3), (8192, 2)):
        got = result(answer, V, N)
        mistakes = {
            "the bias of the layers is missing. It is small, but it counts.": V / N / 2,
            "a layer has two matrices, one for the input and one for the state.": V / N - 1,
            "all N layers count, not only one.": (V - 1) / 2,
            "only one table was asked for, not one more for the output layer.": (2 * V / N - 1) / 2,
            "at this whole number the two sides are not equal. Do not round.": (V // N - 1) // 2,
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, (V / N - 1) / 2, f"for V = {V} and N = {N} the two are not equal at this width.")


@exercise("3.4")
def average_cosine(answer: Callable[[Tensor], Tensor]) -> None:
    """Rows of different lengths, three and four of them."""
    for rows in (torch.tensor([[1, 0], [2, 0], [0, 3]]), torch.tensor([[3, 4], [4, 3], [-5, 0], [0, 2]])):
        rows, N = rows.float(), len(rows)
        pairs = N * (N - 1)
        cosines, products = F.normalize(rows, dim=1) @ F.normalize(rows, dim=1).T, rows @ rows.T
        total, dots = cosines.sum() - N, products.sum() - products.trace()
        got = result(answer, rows.clone())
        mistakes = {
            "every row was compared with itself, too, and is of course like itself.": cosines.mean(),
            "the lengths have a part in it. Scale every row to length 1.": dots / pairs,
            "the diagonal has left the sum, but it still counts in the number of pairs.": total / N**2,
            "that is a sum over the pairs. Divide it by their number.": total,
            "half of the pairs were added up, and all of them were counted.": total / 2 / pairs,
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, total / pairs, f"for the rows {rows.tolist()} it is another number.")


@exercise("3.5")
def analogy(answer: Callable[[Tensor, int, int, int, int], Tensor]) -> None:
    """2 - 5 + 0 and 6 - 1 + 4 in a table of eight rows."""
    a, b, c = 2, 5, 0
    unit = F.normalize(TABLE, dim=1)
    got = _ids(result(answer, TABLE.clone(), a, b, c, 2))
    expect(len(got) == 2, f"k is 2, and there are {len(got)} answers.")
    expect(not {a, b, c} & set(got), "a token of the question is among the answers. Leave all three out.")
    query, raw = unit[a] - unit[b] + unit[c], TABLE[a] - TABLE[b] + TABLE[c]
    turned = (unit[b] - unit[a] + unit[c], unit[a] + unit[b] - unit[c], unit[a] + unit[b] + unit[c])
    mistakes = {
        "the signs are wrong: a and c are added, b is taken away.": [_best(unit, other) for other in turned],
        "add and subtract rows of length 1. Long rows would count for more.": [
            _best(unit, raw),
            _best(TABLE, raw),
        ],
        "the query is compared with rows of different length: compare it with the rows of length 1.": [
            _best(TABLE, query)
        ],
        "these are the farthest ones. The largest cosine is the best.": [_best(-unit, query)],
        "these are the neighbours of c alone.": [_best(unit, unit[c])],
    }
    for message, others in mistakes.items():
        expect(got not in others, message)
    expect(got == _best(unit, query), f"the answers to {a} - {b} + {c} are others, or in another order.")
    got = _ids(result(answer, TABLE.clone(), 6, 1, 4, 3))
    expect(got == [0, 7, 3], "with another question, and k = 3, the answers are others.")


def _best(table: Tensor, query: Tensor) -> list[int]:
    """The two rows with the largest product, the question 2, 5, 0 left out."""
    products = table @ query
    products[[2, 5, 0]] = -torch.inf
    return products.topk(2).indices.tolist()


def _ids(answer: Tensor | list[int]) -> list[int]:
    several = isinstance(answer, torch.return_types.topk)
    expect(not several, "topk gives two things, the values and their indices. The indices are the ids.")
    return [int(token) for token in answer]
