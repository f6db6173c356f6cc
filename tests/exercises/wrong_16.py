"""Wrong answers to the exercises of chapter 16, of the kind that learners write."""

from itertools import permutations

import torch


def forget_gate_forgotten():
    return [[0.0, 0.0, 40.0, 0.0], [0.0, 0.0, -40.0, 0.0]], [40.0, 0.0, 0.0, 40.0]


def input_gate_half_open():
    return [[0.0, 0.0, 40.0, 0.0], [0.0, 0.0, -40.0, 0.0]], [0.0, 40.0, 0.0, 40.0]


def small_candidate():
    return [[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, -1.0, 0.0]], [40.0, 40.0, 0.0, 40.0]


def closing_never_written():
    return [[0.0, 0.0, 40.0, 0.0], [0.0, 0.0, 0.0, 0.0]], [40.0, 40.0, 0.0, 40.0]


def fades_slowly():
    return [[0.0, 0.0, 40.0, 0.0], [0.0, 0.0, -40.0, 0.0]], [10.0, 10.0, 0.0, 10.0]


def right_order(parts, outputs, lstm):
    for order in permutations(range(4)):
        ours = [torch.cat([part.chunk(4, dim=-1)[k] for k in order], dim=-1) for part in parts]
        if torch.allclose(lstm(*ours), outputs, atol=1e-9):
            return order
    return None


def shapes_only(parts, outputs, lstm):
    for order in permutations(range(4)):
        ours = [torch.cat([part.chunk(4, dim=-1)[k] for k in order], dim=-1) for part in parts]
        if lstm(*ours).shape == outputs.shape:
            return order
    return None


def inverse(parts, outputs, lstm):
    order = right_order(parts, outputs, lstm)
    return [order.index(k) for k in range(4)]


def list_of_orders(parts, outputs, lstm):
    return [right_order(parts, outputs, lstm)]


def bias_left_behind(parts, outputs, lstm):
    W, U, b = parts
    for order in permutations(range(4)):
        ours = [torch.cat([part.chunk(4, dim=-1)[k] for k in order], dim=-1) for part in (W, U)]
        if torch.allclose(lstm(*ours, b), outputs, atol=1e-9):
            return order
    return None


def gates(c, o, p, u):
    h = o * torch.tanh(torch.tensor(c))
    return torch.sigmoid(p[0] + u[0] * h), torch.sigmoid(p[1] + u[1] * h), torch.tanh(p[2] + u[2] * h)


def additive_path_alone(c, o, p, u):
    return gates(c, o, p, u)[1]


def forget_gate_taken_for_constant(c, o, p, u):
    i, f, g = gates(c, o, p, u)
    by_h = g * i * (1 - i) * u[0] + i * (1 - g**2) * u[2]
    return f + by_h * o * (1 - torch.tanh(torch.tensor(c)) ** 2)


def slope_of_h_forgotten(c, o, p, u):
    i, f, g = gates(c, o, p, u)
    by_h = c * f * (1 - f) * u[1] + g * i * (1 - i) * u[0] + i * (1 - g**2) * u[2]
    return f + by_h * o


def h_taken_for_c(c, o, p, u):
    i, f, g = gates(c, o, p, u)
    return f + c * f * (1 - f) * u[1] + g * i * (1 - i) * u[0] + i * (1 - g**2) * u[2]


def step_with(x_t, state, W, U, b, gate, value, names="ifgo", squash=False):
    h, c = state
    blocks = dict(zip(names, (x_t @ W + h @ U + b).chunk(4, dim=1), strict=True))
    opened = {name: torch.sigmoid(blocks[name]) for name in "ifo"}
    opened[gate] = torch.sigmoid(value) if squash else value
    new = opened["f"] * c + opened["i"] * torch.tanh(blocks["g"])
    return opened["o"] * torch.tanh(new), new


def nothing_held(x_t, state, W, U, b, gate, value):
    i, f, g, o = (x_t @ W + state[0] @ U + b).chunk(4, dim=1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def sigmoid_of_the_value(*arguments):
    return step_with(*arguments, squash=True)


def candidate_last(*arguments):
    return step_with(*arguments, names="ifog")


def input_for_forget(x_t, state, W, U, b, gate, value):
    return step_with(x_t, state, W, U, b, {"i": "f", "f": "i", "o": "o"}[gate], value)


def cell_first(*arguments):
    return step_with(*arguments)[::-1]


def sees_the_future(scores, candidates):
    return (torch.softmax(scores, dim=0) * candidates).cumsum(dim=0)


def overflows(scores, candidates):
    weights = torch.exp(scores)
    return (weights * candidates).cumsum(dim=0) / weights.cumsum(dim=0)


def largest_of_all_taken_off(scores, candidates):
    return overflows(scores - scores.max(), candidates)


def not_divided(scores, candidates):
    return (torch.exp(scores) * candidates).cumsum(dim=0)


def last_mean_only(scores, candidates):
    return torch.softmax(scores, dim=0) @ candidates


WRONG = {
    "16.1": [
        (forget_gate_forgotten, "fades"),
        (input_gate_half_open, "the input gate is 0.50"),
        (small_candidate, r"adds \+0.76"),
        (closing_never_written, "at '\\)' the cell adds"),
        (fades_slowly, "quite 0 or 1"),
    ],
    "16.2": [
        (shapes_only, "not shapes"),
        (inverse, "from our order to theirs"),
        (list_of_orders, "each once"),
        (bias_left_behind, "returns None"),
    ],
    "16.3": [
        (additive_path_alone, "additive path alone"),
        (forget_gate_taken_for_constant, "the forget gate looks at h"),
        (slope_of_h_forgotten, "slope of tanh"),
        (h_taken_for_c, "one to one"),
    ],
    "16.4": [
        (nothing_held, "nothing is held"),
        (sigmoid_of_the_value, "no sigmoid"),
        (candidate_last, "It is i, f, g, o"),
        (input_for_forget, "gone to gate i"),
        (cell_first, "h comes first"),
    ],
    "16.5": [
        (sees_the_future, "without those to come"),
        (overflows, "too large a number"),
        (largest_of_all_taken_off, "first mean is nan"),
        (not_divided, "that is c_t"),
        (last_mean_only, "not the last alone"),
    ],
}
