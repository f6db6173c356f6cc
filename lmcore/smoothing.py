"""Three ways to make probabilities of counts: maximum likelihood, Laplace, modified Kneser-Ney.

Each takes documents of token ids (``<bos> ... <eos>``) and gives an `NGramLM`, or raises InputError where
`count_ngrams` does: an order below 1 or above the longest document, a token outside the vocabulary, no
documents, or one without tokens.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Int

from lmcore.counts import Level, count_ngrams
from lmcore.errors import InputError
from lmcore.ngram import NGramLM, NGramTable

Discounts = tuple[float, float, float]  # taken off counts of 1, of 2, and of 3 or more
NO_DISCOUNTS = (0.0, 0.0, 0.0)
FIXED_DISCOUNTS = (0.5, 1.0, 1.5)  # where they cannot be estimated


def maximum_likelihood(documents: Iterable[np.ndarray], vocab_size: int, order: int) -> NGramLM:
    """count(context, token) / count(context).

    A token that never followed the context has probability 0. After a context that was never seen, the
    longest part of its end that was seen decides, so that every row still sums to one.
    """
    levels = count_ngrams(documents, vocab_size, order)
    tables = _tables(levels, vocab_size, [NO_DISCOUNTS] * order)
    return NGramLM(vocab_size, tables, to_all=False, about={"smoothing": "maximum likelihood"})


def laplace(documents: Iterable[np.ndarray], vocab_size: int, order: int, alpha: float = 1.0) -> NGramLM:
    """(count(context, token) + alpha) / (count(context) + alpha V); with alpha 1 "add one".

    After a context that was never seen all tokens are alike. Raises InputError for an alpha not above 0.
    """
    if not 0 < alpha < float("inf"):
        raise InputError(f"alpha is {alpha}; it must be above 0")
    levels = count_ngrams(documents, vocab_size, order)
    tables = _tables(levels, vocab_size, [NO_DISCOUNTS] * order, added=alpha * vocab_size)
    return NGramLM(vocab_size, tables, to_all=True, about={"smoothing": "laplace", "alpha": alpha})


def kneser_ney(
    documents: Iterable[np.ndarray],
    vocab_size: int,
    order: int,
    discounts: Sequence[Discounts] | None = None,
) -> NGramLM:
    """Interpolated modified Kneser-Ney (Chen and Goodman 1999); no token has probability 0.

    A discount is taken off every count. What this collects after a context goes to the shorter context,
    at last to all tokens alike. The longest n-grams are counted as they come, the shorter ones by how many
    different tokens come before them (see `count_ngrams`).

    The discounts of each length are those of `estimate_discounts`. Where it has no answer, because some
    count from 1 to 4 never occurs (there are few characters, and all of them are frequent), they are 0.5, 1
    and 1.5. ``about`` tells both: "discounts" and whether they were "estimated". Or give three per length,
    from 1 to ``order``; 0 throughout a length can leave tokens with probability 0. Raises InputError for a
    discount below 0 or above the count that it is taken off.
    """
    if discounts is not None:
        _check_discounts(discounts, order)
    levels = count_ngrams(documents, vocab_size, order, continuation=True)
    found = [None if discounts else estimate_discounts(level.counts) for level in levels]
    used = discounts or [own or FIXED_DISCOUNTS for own in found]
    about = {
        "smoothing": "kneser-ney",
        "discounts": [list(taken) for taken in used],
        "estimated": [own is not None for own in found],
    }
    return NGramLM(vocab_size, _tables(levels, vocab_size, used), to_all=False, about=about)


def estimate_discounts(counts: Int[np.ndarray, " M"]) -> Discounts | None:
    """Discounts for counts of 1, of 2 and of more, from how many n-grams have a count of 1, 2, 3 and 4.

    As in Chen and Goodman (1999): with Y = n1 / (n1 + 2 n2), the discount of count c is
    ``c - (c + 1) Y n(c+1) / n(c)``. None if one of n1..n4 is 0 or a discount is not above 0.
    """
    n = [np.count_nonzero(counts == count) for count in range(5)]
    if 0 in n[1:]:
        return None
    y = n[1] / (n[1] + 2 * n[2])
    one, two, more = (float(count - (count + 1) * y * n[count + 1] / n[count]) for count in (1, 2, 3))
    return (one, two, more) if min(one, two, more) > 0 else None


def _check_discounts(discounts: Sequence[Discounts], order: int) -> None:
    if len(discounts) != order:
        raise InputError(f"there are discounts for {len(discounts)} lengths, but the order is {order}")
    for taken in discounts:
        for count, discount in zip((1, 2, 3), taken, strict=True):
            if not 0 <= discount <= count:
                raise InputError(f"the discount of count {count} is {discount}; it must be in [0, {count}]")


def _tables(
    levels: list[Level], vocab_size: int, discounts: Sequence[Discounts], added: float = 0.0
) -> list[NGramTable]:
    """One table per length; a level has as many contexts as the level before has n-grams."""
    num_contexts = [1, *(len(level.keys) for level in levels[:-1])]
    parts = zip(levels, num_contexts, discounts, strict=True)
    return [_table(*part, vocab_size, added) for part in parts]


def _table(
    level: Level, num_contexts: int, discounts: Discounts, vocab_size: int, added: float
) -> NGramTable:
    """Share: the discounted count over its context's total; rest: what the discounts collect, likewise.

    ``added`` goes to every total and every rest, as if something else had come so often. A context that
    nothing ever followed keeps nothing back: its rest is 1.
    """
    contexts = level.keys // vocab_size
    taken = np.array([0.0, *discounts])[np.minimum(level.counts, 3)]
    totals = added + np.bincount(contexts, level.counts, num_contexts)
    collected = added + np.bincount(contexts, taken, num_contexts)
    share = (level.counts - taken) / totals[contexts]
    rest = np.divide(collected, totals, out=np.ones(num_contexts), where=totals > 0)
    never_seen = {"share": 0.0, "rest": 1.0}
    return NGramTable(
        torch.from_numpy(level.keys),
        torch.from_numpy(np.append(share, never_seen["share"])),
        torch.from_numpy(np.append(rest, never_seen["rest"])),
    )
