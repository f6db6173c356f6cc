"""Wrong answers to the exercises of chapter 3, of the kind that learners write."""

import torch
import torch.nn.functional as F
from torch import nn


def xavier_last(V, D, pad_id):
    table = torch.zeros(V, D)
    table[pad_id] = 0
    return nn.init.xavier_uniform_(table)


def own_start_of_torch(V, D, pad_id):
    return nn.Embedding(V, D, padding_idx=pad_id).weight.detach()


def only_positive(V, D, pad_id):
    table = torch.rand(V, D) * (6 / (V + D)) ** 0.5
    table[pad_id] = 0
    return table


def xavier_normal(V, D, pad_id):
    table = nn.init.xavier_normal_(torch.empty(V, D))
    table[pad_id] = 0
    return table


def first_row(V, D, pad_id):
    table = nn.init.xavier_uniform_(torch.empty(V, D))
    table[0] = 0
    return table


def overwritten(ids, arriving, V, pad_id):
    table = torch.zeros(V, arriving.shape[-1])
    table[ids] += arriving
    table[pad_id] = 0
    return table


def mean_per_token(ids, arriving, V, pad_id):
    one_hot = F.one_hot(ids, V).float().flatten(0, 1)
    table = one_hot.T @ arriving.flatten(0, 1) / one_hot.sum(0).clamp(min=1)[:, None]
    table[pad_id] = 0
    return table


def padding_learns(ids, arriving, V, pad_id):
    return F.one_hot(ids, V).float().flatten(0, 1).T @ arriving.flatten(0, 1)


def padding_is_always_zero(ids, arriving, V, pad_id):
    table = padding_learns(ids, arriving, V, pad_id)
    table[0] = 0
    return table


def without_bias(V, N):
    return V / (2 * N)


def one_matrix(V, N):
    return V / N - 1


def one_layer(V, N):
    return (V - 1) / 2


def rounded(V, N):
    return (V // N - 1) // 2


def with_itself(rows):
    unit = F.normalize(rows, dim=1)
    return (unit @ unit.T).mean()


def products(rows):
    N = len(rows)
    similarity = (rows @ rows.T).fill_diagonal_(0.0)
    return similarity.sum() / (N * (N - 1))


def too_many_pairs(rows):
    unit = F.normalize(rows, dim=1)
    return (unit @ unit.T).fill_diagonal_(0.0).mean()


def query_among_answers(table, a, b, c, k):
    unit = F.normalize(table, dim=1)
    return (unit @ (unit[a] - unit[b] + unit[c])).topk(k).indices


def signs_swapped(table, a, b, c, k):
    return analogy(F.normalize(table, dim=1), b, a, c, k)


def raw_rows(table, a, b, c, k):
    similarity = F.normalize(table, dim=1) @ (table[a] - table[b] + table[c])
    similarity[[a, b, c]] = -torch.inf
    return similarity.topk(k).indices


def rows_of_all_lengths(table, a, b, c, k):
    unit = F.normalize(table, dim=1)
    similarity = table @ (unit[a] - unit[b] + unit[c])
    similarity[[a, b, c]] = -torch.inf
    return similarity.topk(k).indices


def values_too(table, a, b, c, k):
    unit = F.normalize(table, dim=1)
    return (unit @ (unit[a] - unit[b] + unit[c])).topk(k)


def analogy(unit, a, b, c, k):
    similarity = unit @ (unit[a] - unit[b] + unit[c])
    similarity[[a, b, c]] = -torch.inf
    return similarity.topk(k).indices


WRONG = {
    "3.1": [
        (xavier_last, "padding row is not zero"),
        (own_start_of_torch, "nn.Embedding's own start"),
        (only_positive, "no number is negative"),
        (xavier_normal, "as large as"),
        (first_row, "row 0 is zero"),
    ],
    "3.2": [
        (overwritten, "keeps one addition only"),
        (mean_per_token, "that is a mean"),
        (padding_learns, "must stay zero"),
        (padding_is_always_zero, "must stay zero"),
    ],
    "3.3": [
        (without_bias, "bias of the layers is missing"),
        (one_matrix, "two matrices"),
        (one_layer, "all N layers"),
        (rounded, "Do not round"),
    ],
    "3.4": [
        (with_itself, "compared with itself"),
        (products, "lengths have a part"),
        (too_many_pairs, "still counts in the number of pairs"),
    ],
    "3.5": [
        (query_among_answers, "token of the question"),
        (signs_swapped, "signs are wrong"),
        (raw_rows, "add and subtract rows of length 1"),
        (rows_of_all_lengths, "rows of different length"),
        (values_too, "The indices are the ids"),
    ],
}
