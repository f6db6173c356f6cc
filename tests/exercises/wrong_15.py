"""Wrong answers to the exercises of chapter 15, of the kind that learners write."""

import math

import torch


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


def slope_of_tanh(w, inputs):
    h, product = 0.0, 1.0
    for x in inputs:
        h = sigmoid(w * h + x)
        product *= w * (1 - h * h)
    return product


def without_w(w, inputs):
    h, product = 0.0, 1.0
    for x in inputs:
        h = sigmoid(w * h + x)
        product *= h * (1 - h)
    return product


def w_once(w, inputs):
    return w * without_w(w, inputs)


def added_up(w, inputs):
    h, total = 0.0, 0.0
    for x in inputs:
        h = sigmoid(w * h + x)
        total += w * h * (1 - h)
    return total


def one_step_late(w, inputs):
    h, product = 0.0, 1.0
    for x in inputs:
        product *= w * h * (1 - h)
        h = sigmoid(w * h + x)
    return product


def for_two_only(w):
    return math.sqrt(2) - math.atanh(1 / math.sqrt(2))


def wrong_sign(w):
    h = math.sqrt(1 - 1 / w)
    return math.atanh(h) - w * h


def the_state(w):
    return math.sqrt(1 - 1 / w)


def no_root(w):
    h = 1 - 1 / w
    return w * h - math.atanh(h)


def state_and_slope_mixed(w):
    h = math.sqrt(1 / w)
    return w * h - math.atanh(h)


def never_cut(step, x, h, window):
    states = []
    for x_t in x:
        h = step(x_t, h)
        states.append(h)
    return torch.stack(states)


def cut_at_every_step(step, x, h, window):
    states = []
    for x_t in x:
        h = step(x_t, h.detach())
        states.append(h)
    return torch.stack(states)


def starts_anew(step, x, h, window):
    return torch.cat([never_cut(step, part, h, window) for part in x.split(window)])


def starts_at_zero(step, x, h, window):
    return starts_anew(step, x, torch.zeros_like(h), window)


def one_step_off(step, x, h, window):
    states = []
    for t, x_t in enumerate(x):
        h = step(x_t, h)
        states.append(h)
        if t % window == 0:
            h = h.detach()
    return torch.stack(states)


def hands_out_detached(step, x, h, window):
    return never_cut(step, x, h, window).detach()


def by_singular_value(U, radius):
    return U * radius / torch.linalg.matrix_norm(U, 2)


def by_frobenius_norm(U, radius):
    return U * radius / U.norm()


def multiplied_only(U, radius):
    return U * radius


def largest_real_part(U, radius):
    return U * radius / torch.linalg.eigvals(U).real.max()


def absolute_real_part(U, radius):
    return U * radius / torch.linalg.eigvals(U).real.abs().max()


def in_place(U, radius):
    return U.mul_(radius / torch.linalg.eigvals(U).abs().max())


def states_of(x):
    h, states = torch.zeros_like(x[0]), []
    for x_t in x:
        h = torch.relu(h + x_t)
        states.append(h)
    return torch.stack(states)


def positive_inputs(x, k):
    return (x[-k:] > 0).all(dim=0).double().mean()


def without_the_floor(x, k):
    return (x.cumsum(dim=0)[-k:] > 0).all(dim=0).double().mean()


def one_state_more(x, k):
    return (states_of(x)[-k - 1 :] > 0).all(dim=0).double().mean()


def at_the_end(x, k):
    return (states_of(x)[-1] > 0).double().mean()


def number_alive(x, k):
    return (states_of(x)[-k:] > 0).all(dim=0).sum()


WRONG = {
    "15.1": [
        (slope_of_tanh, "slope of tanh"),
        (without_w, "w is missing"),
        (w_once, "not of the whole"),
        (added_up, "multiplied, not added"),
        (one_step_late, "one step late"),
    ],
    "15.2": [
        (for_two_only, "for w = 2"),
        (wrong_sign, "negative"),
        (the_state, "the state h"),
        (no_root, "with a square"),
        (state_and_slope_mixed, "not for h\\^2"),
    ],
    "15.3": [
        (never_cut, "nothing is cut"),
        (cut_at_every_step, "one step only"),
        (starts_anew, "change at a cut"),
        (starts_at_zero, "Begin with the h"),
        (one_step_off, "in other places"),
        (hands_out_detached, "no gradient comes back"),
    ],
    "15.4": [
        (by_singular_value, "singular value"),
        (by_frobenius_norm, "sum of squares"),
        (multiplied_only, "not enough"),
        (largest_real_part, "may be negative"),
        (absolute_real_part, "complex"),
        (in_place, "has changed"),
    ],
    "15.5": [
        (positive_inputs, "sign of the input"),
        (without_the_floor, "below zero"),
        (one_state_more, "one step too many"),
        (at_the_end, "anywhere in the last k"),
        (number_alive, "Divide"),
    ],
}
