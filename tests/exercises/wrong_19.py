"""Wrong answers to the exercises of chapter 19, of the kind that learners write."""

import math
from itertools import combinations
from statistics import mean, median

import numpy as np


def at_the_same_step(curves, tokens):
    return min(curves, key=lambda name: np.interp(tokens, curves[name][2], curves[name][3]))


def rows_for_tokens(curves, tokens):
    return min(curves, key=lambda name: np.interp(tokens / curves[name][0], curves[name][2], curves[name][3]))


def at_the_end(curves, tokens):
    return min(curves, key=lambda name: curves[name][3][-1])


def at_step(curve, tokens):
    batch_size, seq_len, steps, losses = curve
    return np.interp(tokens / (batch_size * seq_len), steps, losses)


def the_highest(curves, tokens):
    return max(curves, key=lambda name: at_step(curves[name], tokens))


def last_point_before(curves, tokens):
    def loss(name):
        batch_size, seq_len, steps, losses = curves[name]
        reached = [i for i, step in enumerate(steps) if step * batch_size * seq_len <= tokens]
        return losses[reached[-1]]

    return min(curves, key=loss)


def the_loss(curves, tokens):
    return min(at_step(curve, tokens) for curve in curves.values())


def formula(v, n):
    N = len(v)
    return sum(v[i] * math.comb(N - i - 1, n - 1) for i in range(N)) / math.comb(N, n)


def with_replacement(v, n):
    N = len(v)
    return sum(score * (((N - i) / N) ** n - ((N - i - 1) / N) ** n) for i, score in enumerate(sorted(v)))


def best_of_all(v, n):
    return min(v)


def first_n(v, n):
    return min(v[:n])


def expected_worst(v, n):
    return mean(map(max, combinations(v, n)))


def mean_of_the_best(v, n):
    return mean(sorted(v)[:n])


def nats_per_token(nats, size):
    return mean(nats) - min(nats)


def no_bits(nats, size):
    return (mean(nats) - min(nats)) / size


def times_the_bytes(nats, size):
    return (mean(nats) - min(nats)) / math.log(2) * size


def from_the_median(nats, size):
    return (median(nats) - min(nats)) / math.log(2) / size


def from_the_worst(nats, size):
    return (max(nats) - min(nats)) / math.log(2) / size


def below_zero(nats, size):
    return (min(nats) - mean(nats)) / math.log(2) / size


def mixed_losses(p, q, weight):
    return mean(-weight * math.log(a) - (1 - weight) * math.log(b) for a, b in zip(p, q, strict=True))


def weight_of_the_other(p, q, weight):
    return -mean(math.log(weight * b + (1 - weight) * a) for a, b in zip(p, q, strict=True))


def summed(p, q, weight):
    return -sum(math.log(weight * a + (1 - weight) * b) for a, b in zip(p, q, strict=True))


def log_of_the_mean(p, q, weight):
    return -math.log(mean(weight * a + (1 - weight) * b for a, b in zip(p, q, strict=True)))


def the_better_one(p, q, weight):
    return -mean(math.log(max(a, b)) for a, b in zip(p, q, strict=True))


WRONG = {
    "19.1": [
        (at_the_same_step, "leads at the end"),
        (rows_for_tokens, "leads at the end"),
        (at_the_end, "leads at the end"),
        (the_highest, "highest loss"),
        (last_point_before, "straight line"),
        (the_loss, "should be a name"),
    ],
    "19.2": [
        (formula, "in order"),
        (with_replacement, "drawn twice"),
        (best_of_all, "may miss it"),
        (first_n, "one choice"),
        (expected_worst, "expected worst"),
        (mean_of_the_best, "n best"),
    ],
    "19.3": [
        (nats_per_token, "Bits per byte are asked for"),
        (no_bits, "nats per byte"),
        (times_the_bytes, "fewer bits"),
        (from_the_median, "median"),
        (from_the_worst, "worst"),
        (below_zero, "sign"),
    ],
    "19.4": [
        (mixed_losses, "mixed the losses"),
        (weight_of_the_other, "that of the first"),
        (summed, "the sum over"),
        (log_of_the_mean, "after the logarithm"),
        (the_better_one, "nobody knows"),
    ],
}
