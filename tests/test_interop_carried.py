"""Padding is never read: whatever the mask, each row gives what it gives alone, and goes on from there."""

import pytest
import torch
from lively_models import NAMES, lively

from lmcore.interop.carried import CarriedState, read
from lmcore.step import tensors_in

MASKS = {  # rows of 7 places
    "left": ["1111111", "0001111", "0000001", "0111111"],
    "right": ["1111111", "1111000", "1000000", "1111110"],
    "holes": ["1011001", "0110110", "1111111", "0001000"],
    "a row of nothing": ["0000000", "1111111", "0101010", "0000000"],
}


def bools(rows: list[str]) -> torch.Tensor:
    return torch.tensor([[place == "1" for place in row] for row in rows])


@pytest.fixture(params=NAMES)
def model(request, char):
    return lively(request.param, char)


@pytest.fixture
def tokens(char) -> torch.Tensor:
    return torch.randint(4, char.vocab_size, (4, 7), generator=torch.Generator().manual_seed(1))


def alone(model, tokens: torch.Tensor, mask: torch.Tensor, state=None):
    """Hidden outputs and state of one row, its real tokens read in one go."""
    real = tokens[mask][None]  # (1, n)
    if not real.shape[1]:
        return real.new_zeros(1, 0, model.config.emb_dim).double(), state
    return model.hidden(real, state)


@pytest.mark.parametrize("name", MASKS)
def test_each_row_gives_what_it_gives_alone_and_goes_on_so(model, tokens, name):
    masks = [bools(MASKS[name]), bools(MASKS["holes"]), torch.ones(4, 7, dtype=torch.bool)]
    states, carried = [None] * 4, None
    for mask in masks:
        hidden, carried = read(model, tokens, mask, carried)
        assert (hidden[~mask] == 0).all()
        for row in range(4):
            expected, states[row] = alone(model, tokens[row], mask[row], states[row])
            torch.testing.assert_close(hidden[row][mask[row]][None], expected)
    assert carried.get_seq_length() == 21
    assert sorted(torch.cat([rows for rows, _ in carried.groups]).tolist()) == [0, 1, 2, 3]


def test_a_recurrent_state_of_padded_rows_is_one_again(char, tokens):
    _, carried = read(lively("lstm", char), tokens, bools(MASKS["left"]))
    [(rows, state)] = carried.groups
    assert rows.tolist() == [0, 1, 2, 3]
    assert [tensor.shape for tensor in tensors_in(state)] == [(4, 16)] * 4


def test_rows_without_padding_are_read_at_once(model, tokens, monkeypatch):
    calls, hidden = [], model.hidden
    monkeypatch.setattr(model, "hidden", lambda *given: calls.append(given[0].shape) or hidden(*given))
    _, carried = read(model, tokens, torch.ones(4, 7, dtype=torch.bool))
    read(model, tokens[:, :1], None, carried)
    assert calls == [(4, 7), (4, 1)]


def test_no_padding_and_no_token_is_read_twice(model, tokens, monkeypatch):
    calls, hidden = [], model.hidden
    monkeypatch.setattr(model, "hidden", lambda *given: calls.append(given[0].numel()) or hidden(*given))
    read(model, tokens, bools(MASKS["left"]))
    assert sum(calls) == 7 + 4 + 1 + 6


@pytest.mark.parametrize("name", MASKS)
def test_rows_in_another_order_go_on_from_what_they_were(model, tokens, name):
    _, carried = read(model, tokens, bools(MASKS[name]))
    order = torch.tensor([2, 0, 0, 3])
    _, again = read(model, tokens[order], bools(MASKS[name])[order])
    carried.reorder_cache(order)
    following = tokens[:, 2:5]
    torch.testing.assert_close(
        read(model, following, None, carried)[0], read(model, following, None, again)[0]
    )
    assert carried.get_seq_length() == 7


def test_gradients_go_through_padded_rows(model, tokens):
    mask, weights = bools(MASKS["left"]), list(model.parameters())
    (read(model, tokens, mask)[0] ** 2).sum().backward()
    found = [None if weight.grad is None else weight.grad.clone() for weight in weights]
    model.zero_grad()
    for row in range(4):
        (alone(model, tokens[row], mask[row])[0] ** 2).sum().backward()
    for gradient, weight in zip(found, weights, strict=True):
        torch.testing.assert_close(gradient, weight.grad)


def test_what_transformers_asks_of_a_cache():
    carried = CarriedState([], 5)
    assert (carried.get_seq_length(), carried.is_compileable, carried.is_croppable) == (5, False, False)
