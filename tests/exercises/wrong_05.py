"""Wrong answers to the exercises of chapter 5, of the kind that learners write."""

import torch


def every_token_a_target(lengths, V, D):
    B, T = len(lengths), max(lengths)
    return (B, T), (B, T, D), (B, T - 1, V), sum(lengths)


def padding_a_target(lengths, V, D):
    B, T = len(lengths), max(lengths)
    return (B, T), (B, T, D), (B, T - 1, V), B * (T - 1)


def logits_for_all_tokens(lengths, V, D):
    B, T = len(lengths), max(lengths)
    return (B, T), (B, T, D), (B, T, V), sum(lengths) - B


def tokens_first(lengths, V, D):
    B, T = len(lengths), max(lengths)
    return (T, B), (T, B, D), (T - 1, B, V), sum(lengths) - B


def mean_of_means(means, counts):
    return sum(means) / len(means)


def all_nats(means, counts):
    return sum(mean * count for mean, count in zip(means, counts, strict=True))


def by_batches(means, counts):
    return all_nats(means, counts) / len(means)


def means_as_sums(means, counts):
    return sum(means) / sum(counts)


def sorted_as_a_whole(lengths, pool_size, generator):
    return lengths.argsort()


def whole_pools_only(lengths, pool_size, generator):
    order = torch.randperm(len(lengths), generator=generator)
    starts = range(0, len(lengths) - pool_size + 1, pool_size)
    pools = [order[start : start + pool_size] for start in starts]
    return torch.cat([pool[lengths[pool].argsort()] for pool in pools])


def without_shuffling(lengths, pool_size, generator):
    pools = torch.arange(len(lengths)).split(pool_size)
    return torch.cat([pool[lengths[pool].argsort()] for pool in pools])


def lengths_themselves(lengths, pool_size, generator):
    shuffled = lengths[torch.randperm(len(lengths), generator=generator)]
    return torch.cat([pool.sort().values for pool in shuffled.split(pool_size)])


def places_in_the_pool(lengths, pool_size, generator):
    order = torch.randperm(len(lengths), generator=generator)
    return torch.cat([lengths[pool].argsort() for pool in order.split(pool_size)])


def any_generator(lengths, pool_size, generator):
    order = torch.randperm(len(lengths))
    return torch.cat([pool[lengths[pool].argsort()] for pool in order.split(pool_size)])


def mean_of_gradients(nats_of, parts, weight):
    weight.grad = None
    for part in parts:
        nats, count = nats_of(part)
        (nats / count).backward()
    return weight.grad / len(parts)


def keeps_the_old(nats_of, parts, weight):
    targets = 0
    for part in parts:
        nats, count = nats_of(part)
        nats.backward()
        targets += count
    return weight.grad / targets


def clears_in_between(nats_of, parts, weight):
    targets = 0
    for part in parts:
        weight.grad = None
        nats, count = nats_of(part)
        nats.backward()
        targets += count
    return weight.grad / targets


def all_in_memory(nats_of, parts, weight):
    weight.grad = None
    results = [nats_of(part) for part in parts]
    loss = sum(nats for nats, _ in results) / sum(count for _, count in results)
    loss.backward()
    return weight.grad


def last_place(hidden, tokens, pad_id):
    return hidden[:, -1]


def every_place(hidden, tokens, pad_id):
    return hidden[:, (tokens != pad_id).sum(1) - 1]


def one_too_early(hidden, tokens, pad_id):
    return hidden[torch.arange(len(tokens)), (tokens != pad_id).sum(1) - 2]


def padding_is_zero(hidden, tokens, pad_id):
    return hidden[torch.arange(len(tokens)), (tokens != 0).sum(1) - 1]


WRONG = {
    "5.1": [
        (every_token_a_target, "nothing predicts the first"),
        (padding_a_target, "padding was counted"),
        (logits_for_all_tokens, "only the inputs are read"),
        (tokens_first, "sentences come first"),
    ],
    "5.2": [
        (mean_of_means, "mean of the means"),
        (all_nats, "sum of all nats"),
        (by_batches, "number of batches"),
        (means_as_sums, "means were added up"),
    ],
    "5.3": [
        (sorted_as_a_whole, "whole corpus"),
        (whole_pools_only, "last pool is missing"),
        (without_shuffling, "neighbours in the corpus"),
        (lengths_themselves, "these are lengths"),
        (places_in_the_pool, "none twice"),
        (any_generator, "the same seed gives another order"),
    ],
    "5.4": [
        (mean_of_gradients, "its own number of targets"),
        (keeps_the_old, "old gradient"),
        (clears_in_between, "only the last part"),
        (all_in_memory, "in memory at the same time"),
    ],
    "5.5": [
        (last_place, "last place of every row"),
        (every_place, "every place for every row"),
        (one_too_early, "one place too early"),
        (padding_is_zero, "pad_id = 9"),
    ],
}
