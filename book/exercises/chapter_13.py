"""Chapter 13, counting n-grams."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmcore_exercises.checking import exercise, expect, expect_close, result, same

TOKENS = "abc"
PAIRS = {"ab": 3, "ac": 1, "ba": 2, "bb": 2, "ca": 4, "cb": 1, "cc": 1}


@exercise("13.1")
def added_row(answer: Callable[[Tensor, float], Tensor]) -> None:
    """(c + alpha) / (sum of c + alpha V)."""
    for given, alpha in (([3, 1, 0, 0, 0], 0.5), ([2, 0, 7], 0.1)):
        counts = torch.tensor(given, dtype=torch.float64)
        got = result(answer, counts.clone(), alpha)
        V, total, kinds = len(given), counts.sum(), (counts > 0).sum()
        mistakes = {
            "more than 1 in all: alpha came to every count, and only once to their sum.": (counts + alpha)
            / (total + alpha),
            "more than 1 in all: the tokens that were never seen got something, too.": (counts + alpha)
            / (total + alpha * kinds),
            "less than 1 in all: the sum has grown, the counts have not.": counts / (total + alpha * V),
            "that is maximum likelihood: nothing was added.": counts / total,
            "that adds one, whatever alpha is.": (counts + 1) / (total + V),
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        right = (counts + alpha) / (total + alpha * V)
        expect_close(got, right, f"for the counts {given} and alpha = {alpha} the row is another one.")
    unseen = result(answer, torch.zeros(4, dtype=torch.float64), 0.5)
    expect_close(unseen, [0.25] * 4, "after a context that was never seen all tokens are alike.")


@exercise("13.2")
def p_pair(answer: Callable[[Any, Any, Counter, float], float]) -> None:
    """Two discounts, all pairs of three tokens, and a context that was never seen."""
    for D in (0.5, 0.8):
        _check_pairs(answer, D)


def _check_pairs(answer: Callable[[Any, Any, Counter, float], float], D: float) -> None:
    pairs = Counter({tuple(pair): count for pair, count in PAIRS.items()})
    got = [[result(answer, w, h, pairs, D) for w in TOKENS] for h in TOKENS]
    total = {h: sum(pairs[h, w] for w in TOKENS) for h in TOKENS}
    occurrences = {w: sum(pairs[h, w] for h in TOKENS) / sum(PAIRS.values()) for w in TOKENS}
    after = {h: sum((h, w) in pairs for w in TOKENS) for h in TOKENS}
    p_cont = {w: sum((h, w) in pairs for h in TOKENS) / len(pairs) for w in TOKENS}

    def table(entry: Callable[[str, str], float]) -> list[list[float]]:
        return [[entry(h, w) for w in TOKENS] for h in TOKENS]

    def kept(h: str, w: str) -> float:
        return max(pairs[h, w] - D, 0) / total[h]

    def rest(h: str) -> float:
        return D * after[h] / total[h]

    right = table(lambda h, w: kept(h, w) + rest(h) * p_cont[w])
    mistakes = {
        "the lower order counts neighbours before a token, not its occurrences.": table(
            lambda h, w: kept(h, w) + rest(h) * occurrences[w]
        ),
        "P_cont counts the different tokens before a word. These come after it.": table(
            lambda h, w: kept(h, w) + rest(h) * after[w] / len(pairs)
        ),
        "D was taken from each different token after the context. Give all of it on.": table(
            lambda h, w: kept(h, w) + D / total[h] * p_cont[w]
        ),
        "the rows sum to more than 1: D must come off the counts, too.": table(
            lambda h, w: pairs[h, w] / total[h] + rest(h) * p_cont[w]
        ),
        "that is the shortcut, whose rows sum to more than 1.": table(
            lambda h, w: pairs[h, w] / total[h] if (h, w) in pairs else p_cont[w]
        ),
        "the second part is added for seen tokens, too.": table(
            lambda h, w: kept(h, w) if (h, w) in pairs else rest(h) * p_cont[w]
        ),
        "a count of 0 has nothing that could be taken off.": table(
            lambda h, w: (pairs[h, w] - D) / total[h] + rest(h) * p_cont[w]
        ),
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    for h, row in zip(TOKENS, got, strict=True):
        expect(same(sum(row), 1.0), f"the row after {h!r} sums to {float(sum(row)):.3f}, and not to 1.")
    expect_close(got, right, "the rows sum to 1, but they do not keep the token frequencies.")
    unseen = [result(answer, w, "d", pairs, D) for w in TOKENS]
    expect_close(unseen, [p_cont[w] for w in TOKENS], 'after "d", never seen, P_cont decides alone.')


@exercise("13.3")
def three_discounts(answer: Callable[[Any], Any]) -> None:
    """i - (i + 1) Y n_(i+1) / n_i, for two sets of counts in which every n_i is another number."""
    for n in ((10, 4, 3, 2), (20, 9, 5, 3)):
        counts = [i for i, times in enumerate(n, start=1) for _ in range(times)] + [7, 12]
        got = result(answer, torch.tensor(counts).numpy())
        ratios = [n[i] / n[i - 1] for i in (1, 2, 3)]  # n_(i+1) / n_i
        Y = n[0] / (n[0] + 2 * n[1])
        mistakes = {
            "the factor Y is missing.": [i - (i + 1) * r for i, r in enumerate(ratios, 1)],
            "Y has 2 n_2 below the bar, not n_2.": [
                i - (i + 1) * n[0] / (n[0] + n[1]) * r for i, r in enumerate(ratios, 1)
            ],
            "that is what is left of a count. The discount is what is taken off.": [
                (i + 1) * Y * r for i, r in enumerate(ratios, 1)
            ],
            "the ratio is upside down: n_(i+1) is above the bar.": [
                i - (i + 1) * Y / r for i, r in enumerate(ratios, 1)
            ],
            "the factor before Y is i + 1.": [i - i * Y * r for i, r in enumerate(ratios, 1)],
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        right = [i - (i + 1) * Y * r for i, r in enumerate(ratios, 1)]
        expect_close(got, right, f"with n_1 to n_4 = {n} the discounts are other ones.")


@exercise("13.4")
def mended(answer: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    """What was taken off goes to the unseen tokens and to no other."""
    cases = (
        ([3, 1, 0, 0], [0.4, 0.3, 0.2, 0.1], 0.5),
        ([0, 2, 0, 5, 1], [0.1, 0.2, 0.3, 0.15, 0.25], 0.75),
    )
    for numbers, probs, D in cases:
        counts, shorter = (torch.tensor(x, dtype=torch.float64) for x in (numbers, probs))
        got = result(answer, counts.clone(), shorter.clone(), D)
        total, seen = counts.sum(), counts > 0
        off, collected, unseen = (counts - D) / total, D * seen.sum() / total, shorter[~seen].sum()
        to_unseen = collected * shorter / unseen
        mistakes = {
            "that is the shortcut: the seen tokens have all of the row already.": torch.where(
                seen, counts / total, shorter
            ),
            "the unseen tokens get more than was taken off.": torch.where(seen, off, shorter),
            "less than 1 in all: the seen tokens' part of the shorter row goes to nobody.": torch.where(
                seen, off, collected * shorter
            ),
            "that is interpolation. Here the seen tokens get nothing back.": off.clamp(min=0)
            + collected * shorter,
            "the unseen tokens are not alike: share in proportion to the shorter row.": torch.where(
                seen, off, collected / (~seen).sum()
            ),
            "D was taken from every seen token, not once.": torch.where(seen, off, to_unseen / seen.sum()),
            "more than 1 in all: D must come off the seen counts.": torch.where(
                seen, counts / total, to_unseen
            ),
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        right = torch.where(seen, off, to_unseen)
        expect_close(got, right, f"for the counts {numbers} and D = {D} the row is another one.")
    none, shorter = torch.zeros(3, dtype=torch.float64), torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    alone = result(answer, none, shorter.clone(), 0.5)
    expect_close(alone, shorter, "after a context that was never seen the shorter one decides alone.")


@exercise("13.5")
def characters_in_sight(answer: Callable[[list[str], int], float]) -> None:
    """Texts of different lengths, so that every other way to count gives another mean."""
    pieces = ["abcd", "e", "fg", "h", "ijk"]
    sizes = [len(piece) for piece in pieces]
    for n in (3, 2):
        got = result(answer, list(pieces), n)
        before = [sum(sizes[max(0, t - n + 1) : t]) for t in range(len(pieces) + 1)]
        full = before[n - 1 : -1]
        with_it = [sum(sizes[t - n + 1 : t + 1]) for t in range(n - 1, len(pieces))]
        mistakes = {
            "the token that is predicted is not in sight: n - 1 tokens are.": sum(with_it) / len(with_it),
            "the last context has no token after it to predict.": sum(before[n - 1 :]) / len(before[n - 1 :]),
            "leave out the first tokens, which have fewer before them.": sum(before[:-1]) / len(pieces),
            "that is a sum. Take the mean over the tokens.": sum(full),
            "those are tokens. Count their characters.": n - 1,
            "the mean is over contexts, and not every token is in as many of them.": (n - 1)
            * sum(sizes)
            / len(sizes),
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, sum(full) / len(full), f"for {pieces} and n = {n} it is not {got}.")
