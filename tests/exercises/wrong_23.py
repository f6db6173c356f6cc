"""Wrong answers to the exercises of chapter 23, of the kind that learners write."""

import math

import numpy as np


def one_token(tokens_per_second, watts, price_per_hour):
    hours = 1 / tokens_per_second / 3600
    return 1 / tokens_per_second, watts * hours, price_per_hour * hours


def watt_seconds(tokens_per_second, watts, price_per_hour):
    seconds = 1e6 / tokens_per_second
    return seconds, watts * seconds, price_per_hour * seconds / 3600


def kilowatt_hours(tokens_per_second, watts, price_per_hour):
    hours = 1e6 / tokens_per_second / 3600
    return hours * 3600, watts * hours / 1000, price_per_hour * hours


def paid_every_second(tokens_per_second, watts, price_per_hour):
    seconds = 1e6 / tokens_per_second
    return seconds, watts * seconds / 3600, price_per_hour * seconds


def by_all_parameters(V, D, L, tokens):
    return 6 * (2 * V * D + 2 * L * D * D) * tokens


def forward_only(V, D, L, tokens):
    return 2 * (D * V + 2 * L * D * D) * tokens


def one_matrix_per_layer(V, D, L, tokens):
    return 6 * (D * V + L * D * D) * tokens


def additions_are_free(V, D, L, tokens):
    return 3 * (D * V + 2 * L * D * D) * tokens


def doublings_per_year(years, sizes):
    return np.polyfit(years, np.log2(sizes), 1)[0]


def natural_logarithm(years, sizes):
    return 1 / np.polyfit(years, np.log(sizes), 1)[0]


def two_points(years, sizes):
    return (years[-1] - years[0]) / math.log2(sizes[-1] / sizes[0])


def straight_through_sizes(years, sizes):
    return 1 / np.polyfit(years, sizes, 1)[0]


def six_forgotten(flops, tokens_per_parameter):
    parameters = (flops / tokens_per_parameter) ** 0.5
    return parameters, tokens_per_parameter * parameters


def no_root(flops, tokens_per_parameter):
    parameters = flops / (6 * tokens_per_parameter)
    return parameters, tokens_per_parameter * parameters


def other_order(flops, tokens_per_parameter):
    parameters = (flops / (6 * tokens_per_parameter)) ** 0.5
    return tokens_per_parameter * parameters, parameters


def half_and_half(flops, tokens_per_parameter):
    each = (flops / 6) ** 0.5
    return each, each


WRONG = {
    "23.1": [
        (one_token, "one token"),
        (watt_seconds, "watt-seconds"),
        (kilowatt_hours, "kilowatt-hours"),
        (paid_every_second, "every second"),
    ],
    "23.2": [
        (by_all_parameters, "looked up"),
        (forward_only, "forward only"),
        (one_matrix_per_layer, "two matrices"),
        (additions_are_free, "counts as two"),
    ],
    "23.3": [
        (doublings_per_year, "doublings in a year"),
        (natural_logarithm, "factor e"),
        (two_points, "all of them"),
        (straight_through_sizes, "not through the sizes"),
    ],
    "23.4": [
        (six_forgotten, "6 is missing"),
        (no_root, "square root"),
        (other_order, "wrong order"),
        (half_and_half, "tokens per parameter"),
    ],
}
