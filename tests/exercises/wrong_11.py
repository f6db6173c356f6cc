"""Wrong answers to the exercises of chapter 11, of the kind that learners write."""

import torch
import torch.nn.functional as F


def one_matrix_per_layer(L, d):
    return L * d


def operations(L, d):
    return 3 * 2 * L * 2 * d**2


def forward_only(L, d):
    return 3 * 2 * L * 2 * d**2 / (2 * d)


def no_layers(L, d):
    return 2 * d


def the_truth(p, pi):
    return p


def wrong_way_round(p, pi):
    return p * pi / (p * pi).sum()


def not_normalised(p, pi):
    return p / pi


def softmax_of_odds(p, pi):
    return (p / pi).softmax(dim=0)


def over_candidates(z, y, candidates):
    return F.cross_entropy(z.masked_fill(~candidates, -torch.inf), y, reduction="sum")


def not_corrected(h, W, b, y, drawn, pi):
    return over_candidates(h @ W.T + b, y, drawn | F.one_hot(y, len(W)).bool())


def all_targets(h, W, b, y, drawn, pi):
    candidates = drawn.clone()
    candidates[y] = True
    return over_candidates(h @ W.T + b - pi.log(), y, candidates)


def drawn_target_twice(h, W, b, y, drawn, pi):
    z = h @ W.T + b - pi.log()
    target = z.gather(1, y[:, None])
    return (torch.cat([target, z[:, drawn]], dim=1).logsumexp(dim=1) - target[:, 0]).sum()


def negatives_corrected_only(h, W, b, y, drawn, pi):
    ids = drawn.nonzero().squeeze(1)
    negatives = h @ W[ids].T + b[ids] - pi[ids].log()
    negatives = negatives.masked_fill(ids == y[:, None], -torch.inf)
    target = (h * W[y]).sum(1) + b[y]
    return (torch.cat([target[:, None], negatives], dim=1).logsumexp(1) - target).sum()


def mean_of_rows(h, W, b, y, drawn, pi):
    z = h @ W.T + b - pi.log()
    candidates = drawn | F.one_hot(y, len(W)).bool()
    return F.cross_entropy(z.masked_fill(~candidates, -torch.inf), y)


def no_entries(cuts, covered, D):
    cost = D * cuts[0]
    for i, (start, end) in enumerate(zip(cuts, [*cuts[1:], len(covered)], strict=True)):
        width = D // 4 ** (i + 1)
        cost += (covered[end - 1] - covered[start - 1]) * (D * width + width * (end - start))
    return cost


def always_computed(cuts, covered, D):
    cost = D * (cuts[0] + len(cuts))
    for i, (start, end) in enumerate(zip(cuts, [*cuts[1:], len(covered)], strict=True)):
        cost += (D // 4 ** (i + 1)) * (D + end - start)
    return cost


def one_width(cuts, covered, D):
    cost = D * (cuts[0] + len(cuts))
    for start, end in zip(cuts, [*cuts[1:], len(covered)], strict=True):
        cost += (covered[end - 1] - covered[start - 1]) * (D // 4) * (D + end - start)
    return cost


WRONG = {
    "11.1": [
        (one_matrix_per_layer, "two matrices"),
        (operations, "not yet of tokens"),
        (forward_only, "backward pass, too"),
        (no_layers, "layers are missing"),
    ],
    "11.2": [
        (the_truth, "p itself"),
        (wrong_way_round, "wrong way round"),
        (not_normalised, "sums to 1"),
        (softmax_of_odds, "no other exponential"),
    ],
    "11.3": [
        (not_corrected, "correction is missing"),
        (all_targets, "other rows"),
        (drawn_target_twice, "twice"),
        (negatives_corrected_only, "the target is corrected, too"),
        (mean_of_rows, "their mean"),
    ],
    "11.4": [
        (no_entries, "an entry for each cluster"),
        (always_computed, "share of the text"),
        (one_width, "narrower than the one before"),
    ],
}
