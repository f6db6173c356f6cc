"""Wrong answers to the exercises of chapter 9, of the kind that learners write."""

import torch


def free_run(truth, guess):
    fed = truth[:1]
    while len(fed) < len(truth) - 1:
        fed.append(guess(fed))
    return fed


def one_token_too_many(truth, guess, forced):
    return truth if forced else free_run(truth, guess)


def targets_go_in(truth, guess, forced):
    return truth[1:] if forced else free_run(truth, guess)


def never_forced(truth, guess, forced):
    return free_run(truth, guess)


def always_forced(truth, guess, forced):
    return truth[:-1]


def guesses_from_true_tokens(truth, guess, forced):
    if forced:
        return truth[:-1]
    return [truth[0]] + [guess(truth[:t]) for t in range(1, len(truth) - 1)]


def without_a_state(truth, guess, forced):
    fed = truth[:1]
    for true_token in truth[1:-1]:
        fed.append(true_token if forced else guess([fed[-1]]))
    return fed


def for_ever(a, n):
    return a / (1 - a)


def all_of_them(a, n):
    return n * a


def all_right(a, n):
    return a**n


def one_more(a, n):
    return sum(a**k for k in range(n))


def scatter_of_scores(a, b):
    difference = a - b
    return difference.mean(), difference.std() / difference.numel() ** 0.5


def not_in_pairs(a, b):
    a, b = a.mean(dim=1), b.mean(dim=1)
    return (a - b).mean(), ((a.var() + b.var()) / len(a)) ** 0.5


def standard_deviation(a, b):
    each = (a - b).mean(dim=1)
    return each.mean(), each.std()


def b_minus_a(a, b):
    each = (b - a).mean(dim=1)
    return each.mean(), each.std() / len(each) ** 0.5


def draw(tokens, pool, share, generator):
    noise = pool[torch.randint(len(pool), tokens.shape, generator=generator)]
    return noise, torch.rand(tokens.shape, generator=generator) < share


def in_place(tokens, pool, share, generator):
    noise, swap = draw(tokens, pool, share, generator)
    tokens[swap] = noise[swap]
    return tokens


def wrong_way_round(tokens, pool, share, generator):
    noise, swap = draw(tokens, pool, share, generator)
    return torch.where(swap, tokens, noise)


def the_last_ones(tokens, pool, share, generator):
    noise, _ = draw(tokens, pool, share, generator)
    kept = tokens.shape[1] - round(share * tokens.shape[1])
    return torch.cat([tokens[:, :kept], noise[:, kept:]], dim=1)


def one_token_for_all(tokens, pool, share, generator):
    _, swap = draw(tokens, pool, share, generator)
    return torch.where(swap, pool[torch.randint(len(pool), (1,), generator=generator)], tokens)


def one_row_of_noise(tokens, pool, share, generator):
    _, swap = draw(tokens, pool, share, generator)
    noise = pool[torch.randint(len(pool), tokens.shape[1:], generator=generator)]
    return torch.where(swap, noise, tokens)


def seed_forgotten(tokens, pool, share, generator):
    noise, swap = draw(tokens, pool, share, None)
    return torch.where(swap, noise, tokens)


WRONG = {
    "9.1": [
        (one_token_too_many, "target only"),
        (targets_go_in, "these are the targets"),
        (never_forced, "the model's own tokens"),
        (always_forced, "Nobody corrects"),
        (guesses_from_true_tokens, "asked about the true tokens"),
        (without_a_state, "the last token only"),
    ],
    "9.2": [
        (for_ever, "without end"),
        (all_of_them, "counts all right guesses"),
        (all_right, "all n are right"),
        (one_more, "wrong guess is counted"),
    ],
    "9.3": [
        (scatter_of_scores, "not independent"),
        (not_in_pairs, "Subtract first"),
        (standard_deviation, "scatter of one context"),
        (b_minus_a, "other sign"),
    ],
    "9.4": [
        (in_place, "handed in have changed"),
        (wrong_way_round, "wrong way round"),
        (the_last_ones, "same places"),
        (one_token_for_all, "one and the same token"),
        (one_row_of_noise, "not enough"),
        (seed_forgotten, "generator"),
    ],
}
