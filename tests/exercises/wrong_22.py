"""Wrong answers to the exercises of chapter 22, of the kind that learners write."""

from collections import Counter

import torch


def accuracy(guess, truth, kind):
    return sum(g == t for g, t in zip(guess, truth, strict=True)) / len(truth)


def precision(guess, truth, kind):
    both = sum(g == t == kind for g, t in zip(guess, truth, strict=True))
    return both / max(1, guess.count(kind))


def plain_mean(guess, truth, kind):
    both = sum(g == t == kind for g, t in zip(guess, truth, strict=True))
    return (both / max(1, guess.count(kind)) + both / max(1, truth.count(kind))) / 2


def one_if_nothing_is_there(guess, truth, kind):
    both = sum(g == t == kind for g, t in zip(guess, truth, strict=True))
    size = guess.count(kind) + truth.count(kind)
    return 2 * both / size if size else 1.0


def twice_as_wide(D, H, K):
    return 2 * H


def _one_way(D, W, K, blocks=4):
    return blocks * (D * W + W * W + W) + W * K + K


def one_side_of_the_output(D, H, K):
    W, limit = 1, 8 * (D * H + H * H + H) + H * K + K
    while _one_way(D, W, K) <= limit:
        W += 1
    return W - 1


def one_too_many(D, H, K):
    W, limit = 1, 8 * (D * H + H * H + H) + 2 * H * K + K
    while _one_way(D, W, K) <= limit:
        W += 1
    return W


def no_gates(D, H, K):
    W, limit = 1, 2 * (D * H + H * H + H) + 2 * H * K + K
    while _one_way(D, W, K, blocks=1) <= limit:
        W += 1
    return W - 1


def compares_all_outputs(network, ids, t):
    before, farthest = network(ids), 0
    for k in range(1, ids.shape[1] - t):
        other = ids.clone()
        other[0, t + k] = (other[0, t + k] + 1) % 10
        if not torch.equal(network(other), before):
            farthest = k
    return farthest


def changes_pile_up(network, ids, t):
    before, other, farthest = network(ids)[0, t], ids.clone(), 0
    for k in range(1, ids.shape[1] - t):
        other[0, t + k] = (other[0, t + k] + 1) % 10
        if not torch.equal(network(other)[0, t], before):
            farthest = k
    return farthest


def stops_early(network, ids, t):
    before = network(ids)[0, t]
    for k in range(1, ids.shape[1] - t):
        other = ids.clone()
        other[0, t + k] = (other[0, t + k] + 1) % 10
        if torch.equal(network(other)[0, t], before):
            return k - 1
    return ids.shape[1] - 1 - t


def in_place(network, ids, t):
    before, farthest = network(ids)[0, t], 0
    for k in range(1, ids.shape[1] - t):
        ids[0, t + k] = (ids[0, t + k] + 1) % 10
        if not torch.equal(network(ids)[0, t], before):
            farthest = k
    return farthest


def place_not_distance(network, ids, t):
    before, farthest = network(ids)[0, t], t
    for place in range(t + 1, ids.shape[1]):
        other = ids.clone()
        other[0, place] = (other[0, place] + 1) % 10
        if not torch.equal(network(other)[0, t], before):
            farthest = place
    return farthest


def _table(keys, tags):
    counts = {}
    for key, tag in zip(keys, tags, strict=True):
        counts.setdefault(key, Counter())[tag] += 1
    return {key: found.most_common(1)[0][0] for key, found in counts.items()}


def _after(words):
    return list(zip(words, [*words[1:], None], strict=True))


def word_before(train_words, train_tags, words):
    def before(row):
        return list(zip(row, [None, *row[:-1]], strict=True))

    pairs, single = _table(before(train_words), train_tags), _table(train_words, train_tags)
    return [pairs.get(pair, single.get(pair[0], 0)) for pair in before(words)]


def no_way_back(train_words, train_tags, words):
    pairs = _table(_after(train_words), train_tags)
    return [pairs.get(pair, 0) for pair in _after(words)]


def last_one_counts(train_words, train_tags, words):
    pairs = dict(zip(_after(train_words), train_tags, strict=True))
    single = dict(zip(train_words, train_tags, strict=True))
    return [pairs.get(pair, single.get(pair[0], 0)) for pair in _after(words)]


def without_the_last(train_words, train_tags, words):
    pairs, single = _table(_after(train_words), train_tags), _table(train_words, train_tags)
    return [pairs.get(pair, single.get(pair[0], 0)) for pair in _after(words)[:-1]]


WRONG = {
    "22.1": [
        (accuracy, "accuracy"),
        (precision, "precision: right ones"),
        (plain_mean, "plain mean"),
        (one_if_nothing_is_there, "missing on both sides"),
    ],
    "22.2": [
        (twice_as_wide, "square of the width"),
        (one_side_of_the_output, "both directions"),
        (one_too_many, "one more"),
        (no_gates, "four blocks"),
    ],
    "22.3": [
        (compares_all_outputs, "no others"),
        (changes_pile_up, "one word at a time"),
        (stops_early, "without effect"),
        (in_place, "clone"),
        (place_not_distance, "a distance"),
    ],
    "22.4": [
        (word_before, "behind"),
        (no_way_back, "word alone"),
        (last_one_counts, "most often"),
        (without_the_last, "The last has one"),
    ],
}
