"""n-gram models once more, straight from their definitions: dictionaries, loops, no cleverness."""

from collections import Counter, defaultdict

import hypothesis.strategies as st
import numpy as np

VOCAB_SIZE = 9


def plain_counts(documents, length):
    """How often each n-gram comes whose last token is not the first of its document."""
    counts = Counter()
    for document in documents:
        for stop in range(max(2, length), len(document) + 1):
            counts[tuple(document[stop - length : stop])] += 1
    return counts


def neighbour_counts(documents, length):
    """After how many different tokens each n-gram comes; each document that it opens is one more."""
    before = defaultdict(set)
    for number, document in enumerate(documents):
        for stop in range(max(2, length), len(document) + 1):
            start = stop - length
            left = ("token", document[start - 1]) if start else ("document", number)
            before[tuple(document[start:stop])].add(left)
    return Counter({ngram: len(left) for ngram, left in before.items()})


def following(counts, context):
    """Counts of the tokens after a context."""
    return {ngram[-1]: count for ngram, count in counts.items() if ngram[:-1] == context}


def likelihood(documents, order, context, token):
    """Maximum likelihood; ``context`` is as long as the text allows, at most order - 1."""
    after = following(plain_counts(documents, len(context) + 1), context)
    if not after:
        return likelihood(documents, order, context[1:], token)
    return after.get(token, 0) / sum(after.values())


def add_alpha(documents, order, context, token, alpha):
    after = following(plain_counts(documents, len(context) + 1), context)
    return (after.get(token, 0) + alpha) / (sum(after.values()) + alpha * VOCAB_SIZE)


def kneser_ney_counts(documents, order):
    lower = [neighbour_counts(documents, length) for length in range(1, order)]
    return [*lower, plain_counts(documents, order)]


def kneser_ney(counts, discounts, context, token):
    """``counts`` and ``discounts`` by length, from 1 up."""
    length = len(context) + 1
    shorter = 1 / VOCAB_SIZE if not context else kneser_ney(counts, discounts, context[1:], token)
    after = following(counts[length - 1], context)
    if not after:
        return shorter
    taken = {word: discounts[length - 1][min(count, 3) - 1] for word, count in after.items()}
    total = sum(after.values())
    kept = after[token] - taken[token] if token in after else 0.0
    return kept / total + sum(taken.values()) / total * shorter


def chen_goodman(counts):
    """D1, D2, D3+ from the counts of one length; None where they are not defined or not above 0."""
    having = Counter(counts.values())
    n1, n2, n3, n4 = (having[count] for count in (1, 2, 3, 4))
    if 0 in (n1, n2, n3, n4):
        return None
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if min(found) > 0 else None


bodies = st.lists(st.integers(4, VOCAB_SIZE - 1), min_size=2, max_size=12)
texts = st.lists(bodies.map(lambda body: [2, *body, 3]), min_size=1, max_size=5)  # <bos> ... <eos>
bare_texts = st.lists(bodies, min_size=1, max_size=5)  # documents that begin with any token
tokens = st.integers(0, VOCAB_SIZE - 1)


def arrays(documents):
    return [np.array(document, dtype=np.int32) for document in documents]


def long_text(seed, size=1500):
    """A few documents whose frequencies fall as in language, so that discounts can be estimated."""
    random = np.random.default_rng(seed)
    words = 4 + (random.zipf(1.4, size) - 1) % (VOCAB_SIZE - 4)
    words = np.where(random.random(size) < 0.3, np.roll(words, 1), words)
    return [[2, *map(int, part), 3] for part in np.array_split(words, 7)]
