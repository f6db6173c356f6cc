"""Wrong answers to the exercises of chapter 6, of the kind that learners write."""

from itertools import pairwise

import torch


def first_token_predicted(lengths, seq_len):
    cut = [min(n, seq_len) for n in lengths]
    return sum(cut), max(cut) - 1


def nothing_cut(lengths, seq_len):
    return sum(n - 1 for n in lengths), max(lengths) - 1


def padding_counted(lengths, seq_len):
    width = min(max(lengths), seq_len) - 1
    return len(lengths) * width, width


def width_before_the_shift(lengths, seq_len):
    cut = [min(n, seq_len) for n in lengths]
    return sum(cut) - len(cut), max(cut)


def always_seq_len_wide(lengths, seq_len):
    return sum(min(n, seq_len) - 1 for n in lengths), seq_len - 1


def rounded_up(N, B, T):
    windows = -(-(N - 1) // (B * T))
    return windows, 0


def last_token_predicts(N, B, T):
    return N // (B * T), N % (B * T)


def blocks_of_their_own(N, B, T):
    windows = N // (B * (T + 1))
    return windows, N - windows * B * (T + 1)


def rows_forgotten(N, B, T):
    return (N - 1) // T, (N - 1) % T


def tokens_left_over(N, B, T):
    windows = (N - 1) // (B * T)
    return windows, N - windows * B * T


def seams_not_seen(windows):
    return all(torch.equal(x[:, 1:], y[:, :-1]) for x, y in windows)


def only_the_seams(windows):
    return all(torch.equal(y[:, -1], x[:, 0]) for (_, y), (x, _) in pairwise(windows))


def only_the_first_row(windows):
    return all(torch.equal(x[0, 1:], y[0, :-1]) for x, y in windows)


def slices_exchanged(windows):
    return all(torch.equal(x[:, :-1], y[:, 1:]) for x, y in windows)


def rows_in_one_line(windows):
    return all(torch.equal(x.flatten()[1:], y.flatten()[:-1]) for x, y in windows)


def token_by_token(windows):
    return [x[:, 1:] == y[:, :-1] for x, y in windows]


def removed(targets, bos_id, pad_id):
    return targets[targets != bos_id]


def in_place(targets, bos_id, pad_id):
    targets[targets == bos_id] = pad_id
    return targets


def multiplied_by_the_mask(targets, bos_id, pad_id):
    return targets * (targets != bos_id)


def where_the_wrong_way_round(targets, bos_id, pad_id):
    return torch.where(targets == bos_id, targets, pad_id)


WRONG = {
    "6.1": [
        (first_token_predicted, "first token"),
        (nothing_cut, "cut off"),
        (padding_counted, "padding is counted"),
        (width_before_the_shift, "after the shift"),
        (always_seq_len_wide, "as wide as the longest"),
    ],
    "6.2": [
        (rounded_up, "Round down"),
        (last_token_predicts, "N tokens give N - 1"),
        (blocks_of_their_own, "neighbours share one"),
        (rows_forgotten, "cut into B rows"),
        (tokens_left_over, "left over are predictions"),
    ],
    "6.3": [
        (seams_not_seen, "gap"),
        (only_the_seams, "not shifted at all"),
        (only_the_first_row, "second row"),
        (slices_exchanged, "exchanged"),
        (rows_in_one_line, "a text of its own"),
        (token_by_token, "one True or False"),
    ],
    "6.4": [
        (removed, "do not remove"),
        (in_place, "handed in have changed"),
        (multiplied_by_the_mask, "zeros stand"),
        (where_the_wrong_way_round, "other way round"),
    ],
}
