"""A smaller n-gram model out of a large one: rare n-grams go, and their probability to the shorter context.

Left out: choosing by what each n-gram changes in the predictions (Stolcke 1998), which keeps a little more of
the quality at the same size; counts are what a reader can check.
"""

from collections.abc import Iterable

import numpy as np
import torch

from lmcore.counts import Level, count_ngrams
from lmcore.errors import InputError
from lmcore.ngram import NGramLM, NGramTable


def prune(model: NGramLM, documents: Iterable[np.ndarray], most: int) -> NGramLM:
    """The model with at most ``most`` n-grams of two tokens and more: those that come most often.

    ``documents`` are those that the model was counted from. All n-grams with the same count stay or go
    together, so that there may be fewer than ``most``. The first level keeps all V tokens, and an n-gram that
    stays keeps its beginning, which came at least as often. Where none of a length stays, the order falls.
    Rows still sum to one. ``about["pruned"]`` tells the smallest count that was kept.

    Raises InputError for a ``most`` below 0, for a model that gives its rest to all tokens alike (Laplace),
    and for documents that hold other n-grams.
    """
    if most < 0:
        raise InputError(f"most is {most}; it must be 0 or above")
    if model.to_all:
        raise InputError("the rest of this n-gram model goes to all tokens alike: pruning would change much")
    levels = count_ngrams(documents, model.vocab_size, model.order)
    for level, table in zip(levels, model.tables, strict=True):
        if not np.array_equal(level.keys, table.keys.numpy()):
            raise InputError("the documents hold other n-grams than the model was counted from")
    least = _smallest_count(levels[1:], most)
    kept = [np.ones(model.vocab_size, dtype=bool), *(level.counts >= least for level in levels[1:])]
    before = [np.ones(1, dtype=bool), *kept[:-1]]
    parts = [each for each in zip(model.tables, before, kept, strict=True) if each[2].any()]
    tables = [_smaller(table, contexts, ngrams, model.vocab_size) for table, contexts, ngrams in parts]
    return NGramLM(model.vocab_size, tables, to_all=False, about={**model.about, "pruned": {"least": least}})


def _smallest_count(levels: list[Level], most: int) -> int:
    """The smallest c for which at most ``most`` n-grams have a count of c or more."""
    counts = np.sort(np.concatenate([np.empty(0, np.int64), *(level.counts for level in levels)]))[::-1]
    return int(counts[most]) + 1 if len(counts) > most else 1


def _smaller(table: NGramTable, contexts: np.ndarray, ngrams: np.ndarray, vocab_size: int) -> NGramTable:
    """A table with some of its contexts (C,) and n-grams (M,), each kept n-gram in a kept context."""
    keys, share, rest = (part.numpy() for part in (table.keys, table.share, table.rest))
    old = keys // vocab_size
    dropped = np.bincount(old[~ngrams], share[:-1][~ngrams], minlength=len(contexts))
    new = np.cumsum(contexts) - 1  # the place of each kept context among the kept
    return NGramTable(
        torch.from_numpy(new[old[ngrams]] * vocab_size + keys[ngrams] % vocab_size),
        torch.from_numpy(np.append(share[:-1][ngrams], share[-1])),
        torch.from_numpy(np.append((rest[:-1] + dropped)[contexts], rest[-1])),
    )
