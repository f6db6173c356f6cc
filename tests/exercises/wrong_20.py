"""Wrong answers to the exercises of chapter 20, of the kind that learners write."""

import math
from collections import Counter
from itertools import pairwise

import torch


def verdict(loss, level, predictions):
    if abs(loss - level) < 0.1:
        return "normal"
    if abs(loss / predictions - level) < 0.1:
        return "sum"
    return "high" if loss > level else "low"


def base_two(loss, V, predictions):
    return verdict(loss, math.log2(V), predictions)


def always_divided(loss, V, predictions):
    return verdict(loss / predictions, math.log(V), 1)


def knows_no_sum(loss, V, predictions):
    return verdict(loss, math.log(V), 1)


def low_is_good(loss, V, predictions):
    found = verdict(loss, math.log(V), predictions)
    return "normal" if found == "low" else found


def large_is_a_sum(loss, V, predictions):
    return "sum" if loss > 2 * math.log(V) else verdict(loss, math.log(V), predictions)


def true_or_false(loss, V, predictions):
    return abs(loss - math.log(V)) < 0.1


def multiplied(reported, real_share, padding_cost):
    return reported * real_share


def padding_for_nothing(reported, real_share, padding_cost):
    return reported / real_share


def not_divided(reported, real_share, padding_cost):
    return reported - (1 - real_share) * padding_cost


def whole_cost(reported, real_share, padding_cost):
    return (reported - padding_cost) / real_share


def shares_swapped(reported, real_share, padding_cost):
    return (reported - real_share * padding_cost) / (1 - real_share)


def overlap(inputs, targets, k):
    T = inputs.shape[1]
    return inputs[:, max(0, k) : T + min(0, k)], targets[:, max(0, -k) : T - max(0, k)]


def backwards(inputs, targets):
    return [k for k in range(-2, 3) if torch.equal(*overlap(inputs, targets, -k))]


def rolled(inputs, targets):
    return [k for k in range(-2, 3) if torch.equal(inputs.roll(-k, dims=1), targets)]


def first_row(inputs, targets):
    return [k for k in range(-2, 3) if torch.equal(*overlap(inputs[:1], targets[:1], k))]


def anywhere(inputs, targets):
    found = []
    for k in range(-2, 3):
        left, right = overlap(inputs, targets, k)
        if (left == right).all(dim=0).any():
            found.append(k)
    return found


def first_that_fits(inputs, targets):
    for k in range(-2, 3):
        if torch.equal(*overlap(inputs, targets, k)):
            return [k]
    return []


def never_negative(inputs, targets):
    return [k for k in range(3) if torch.equal(*overlap(inputs, targets, k))]


def a_number(inputs, targets):
    return len(first_that_fits(inputs, targets))


def floor_of(pairs, contexts):
    counts = Counter(pairs)
    return sum(n * math.log(contexts[first] / n) for (first, _), n in counts.items()) / len(pairs)


def right(documents):
    pairs = [pair for ids in documents for pair in pairwise(ids)]
    return floor_of(pairs, Counter(first for first, _ in pairs))


def one_long_line(documents):
    return right([[token for ids in documents for token in ids]])


def in_bits(documents):
    return right(documents) / math.log(2)


def joint(documents):
    counts = Counter(pair for ids in documents for pair in pairwise(ids))
    total = counts.total()
    return sum(n * math.log(total / n) for n in counts.values()) / total


def unigram(documents):
    counts = Counter(token for ids in documents for token in ids[1:])
    total = counts.total()
    return sum(n * math.log(total / n) for n in counts.values()) / total


def last_token_counted(documents):
    pairs = [pair for ids in documents for pair in pairwise(ids)]
    return floor_of(pairs, Counter(token for ids in documents for token in ids))


def mean_over_contexts(documents):
    after = {}
    for ids in documents:
        for first, then in pairwise(ids):
            after.setdefault(first, Counter())[then] += 1
    rows = [sum(n * math.log(row.total() / n) for n in row.values()) / row.total() for row in after.values()]
    return sum(rows) / len(rows)


WRONG = {
    "20.1": [
        (base_two, "base e"),
        (always_divided, "however many"),
        (knows_no_sum, "sum over all predictions"),
        (low_is_good, "both sides"),
        (large_is_a_sum, "Not every large loss"),
        (true_or_false, "should be one of"),
    ],
    "20.2": [
        (multiplied, "pulls the mean down"),
        (padding_for_nothing, "not always free"),
        (not_divided, "real positions alone"),
        (whole_cost, "share of the padding"),
        (shares_swapped, "wrong way round"),
    ],
    "20.3": [
        (backwards, "not -1"),
        (rolled, "where both exist"),
        (first_row, "every row"),
        (anywhere, "every place"),
        (first_that_fits, "list all five"),
        (never_negative, "shifted by -1"),
        (a_number, "list of shifts"),
    ],
    "20.4": [
        (one_long_line, "into the next"),
        (in_bits, "bits"),
        (joint, "whole pairs"),
        (unigram, "unigram level"),
        (last_token_counted, "no context"),
        (mean_over_contexts, "frequent contexts"),
    ],
}
