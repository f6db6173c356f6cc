"""How often each n-gram comes, for every length up to an order, as sorted arrays of whole numbers.

No Python object is made per n-gram or per context: a corpus of three million tokens has seven million
different n-grams of up to five tokens. Nothing is counted across the end of a document, and the first token
of a document is context only: nobody predicts it.

Left out: texts that do not fit into memory, and n-grams too rare to keep (all are kept).
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from lmcore.errors import InputError
from lmcore.tokens import Tokens


class Level(NamedTuple):
    """The n-grams of one length k; ``counts[i]`` is that of the n-gram with key ``keys[i]``.

    A key is r V + w. The last token is w; r is the place, in the level of length k - 1, of the tokens
    before it (0 for k = 1). Keys are sorted, so that the n-grams of one context lie side by side. The first
    level holds all V tokens, also those that never came: there a token's place is its id.
    """

    keys: Int[np.ndarray, " M"]
    counts: Int[np.ndarray, " M"]


def count_ngrams(
    documents: Iterable[np.ndarray], vocab_size: int, order: int, continuation: bool = False
) -> list[Level]:
    """One level per length 1..order, counted over whole documents of token ids.

    With ``continuation`` only the longest n-grams are counted as often as they come. A shorter one counts
    as often as there are different tokens right before it (Kneser and Ney 1995); where it opens a document
    nothing is before it, and each such document counts as one more. So n-grams that begin with ``<bos>``
    keep their plain counts (as in Heafield et al. 2013).

    Raises InputError for an order below 1 or above the longest document, for no documents, a document
    without tokens, or a token outside the vocabulary.
    """
    tokens = Tokens.of(documents)
    _check(tokens, vocab_size, order)
    ids = tokens.ids.astype(np.int64)
    tokens.release()
    place = np.arange(len(ids)) - np.repeat(tokens.starts[:-1], np.diff(tokens.starts))  # in its document
    levels = [Level(np.arange(vocab_size), np.bincount(ids[place > 0], minlength=vocab_size))]
    ranks = ids  # of the n-gram that ends here, in the level counted last
    for length in range(2, order + 1):
        here = np.flatnonzero(place >= length - 1)
        keys = ranks[here - 1] * vocab_size + ids[here]
        keys, found, counts = np.unique(keys, return_inverse=True, return_counts=True)
        if continuation:
            opening = ranks[place == length - 2] if length > 2 else ids[:0]
            before = _tokens_before(ranks[here], found, len(keys), len(levels[-1].keys))
            neighbours = before + np.bincount(opening, minlength=len(before))
            levels[-1] = Level(levels[-1].keys, neighbours)
        ranks = np.full(len(ids), -1)
        ranks[here] = found
        levels.append(Level(keys, counts))
    return levels


def _tokens_before(
    shorter: Int[np.ndarray, " N"], longer: Int[np.ndarray, " N"], num_longer: int, num_shorter: int
) -> Int[np.ndarray, " M"]:
    """How many different tokens come before each n-gram: how many longer ones end with it.

    ``shorter`` and ``longer`` are the ranks of the n-grams that end at N places of the text.
    """
    ending = np.empty(num_longer, np.int64)
    ending[longer] = shorter  # written as often as a longer one comes, each time the same
    return np.bincount(ending, minlength=num_shorter)


def _check(tokens: Tokens, vocab_size: int, order: int) -> None:
    lengths = np.diff(tokens.starts)
    if order < 1:
        raise InputError(f"order is {order}; it must be at least 1")
    if not len(lengths):
        raise InputError("there are 0 documents to count; at least 1 is needed")
    if not lengths.all():
        raise InputError(f"document {int(lengths.argmin())} has 0 tokens; at least 1 is needed")
    longest = int(lengths.max())
    if longest < 2:
        raise InputError("the longest document has 1 token; something to predict begins at 2")
    if order > longest:
        raise InputError(f"order is {order}, but the longest document has {longest} tokens")
    for extreme in (int(tokens.ids.min()), int(tokens.ids.max())):
        if not 0 <= extreme < vocab_size:
            raise InputError(f"token {extreme} is outside vocab_size {vocab_size}")
