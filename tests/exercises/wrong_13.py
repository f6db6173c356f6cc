"""Wrong answers to the exercises of chapter 13, of the kind that learners write."""

import numpy as np
import torch


def alpha_once(counts, alpha):
    return (counts + alpha) / (counts.sum() + alpha)


def kinds_for_tokens(counts, alpha):
    return (counts + alpha) / (counts.sum() + alpha * (counts > 0).sum())


def always_one(counts, alpha):
    return (counts + 1) / (counts.sum() + len(counts))


def parts(word, given, pairs):
    """Count of the pair, count of the context, different tokens after it, P_cont."""
    after = {second: count for (first, second), count in pairs.items() if first == given}
    p_cont = sum(second == word for _, second in pairs) / len(pairs)
    return after.get(word, 0), sum(after.values()), len(after), p_cont


def occurrences_below(word, given, pairs, D):
    count, total, kinds, _ = parts(word, given, pairs)
    below = sum(n for (_, second), n in pairs.items() if second == word) / sum(pairs.values())
    return max(count - D, 0) / total + D * kinds / total * below


def followers_below(word, given, pairs, D):
    count, total, kinds, _ = parts(word, given, pairs)
    below = sum(first == word for first, _ in pairs) / len(pairs)
    return max(count - D, 0) / total + D * kinds / total * below


def discount_given_once(word, given, pairs, D):
    count, total, _, p_cont = parts(word, given, pairs)
    return max(count - D, 0) / total + D / total * p_cont


def the_shortcut(word, given, pairs, D):
    count, total, _, p_cont = parts(word, given, pairs)
    return count / total if count else p_cont


def no_floor(word, given, pairs, D):
    count, total, kinds, p_cont = parts(word, given, pairs)
    return (count - D) / total + D * kinds / total * p_cont


def good_turing(counts):
    n = [np.count_nonzero(counts == i) for i in range(5)]
    return [i - (i + 1) * n[i + 1] / n[i] for i in (1, 2, 3)]


def what_is_left(counts):
    n = [np.count_nonzero(counts == i) for i in range(5)]
    Y = n[1] / (n[1] + 2 * n[2])
    return [(i + 1) * Y * n[i + 1] / n[i] for i in (1, 2, 3)]


def half_a_denominator(counts):
    n = [np.count_nonzero(counts == i) for i in range(5)]
    Y = n[1] / (n[1] + n[2])
    return [i - (i + 1) * Y * n[i + 1] / n[i] for i in (1, 2, 3)]


def undiscounted(counts, shorter, D):
    return torch.where(counts > 0, counts / counts.sum(), shorter)


def discounted_and_all_below(counts, shorter, D):
    return torch.where(counts > 0, (counts - D) / counts.sum(), shorter)


def shared_among_all(counts, shorter, D):
    collected = D * (counts > 0).sum() / counts.sum()
    return torch.where(counts > 0, (counts - D) / counts.sum(), collected * shorter)


def interpolated(counts, shorter, D):
    collected = D * (counts > 0).sum() / counts.sum()
    return (counts - D).clamp(min=0) / counts.sum() + collected * shorter


def n_tokens(pieces, n):
    windows = [pieces[t - n + 1 : t + 1] for t in range(n - 1, len(pieces))]
    return sum(len("".join(window)) for window in windows) / len(windows)


def beyond_the_end(pieces, n):
    windows = [pieces[t - n + 1 : t] for t in range(n - 1, len(pieces) + 1)]
    return sum(len("".join(window)) for window in windows) / len(windows)


def short_contexts_too(pieces, n):
    windows = [pieces[max(0, t - n + 1) : t] for t in range(len(pieces))]
    return sum(len("".join(window)) for window in windows) / len(windows)


WRONG = {
    "13.1": [
        (alpha_once, "only once to their sum"),
        (kinds_for_tokens, "never seen got something"),
        (always_one, "adds one"),
    ],
    "13.2": [
        (occurrences_below, "not its occurrences"),
        (followers_below, "come after it"),
        (discount_given_once, "all of it on"),
        (the_shortcut, "shortcut"),
        (no_floor, "count of 0"),
    ],
    "13.3": [
        (good_turing, "Y is missing"),
        (what_is_left, "what is taken off"),
        (half_a_denominator, "2 n_2"),
    ],
    "13.4": [
        (undiscounted, "shortcut"),
        (discounted_and_all_below, "more than was taken off"),
        (shared_among_all, "goes to nobody"),
        (interpolated, "interpolation"),
    ],
    "13.5": [
        (n_tokens, "not in sight"),
        (beyond_the_end, "no token after it"),
        (short_contexts_too, "fewer before them"),
    ],
}
