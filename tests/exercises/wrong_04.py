"""Wrong answers to the exercises of chapter 4, of the kind that learners write."""

import math

import torch


def rows_for_columns(h_2):
    p, q, r = h_2
    return [
        math.tanh(-0.5 * 0.5 + 0.8 * -0.2 + 0.6 * 0.3 + p * 0.4 + q * 0.1 + r * -0.6 + 0.1),
        math.tanh(-0.5 * 0.1 + 0.8 * 0.6 + 0.6 * -0.4 + p * -0.3 + q * 0.5 + r * 0.2 + 0.0),
        math.tanh(-0.5 * -0.3 + 0.8 * 0.2 + 0.6 * 0.7 + p * 0.6 + q * -0.1 + r * 0.3 - 0.1),
    ]


def no_memory(h_2):
    return [math.tanh(-0.25), math.tanh(0.7), math.tanh(-0.15)]


def untied(V, D, L):
    return 2 * V * D + L * (2 * D * D + D) + V


def no_output_bias(V, D, L):
    return V * D + L * (2 * D * D + D)


def one_layer_only(V, D, L):
    return V * D + 2 * D * D + D + V


def moves_the_last(tokens, generator):
    return torch.stack([row[torch.randperm(len(row), generator=generator)] for row in tokens])


def one_order_for_all(tokens, generator):
    order = torch.randperm(tokens.shape[1] - 1, generator=generator)
    return torch.cat([tokens[:, order], tokens[:, -1:]], dim=1)


def in_place(tokens, generator):
    for row in tokens:
        row[:-1] = row[torch.randperm(len(row) - 1, generator=generator)]
    return tokens


def forgets_the_seed(tokens, generator):
    return torch.stack([torch.cat([row[torch.randperm(len(row) - 1)], row[-1:]]) for row in tokens])


def not_halved(p, q):
    return (p - q).abs().sum(-1)


def signs_cancel(p, q):
    return (p - q).sum(-1) / 2


def over_everything(p, q):
    return (p - q).abs().sum() / 2


WRONG = {
    "4.1": [(rows_for_columns, "along rows"), (no_memory, "old state has no part")],
    "4.2": [
        (untied, "matrix of its own"),
        (no_output_bias, "keeps its bias"),
        (one_layer_only, "once per layer"),
    ],
    "4.3": [
        (moves_the_last, "must stay"),
        (one_order_for_all, "one and the same order"),
        (in_place, "clone"),
        (forgets_the_seed, "generator"),
    ],
    "4.4": [(not_halved, "half is missing"), (signs_cancel, "cancel"), (over_everything, "one number")],
}
