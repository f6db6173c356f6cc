"""Wrong tests for the labs of chapter 25, of the kind that learners write."""

import math

import torch

PAIRS = torch.tensor([[0.0, 1.0, 3.0, 0.0], [2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
SINGLES = torch.tensor([6.0, 1.0, 3.0, 2.0])
PROBS = torch.tensor([0.25, 0.5, 0.125, 0.125])


def is_positive(perplexity):
    assert perplexity([(1.0, 10), (3.0, 30)]) > 1


def equal_counts(perplexity):
    assert math.isclose(perplexity([(1.0, 10), (3.0, 10)]), math.exp(2))


def as_one_batch(perplexity):
    whole, parts = perplexity([(2.5, 40)]), perplexity([(1.0, 10), (3.0, 30)])
    assert math.isclose(whole, parts)


def mean_wanted(perplexity):
    assert math.isclose(perplexity([(1.0, 10), (3.0, 30)]), (math.exp(1) + math.exp(3)) / 2)


def not_empty(back_off):
    assert len(back_off(PAIRS, SINGLES, 0)) == 4


def sums_where_seen(back_off):
    for last in (0, 1, 2):
        assert math.isclose(back_off(PAIRS, SINGLES, last).sum(), 1, rel_tol=1e-5)


def sums_only(back_off):
    for last in range(4):
        assert math.isclose(back_off(PAIRS, SINGLES, last).sum(), 1, rel_tol=1e-5)


def maximum_likelihood(back_off):
    torch.testing.assert_close(back_off(PAIRS, SINGLES, 0), PAIRS[0] / 4)


def shape_only(top_p):
    assert top_p(PROBS, 0.6).shape == (4,)


def sums_to_one_only(top_p):
    assert math.isclose(top_p(PROBS, 0.6).sum(), 1, rel_tol=1e-5)


def between_two_sums(top_p):
    assert (top_p(PROBS, 0.6) > 0).tolist() == [True, True, False, False]


def which_tokens(top_p):
    assert (top_p(PROBS, 0.6) > 0).tolist() == [True, True, False, False]
    assert (top_p(PROBS, 0.75) > 0).tolist() == [True, True, False, False]


def counts(tokens, state):
    """A model that knows how many tokens it has read, and expects the digits in turn."""
    state = (0 if state is None else state) + tokens.shape[1]
    logits = torch.zeros(1, tokens.shape[1], 10)
    logits[0, -1, state % 10] = 1
    return logits, state


def next_digit(tokens, state):
    """A model that looks at the last token alone."""
    logits = torch.zeros(1, tokens.shape[1], 10)
    logits[0, -1, (tokens[0, -1] + 1) % 10] = 1
    return logits, state


def adds_up(tokens, state):
    """A model whose state is the sum of the prompt so far, counted once per different token."""
    state = (frozenset() if state is None else state) | set(tokens[0].tolist())
    logits = torch.zeros(1, tokens.shape[1], 10)
    logits[0, -1, len(state) % 10] = 1
    return logits, state


def right_length(write):
    assert len(write(counts, [0, 1, 2], 4)) == 7


def one_token(write):
    assert write(counts, [0, 1, 2], 1) == [0, 1, 2, 3]


def last_token_model(write):
    assert write(next_digit, [0, 1, 2], 4) == [0, 1, 2, 3, 4, 5, 6]


def blind_to_repeats(write):
    assert write(adds_up, [0, 1, 2], 3) == [0, 1, 2, 3, 4, 5]


def same_text_wanted(write):
    assert write(counts, [0, 1, 2], 3) == [0, 1, 2, 0, 1, 2]


def has_both_parts(split):
    train, validation = split(torch.arange(200), 4)
    assert len(train) > len(validation) > 0


def no_window_twice(split):
    train, validation = split(torch.arange(200), 4)
    assert not {tuple(row) for row in train.tolist()} & {tuple(row) for row in validation.tolist()}


def no_place_in_both(split):
    train, validation = split(torch.arange(200), 4)
    assert not set(train.flatten().tolist()) & set(validation.flatten().tolist())


def all_in_one(split):
    train, _ = split(torch.arange(200), 4)
    assert len(train.unique()) == 200


WRONG = {
    "25.1": [
        (is_positive, "program of the lab pass"),
        (equal_counts, "weight of a large one"),
        (as_one_batch, "raises 2"),
        (mean_wanted, "program of the lab pass"),
    ],
    "25.2": [
        (not_empty, "program of the lab pass"),
        (sums_where_seen, "never seen before"),
        (sums_only, "negative"),
        (maximum_likelihood, "fails for a program that is right"),
    ],
    "25.3": [
        (shape_only, "program of the lab pass"),
        (sums_to_one_only, "program of the lab pass"),
        (between_two_sums, "reaches p exactly"),
        (which_tokens, "does not sum to one"),
    ],
    "25.4": [
        (right_length, "program of the lab pass"),
        (one_token, "program of the lab pass"),
        (blind_to_repeats, "program of the lab pass"),
        (last_token_model, "program of the lab pass"),
        (same_text_wanted, "fails for a program that is right"),
    ],
    "25.5": [
        (has_both_parts, "program of the lab pass"),
        (no_window_twice, "program of the lab pass|border"),
        (no_place_in_both, "nothing for validation"),
        (all_in_one, "program of the lab pass|fails for"),
    ],
}
