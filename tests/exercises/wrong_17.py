"""Wrong answers to the exercises of chapter 17, of the kind that learners write."""

import torch


def added_to_every_state(tree, a, b, h_0):
    return tree(a, b) + h_0


def start_without_its_factor(tree, a, b, h_0):
    return tree(a, torch.cat([b[:1] + h_0, b[1:]]))


def into_the_given_b(tree, a, b, h_0):
    b[0] += a[0] * h_0
    return tree(a, b)


def into_the_first_state_only(tree, a, b, h_0):
    h = tree(a, b)
    h[0] += a[0] * h_0
    return h


def an_extra_step_in_front(tree, a, b, h_0):
    return tree(torch.cat([torch.zeros(1), a]), torch.cat([torch.tensor([h_0]), b]))


def a_loop_instead(tree, a, b, h_0):
    found = []
    for a_t, b_t in zip(a.tolist(), b.tolist(), strict=True):
        h_0 = a_t * h_0 + b_t
        found.append(h_0)
    return found


def direct_part_only(a, before, g):
    return g * before, g


def forwards_in_time(a, before, g):
    e, errors = torch.zeros_like(g[0]), []
    for a_t, g_t in zip(a, g, strict=True):
        e = g_t + a_t * e
        errors.append(e)
    errors = torch.stack(errors)
    return errors * before, errors


def whole(a, g, ahead):
    """The errors from the end, with the factor of so many places ahead."""
    errors = list(g)
    for t in reversed(range(len(g) - 1)):
        errors[t] = g[t] + a[t + ahead] * errors[t + 1]
    return torch.stack(errors)


def factor_one_place_off(a, before, g):
    errors = whole(a, g, ahead=0)
    return errors * before, errors


def by_a_like_by_b(a, before, g):
    errors = whole(a, g, ahead=1)
    return errors, errors


def by_b_first(a, before, g):
    errors = whole(a, g, ahead=1)
    return errors, errors * before


def factors_from_zero_to_one(x):
    return 1 - x, x


def flips_at_every_bit(x):
    return -torch.ones(x.shape), torch.zeros(x.shape)


def flips_on_zeros(x):
    return 2.0 * x - 1, torch.zeros(x.shape)


def fades(x):
    return 1 - 1.9 * x, torch.zeros(x.shape)


def grows(x):
    return 1.0 - 3 * x, torch.zeros(x.shape)


def counts_beforehand(x):
    return torch.zeros(x.shape), 1.0 - 2 * (x.cumsum(dim=1) % 2)


def mean_of_the_factors(keep):
    return 1 / (1 - keep.mean(dim=0))


def mean_of_the_memories(keep):
    return (1 / (1 - keep)).mean(dim=0)


def root_of_the_product(keep):
    return 1 / (1 - keep.prod(dim=0) ** (1 / len(keep)))


def all_units_together(keep):
    return 1 / (1 - keep.log().mean().exp())


def over_the_units(keep):
    return 1 / (1 - keep.log().mean(dim=1).exp())


WRONG = {
    "17.1": [
        (added_to_every_state, "every state"),
        (start_without_its_factor, "without its factor"),
        (into_the_given_b, "has changed"),
        (into_the_first_state_only, "only h_1"),
        (an_extra_step_in_front, "one state too many"),
        (a_loop_instead, "Call the tree"),
    ],
    "17.2": [
        (direct_part_only, "only the direct part"),
        (forwards_in_time, "begin at the end"),
        (factor_one_place_off, "one place off"),
        (by_a_like_by_b, "not that by b"),
        (by_b_first, "wrong order"),
    ],
    "17.3": [
        (factors_from_zero_to_one, "below zero"),
        (flips_on_zeros, "row of ones"),
        (flips_at_every_bit, "a zero leaves"),
        (fades, "fades"),
        (grows, "outside"),
        (counts_beforehand, "at t alone"),
    ],
    "17.4": [
        (mean_of_the_factors, "multiply"),
        (mean_of_the_memories, "memories at each step"),
        (root_of_the_product, "is 0 in a computer"),
        (all_units_together, "one number for all"),
        (over_the_units, "first axis"),
    ],
}
