"""Wrong answers to the exercises of chapter 21, of the kind that learners write."""

import math


def same_row(log_probs, ids, start):
    return sum(log_probs[i, ids[i]] for i in range(start, len(ids)))


def context_too(log_probs, ids, start):
    return sum(log_probs[i - 1, ids[i]] for i in range(1, len(ids)))


def first_missing(log_probs, ids, start):
    rows, text = log_probs[start:-1], ids[start + 1 :]
    return sum(row[token] for row, token in zip(rows, text, strict=True))


def mean_instead(log_probs, ids, start):
    return sum(log_probs[i - 1, ids[i]] for i in range(start, len(ids))) / (len(ids) - start)


def no_channel(log_channel, log_sentence):
    return log_sentence.softmax(dim=0)


def not_normalised(log_channel, log_sentence):
    return (log_channel + log_sentence).exp()


def added(log_channel, log_sentence):
    total = log_channel.exp() + log_sentence.exp()
    return total / total.sum()


def overflows(log_channel, log_sentence):
    product = (log_channel + log_sentence).exp()
    return product / product.sum()


def ties_are_gifts(scores, own):
    return 1 / (1 + (scores > scores.gather(1, own[:, None])).sum(dim=1))


def by_position(scores, own):
    order = scores.sort(dim=1, descending=True, stable=True).indices
    return 1 / (1 + (order == own[:, None]).long().argmax(dim=1))


def from_two(scores, own):
    return 1 / (1 + (scores >= scores.gather(1, own[:, None])).sum(dim=1))


def lowest_first(scores, own):
    return 1 / (scores <= scores.gather(1, own[:, None])).sum(dim=1)


def only_the_mean(scores, own):
    return (1 / (scores >= scores.gather(1, own[:, None])).sum(dim=1)).mean()


def not_shared(typed, word, alpha, n):
    return math.log(alpha) if typed == word else math.log(1 - alpha)


def certain(typed, word, alpha, n):
    return 0.0 if typed == word else math.log((1 - alpha) / n)


def alpha_forgotten(typed, word, alpha, n):
    return math.log(alpha) if typed == word else -math.log(n)


def not_logarithms(typed, word, alpha, n):
    return alpha if typed == word else (1 - alpha) / n


WRONG = {
    "21.1": [
        (same_row, "has read already"),
        (context_too, "context is scored"),
        (first_missing, r"ids\[start\] is missing"),
        (mean_instead, "mean over the tokens"),
    ],
    "21.2": [
        (no_channel, "channel has no part"),
        (not_normalised, "do not sum to 1"),
        (added, "these were added"),
        (overflows, "near -900"),
    ],
    "21.3": [
        (ties_are_gifts, "equal score must count"),
        (by_position, "equal score must count"),
        (from_two, "begin at 1"),
        (lowest_first, "lowest score came first"),
        (only_the_mean, "one number"),
    ],
    "21.4": [
        (not_shared, "for all misspellings together"),
        (certain, "probability alpha, not 1"),
        (alpha_forgotten, "alpha is missing"),
        (not_logarithms, "logarithms were asked for"),
    ],
}
