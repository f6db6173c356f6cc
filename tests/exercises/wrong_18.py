"""Wrong answers to the exercises of chapter 18, of the kind that learners write."""

import math

import torch


def not_divided(query, keys, values):
    return (keys @ query).softmax(dim=0) @ values


def divided_by_d(query, keys, values):
    return (keys @ query / len(query)).softmax(dim=0) @ values


def the_weights(query, keys, values):
    return (keys @ query / math.sqrt(len(query))).softmax(dim=0)


def without_exp(query, keys, values):
    scores = keys @ query / math.sqrt(len(query))
    return (scores / scores.sum()) @ values


def not_normalised(query, keys, values):
    scores = [math.exp(key @ query / math.sqrt(len(query))) for key in keys]
    return sum(score * value for score, value in zip(scores, values, strict=True))


def keys_only(tokens, window, layers, width, size):
    return layers * width * size * min(tokens, window - 1)


def without_end(tokens, window, layers, width, size):
    return 2 * layers * width * size * tokens


def always_full(tokens, window, layers, width, size):
    return 2 * layers * width * size * (window - 1)


def whole_window(tokens, window, layers, width, size):
    return 2 * layers * width * size * min(tokens, window)


def numbers_not_bytes(tokens, window, layers, width, size):
    return 2 * layers * width * min(tokens, window - 1)


def always(blocks, rotated):
    return True


def rotations_alone(blocks, rotated):
    return rotated


def depth_alone(blocks, rotated):
    return blocks > 1


def in_words(blocks, rotated):
    return "yes" if rotated or blocks > 1 else "no"


def any_output(run, T, D):
    x = torch.randn(T, D)
    changed = torch.cat([x[:-1], torch.randn(1, D)])
    return not torch.equal(run(x), run(changed))


def last_token_only(run, T, D):
    x = torch.randn(T, D)
    changed = torch.cat([x[:-1], torch.randn(1, D)])
    return not torch.equal(run(x)[:-1], run(changed)[:-1])


def first_output_only(run, T, D):
    x = torch.randn(T, D)
    changed = torch.cat([x[:-1], torch.randn(1, D)])
    return not torch.equal(run(x)[0], run(changed)[0])


def trusting(run, T, D):
    return bool(run(torch.randn(T, D)).isnan().any())


def attend(q, keys, values):
    return (keys @ q / math.sqrt(len(q))).softmax(dim=0) @ values


def together(k, v, cache):
    if cache is None:
        return k[None], v[None]
    return torch.cat([cache[0], k[None]]), torch.cat([cache[1], v[None]])


def never_drops(q, k, v, cache, window):
    keys, values = together(k, v, cache)
    return attend(q, keys, values), (keys, values)


def drops_late(q, k, v, cache, window):
    keys, values = together(k, v, cache)
    return attend(q, keys, values), (keys[-window:], values[-window:])


def looks_and_then_stores(q, k, v, cache, window):
    output = v if cache is None else attend(q, *cache)
    keys, values = together(k, v, cache)
    return output, (keys[-window:], values[-window:])


def never_stores(q, k, v, cache, window):
    keys, values = together(k, v, cache)
    return attend(q, keys, values), cache


def keeps_all_and_sees_the_window(q, k, v, cache, window):
    keys, values = together(k, v, cache)
    return attend(q, keys[-window:], values[-window:]), (keys, values)


WRONG = {
    "18.1": [
        (not_divided, "root of d is missing"),
        (divided_by_d, "divided by d"),
        (the_weights, "those are the weights"),
        (without_exp, "take exp"),
        (not_normalised, "do not sum to 1"),
    ],
    "18.2": [
        (keys_only, "a key and a value"),
        (without_end, "bounded"),
        (always_full, "full window"),
        (whole_window, "one too many"),
        (numbers_not_bytes, "some bytes"),
    ],
    "18.3": [
        (always, "Has a mean an order"),
        (rotations_alone, "several blocks"),
        (depth_alone, "depends on the distance"),
        (in_words, "True or False"),
    ],
    "18.4": [
        (any_output, "causal layer is accused"),
        (last_token_only, "single leak"),
        (first_output_only, "one diagonal too many"),
        (trusting, "without a mask"),
    ],
    "18.5": [
        (never_drops, "nothing ever falls out"),
        (drops_late, "one too many"),
        (looks_and_then_stores, "but not itself"),
        (never_stores, "itself only"),
        (keeps_all_and_sees_the_window, "and grows"),
    ],
}
