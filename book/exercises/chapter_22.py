"""Chapter 22, reading in both directions."""

from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor

from lmcore_exercises.checking import exercise, expect, expect_close, result, same


@exercise("22.1")
def f1(answer: Callable[[list[int], list[int], int], float]) -> None:
    """F1 of one tag: sometimes right, never right, and not there at all."""
    guess, truth = [0, 2, 0, 2, 2, 0, 1, 0], [0, 2, 0, 0, 1, 2, 1, 0]  # tag 2: 3 guessed, 2 true, 1 both
    got = result(answer, guess, truth, 2)
    mistakes = {
        "that is the accuracy: the part of all places with the right tag. F1 looks at one tag.": 5 / 8,
        "that is the precision: right ones among the guessed. F1 needs the recall, too.": 1 / 3,
        "that is the recall: right ones among the true. F1 needs the precision, too.": 1 / 2,
        "that is the plain mean of precision and recall. F1 is the harmonic one.": 5 / 12,
        "a factor of two is missing: both are divided by the mean of guessed and true.": 1 / 5,
        "places where the tag is guessed or true count once each here. Divide by the mean of the two "
        "counts instead.": 1 / 4,
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(got, 2 / 5, "three times guessed, twice true, once both: that makes 2 / 5.")
    expect_close(result(answer, guess, truth, 1), 2 / 3, "it is right for one tag and not for another.")
    nothing = "is 0 where nothing is right, and the tag may be missing on both sides."
    expect_close(result(answer, [0, 3], [3, 0], 3), 0.0, f"F1 {nothing}")
    expect_close(result(answer, guess, truth, 7), 0.0, f"F1 {nothing}")


@exercise("22.2")
def equal_width(answer: Callable[[int, int, int], int]) -> None:
    """The widest LSTM within the parameters of two, for two choices of sizes."""
    for D, H, K in ((64, 64, 8), (8, 16, 100)):
        got = result(answer, D, H, K)
        right = _widest(D, K, 2 * _lstm(D, H) + 2 * H * K + K)
        mistakes = {
            f"{2 * H} units in one direction are too many: the matrix from state to state grows with the "
            "square of the width, so two of half the width have half the numbers.": 2 * H,
            "there are two LSTMs to pay for, not one.": H,
            "one more unit than that would be too many, and this is one more.": right + 1,
            "the output layer of the bidirectional network sees the states of both directions.": _widest(
                D, K, 2 * _lstm(D, H) + H * K + K
            ),
            "both networks have an output layer, and it counts.": _widest(D, 0, 2 * _lstm(D, H)),
            "an LSTM has four blocks of matrices and biases: three gates and the candidate.": _widest(
                D, K, 2 * _lstm(D, H, blocks=1) + 2 * H * K + K, blocks=1
            ),
        }
        for message, value in mistakes.items():
            expect(got != value or value == right, message)
        expect(got == right, f"for D = {D}, H = {H}, K = {K} it is not {got}.")


def _lstm(D: int, W: int, blocks: int = 4) -> int:
    return blocks * (D * W + W * W + W)


def _widest(D: int, K: int, limit: int, blocks: int = 4) -> int:
    """The largest width whose LSTM and output layer for K tags stay within the limit."""
    too_wide = (W for W in count(1) if _lstm(D, W, blocks) + W * K + K > limit)
    return next(too_wide) - 1


@exercise("22.3")
def reach(answer: Callable[[Callable[[Tensor], Tensor], Tensor, int], int]) -> None:
    """How far small networks look ahead: not at all, one word, the third only, to the end."""
    numbers = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ids, t = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6, 5]]), 2
    given, to_the_end = ids.clone(), ids.shape[1] - 1 - t

    def back(ids: Tensor) -> Tensor:
        return numbers[ids].cumsum(dim=1)

    def ahead(ids: Tensor, k: int) -> Tensor:
        x = numbers[ids]
        return torch.cat([x[:, :-k] + x[:, k:], x[:, -k:]], dim=1)

    def everything(ids: Tensor) -> Tensor:
        return numbers[ids] + numbers[ids].sum(dim=1, keepdim=True)

    got = result(answer, back, ids, t)
    expect(torch.equal(ids, given), "the ids that were handed in have changed. Work on a clone.")
    expect(got != t, "that is a place in the row. Asked is a distance from t.")
    expect(
        got != to_the_end,
        "a network that looks back only is said to look ahead. When a later word changes, so does the output "
        "at that word: compare the outputs at t and no others.",
    )
    expect(got == 0, f"a network that looks back only has a reach of 0, not {got}.")
    got = result(answer, lambda ids: ahead(ids, 1), ids, t)
    expect(got != t + 1, "that is a place in the row. Asked is a distance from t.")
    expect(
        got != to_the_end,
        "a network that sees one word ahead is said to see all. Change one word at a time: an earlier change "
        "must be gone when you try the next place.",
    )
    expect(got == 1, f"a network that sees one word ahead has a reach of 1, not {got}.")
    got = result(answer, lambda ids: ahead(ids, 3), ids, t)
    expect(
        got != 0,
        "a network that sees the third word ahead, and not the first two, got 0. Do not stop at a word "
        "without effect.",
    )
    expect(got != 1, "asked is the distance of the farthest word that matters, not how many matter.")
    expect(got == 3, f"a network that sees the third word ahead has a reach of 3, not {got}.")
    got = result(answer, everything, ids, t)
    expect(
        got == to_the_end,
        f"all {to_the_end} words behind place {t} count here, and you find {got}.",
    )


