"""Wrong answers to the exercises of chapter 10, of the kind that learners write."""

import math

import torch


def upside_down(d, odds):
    return math.log(odds) / d


def no_logarithm(d, odds):
    return d / odds


def logarithm_to_base_10(d, odds):
    return d / math.log10(odds)


def all_tokens_alike(z, T):
    return ((z - z.mean()) ** 2).mean() / T**3


def stops_at_b(z, T):
    p = (z / T).softmax(-1)
    return -((p * z**2).sum() - (p * z).sum() ** 2) / T


def temperature_forgotten_in_p(z, T):
    p = z.softmax(-1)
    return ((p * z**2).sum() - (p * z).sum() ** 2) / T**3


def drops_the_crossing(logits, T, p, cut_first):
    probs = (logits if cut_first else logits / T).softmax(-1).sort(descending=True).values
    return (probs.cumsum(-1) <= p).sum(-1)


def always_after(logits, T, p, cut_first):
    probs = (logits / T).softmax(-1).sort(descending=True).values
    return (probs.cumsum(-1) - probs < p).sum(-1)


def in_the_order_of_ids(logits, T, p, cut_first):
    probs = (logits if cut_first else logits / T).softmax(-1)
    return (probs.cumsum(-1) - probs < p).sum(-1)


def over_all_rows(logits, T, p, cut_first):
    return always_after(logits, T, p, cut_first).sum()


def other_way_round(logits, T, p, cut_first):
    return always_after(logits, T if cut_first else 1.0, p, cut_first)


def state_dropped(model, state, last_id, n):
    new_ids = []
    for _ in range(n):
        logits, state = model(torch.tensor([[last_id, *new_ids]]))
        new_ids.append(int(logits[0, -1].argmax()))
    return new_ids, state


def prefix_fed_again(model, state, last_id, n):
    new_ids = []
    for _ in range(n):
        logits, state = model(torch.tensor([[last_id, *new_ids]]), state)
        new_ids.append(int(logits[0, -1].argmax()))
    return new_ids, state


def state_not_updated(model, state, last_id, n):
    new_ids = []
    for _ in range(n):
        logits, after = model(torch.tensor([[last_id]]), state)
        last_id = int(logits[0, -1].argmax())
        new_ids.append(last_id)
    return new_ids, after


def last_one_fed(model, state, last_id, n):
    new_ids = []
    logits, state = model(torch.tensor([[last_id]]), state)
    for _ in range(n):
        new_ids.append(int(logits[0, -1].argmax()))
        logits, state = model(torch.tensor([new_ids[-1:]]), state)
    return new_ids, state


WRONG = {
    "10.1": [
        (upside_down, "1 / T"),
        (no_logarithm, "take a logarithm"),
        (logarithm_to_base_10, "not of 10"),
    ],
    "10.2": [
        (all_tokens_alike, "likely tokens count more"),
        (stops_at_b, "by b = 1 / T. The chain rule"),
        (temperature_forgotten_in_p, "not at 1"),
    ],
    "10.3": [
        (drops_the_crossing, "crosses p"),
        (always_after, "changes nothing"),
        (in_the_order_of_ids, "likeliest token down"),
        (over_all_rows, "one number"),
        (other_way_round, "swapped"),
    ],
    "10.4": [
        (state_dropped, "forgotten"),
        (prefix_fed_again, "newest one"),
        (state_not_updated, "the one before returned"),
        (last_one_fed, "read the last new id"),
    ],
}
