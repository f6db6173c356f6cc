"""Wrong answers to the exercises of chapter 14, of the kind that learners write."""

import math

import torch
import torch.nn.functional as F


def nats_for_bits(total_nats, num_tokens, num_bytes, num_words):
    per_token = total_nats / num_tokens
    return per_token, math.exp(per_token), total_nats / num_bytes, math.exp(total_nats / num_words)


def ln_2_on_the_wrong_side(total_nats, num_tokens, num_bytes, num_words):
    per_token = total_nats / num_tokens
    bits = total_nats * math.log(2) / num_bytes
    return per_token, math.exp(per_token), bits, math.exp(total_nats / num_words)


def two_to_the_nats(total_nats, num_tokens, num_bytes, num_words):
    per_token, bits = total_nats / num_tokens, total_nats / math.log(2) / num_bytes
    return per_token, 2**per_token, bits, math.exp(total_nats / num_words)


def scales_perplexity(total_nats, num_tokens, num_bytes, num_words):
    per_token, bits = total_nats / num_tokens, total_nats / math.log(2) / num_bytes
    return per_token, math.exp(per_token), bits, math.exp(per_token) * num_tokens / num_words


def mean_of_perplexities(means, counts):
    return sum(math.exp(mean) for mean in means) / len(means)


def batches_alike(means, counts):
    return math.exp(sum(means) / len(means))


def exponential_first(means, counts):
    return sum(count * math.exp(mean) for mean, count in zip(means, counts, strict=True)) / sum(counts)


def forgets_the_exponential(means, counts):
    return sum(count * mean for mean, count in zip(means, counts, strict=True)) / sum(counts)


def one_sided(wins, n):
    return sum(math.comb(n, k) for k in range(max(wins, n - wins), n + 1)) / 2**n


def exactly_as_many(wins, n):
    return 2 * math.comb(n, wins) / 2**n


def other_side_forgotten(wins, n):
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(wins, n + 1)) / 2**n)


def not_capped(wins, n):
    return 2 * one_sided(wins, n)


def first_of_each_window_lost(ids, k, pad_id):
    rows = ids[: len(ids) // k * k].reshape(-1, k)
    return rows[:, :-1], rows[:, 1:]


def end_dropped(ids, k, pad_id):
    end = (len(ids) - 1) // k * k
    return ids[:end].view(-1, k), ids[1 : end + 1].view(-1, k)


def not_shifted(ids, k, pad_id):
    rows = F.pad(ids, (0, -len(ids) % k), value=pad_id).view(-1, k)
    return rows, rows


def filled_with_zeros(ids, k, pad_id):
    return [F.pad(part, (0, -len(part) % k)).view(-1, k) for part in (ids[:-1], ids[1:])]


def a_window_from_every_token(ids, k, pad_id):
    rows = ids.unfold(0, k + 1, 1)
    return rows[:, :-1], rows[:, 1:]


def everything_scored(ids, window, stride, pad_id):
    rows = ids.unfold(0, window + 1, stride)
    return rows[:, :-1], rows[:, 1:]


def first_window_masked(ids, window, stride, pad_id):
    rows = ids.unfold(0, window + 1, stride)
    targets = rows[:, 1:].clone()
    targets[:, : window - stride] = pad_id
    return rows[:, :-1], targets


def shared_memory(ids, window, stride, pad_id):
    rows = torch.stack([ids[s : s + window + 1] for s in range(0, len(ids) - window, stride)])
    inputs, targets = rows[:, :-1], rows[:, 1:]
    targets[1:, : window - stride] = pad_id
    return inputs, targets


def first_come_first_scored(ids, window, stride, pad_id):
    rows = ids.unfold(0, window + 1, stride)
    targets = rows[:, 1:].clone()
    targets[:-1, stride:] = pad_id
    return rows[:, :-1], targets


def masks_the_stride(ids, window, stride, pad_id):
    rows = ids.unfold(0, window + 1, stride)
    targets = rows[:, 1:].clone()
    targets[1:, :stride] = pad_id
    return rows[:, :-1], targets


WRONG = {
    "14.1": [
        (nats_for_bits, "nats per byte, not bits"),
        (ln_2_on_the_wrong_side, "smaller than a nat"),
        (two_to_the_nats, "base of 2"),
        (scales_perplexity, "cannot be scaled"),
    ],
    "14.2": [
        (mean_of_perplexities, "mean of perplexities"),
        (batches_alike, "weighs as much"),
        (exponential_first, "after the mean"),
        (forgets_the_exponential, "its exponential"),
    ],
    "14.3": [
        (one_sided, "one side only"),
        (exactly_as_many, "exactly 2 or 9"),
        (other_side_forgotten, "as lopsided as 9"),
        (not_capped, "above 1"),
    ],
    "14.4": [
        (first_of_each_window_lost, "inputs only"),
        (end_dropped, "end of the text"),
        (not_shifted, "not the input itself"),
        (filled_with_zeros, "pad_id"),
        (a_window_from_every_token, "more than once"),
    ],
    "14.5": [
        (everything_scored, "more than one window"),
        (first_window_masked, "never scored"),
        (shared_memory, "share the targets' memory"),
        (first_come_first_scored, "read most"),
        (masks_the_stride, "more than one window"),
    ],
}