@exercise("22.4")
def by_pair(answer: Callable[[list[str], list[int], list[str]], list[int]]) -> None:
    """Tags by pairs of words, by words where the pair is new, and 0 where the word is new."""
    train = _words("north the ship north and south north and west north and north the end")
    tags = [2, 4, 0, 0, 0, 2, 0, 0, 1, 0, 0, 2, 4, 6]
    words = _words("south the ship and north and end the north the north and north moon end")
    got = list(result(answer, train, tags, words))
    expect(
        len(got) == len(words),
        f"{len(words)} words need as many tags, not {len(got)}. The last has one, too.",
    )
    mistakes = {
        "the pair is a word and the word *behind* it. It was taken with the one before.": _tags_by(
            train, tags, words, before=True
        ),
        "the words alone decide here. The pair comes first.": _tags_by(train, tags, words, pairs=False),
        "a pair that never occurred leaves the decision to the word alone.": _tags_by(
            train, tags, words, single=False
        ),
        "that is the tag which came last in training. Asked is the one that came most often.": _tags_by(
            train, tags, words, last=True
        ),
    }
    for message, value in mistakes.items():
        expect(got != value, message)
    right = _tags_by(train, tags, words)
    wrong = next((i for i, pair in enumerate(zip(got, right, strict=True)) if pair[0] != pair[1]), None)
    expect(wrong is None, f"word {wrong} of the test, {words[wrong or 0]!r}, has another tag. Go by hand.")


def _words(text: str) -> list[str]:
    return text.split()


def _tags_by(
    train: list[str],
    tags: list[int],
    words: list[str],
    before: bool = False,
    pairs: bool = True,
    single: bool = True,
    last: bool = False,
) -> list[int]:
    """The right tags, or those of one mistake."""

    def keys(row: list[str]) -> list[tuple]:
        return list(zip(row, [None, *row[:-1]] if before else [*row[1:], None], strict=True))

    def best(found: list[int]) -> int:
        return found[-1] if last else max(found, key=found.count)

    tagged = list(zip(keys(train), tags, strict=True))
    chosen = []
    for key in keys(words):
        of_pair = [tag for seen, tag in tagged if seen == key]
        of_word = [tag for seen, tag in tagged if seen[0] == key[0]]
        usable = (of_pair if pairs else []) or (of_word if single else [])
        chosen.append(best(usable) if usable else 0)
    return chosen
