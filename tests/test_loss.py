"""The chunked loss is PyTorch's cross-entropy: same value, same gradients, any number of rows."""

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError

from lmcore import loss
from lmcore.loss import cross_entropy_nats, next_token_nats
from lmcore.ngram import UnigramLM

D, V = 6, 11


def problem(rows: int) -> tuple[torch.Tensor, ...]:
    """Hidden outputs, weight and bias in float64 with gradients wanted, and targets."""
    sizes = ((rows, D), (V, D), (V,))
    tensors = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    return *tensors, torch.randint(0, V, (rows,))


def whole(hidden, weight, bias, targets):
    return F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum")


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("rows", [0, 1, loss.ROWS_AT_ONCE - 1, loss.ROWS_AT_ONCE, loss.ROWS_AT_ONCE + 1, 300])
def test_equals_cross_entropy_with_gradients(rows):
    *inputs, targets = problem(rows)
    found, expected = cross_entropy_nats(*inputs, targets), whole(*inputs, targets)
    close(found, expected)
    # a loss is divided by the number of tokens before backward: the factor has to arrive
    found_grads = torch.autograd.grad(found * 0.37, inputs)
    expected_grads = torch.autograd.grad(expected * 0.37, inputs)
    for one, other in zip(found_grads, expected_grads, strict=True):
        close(one, other)


def test_derivative(monkeypatch):
    monkeypatch.setattr(loss, "ROWS_AT_ONCE", 3)
    *inputs, targets = problem(7)
    assert torch.autograd.gradcheck(lambda *args: cross_entropy_nats(*args, targets), inputs)


def test_is_a_sum_not_a_mean():
    hidden, weight, bias, targets = problem(5)
    twice = cross_entropy_nats(hidden.repeat(2, 1), weight, bias, targets.repeat(2))
    close(twice, 2 * cross_entropy_nats(hidden, weight, bias, targets))


def test_same_value_without_gradients_and_none_are_kept():
    *inputs, targets = problem(200)
    with torch.no_grad():
        nats = cross_entropy_nats(*inputs, targets)
    assert not nats.requires_grad
    close(nats, whole(*inputs, targets).detach())


def test_inputs_are_left_as_they_were():
    *inputs, targets = problem(5)
    before = [tensor.detach().clone() for tensor in (*inputs, targets)]
    cross_entropy_nats(*inputs, targets).backward()
    assert all(torch.equal(old, new) for old, new in zip(before, (*inputs, targets), strict=True))


def test_huge_logits_do_not_overflow():
    hidden, weight, bias, targets = problem(20)
    found = cross_entropy_nats(hidden * 1e4, weight, bias, targets)
    torch.testing.assert_close(found, whole(hidden * 1e4, weight, bias, targets))
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(found, [hidden, weight, bias]))


def test_sizes_that_do_not_belong_together_are_refused():
    hidden, weight, bias, targets = problem(5)
    with pytest.raises(TypeCheckError):
        cross_entropy_nats(hidden[:, :-1], weight, bias, targets)
    with pytest.raises(TypeCheckError):
        cross_entropy_nats(hidden, weight, bias, targets[:-1])


def padded() -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of three rows; 0 is padding, on the right of two of them."""
    rows = torch.tensor([[2, 5, 6, 7, 3], [2, 9, 3, 0, 0], [2, 4, 8, 3, 0]])
    return rows[:, :-1], rows[:, 1:]


def test_padding_weighs_nothing(model):
    inputs, targets = padded()
    nats, count, _ = next_token_nats(model, inputs, targets, pad_id=0)
    assert count == 9
    log_probs = model(inputs)[0].log_softmax(dim=-1)
    by_hand = -sum(
        log_probs[b, t, targets[b, t]]
        for b in range(targets.shape[0])
        for t in range(targets.shape[1])
        if targets[b, t] != 0
    )
    close(nats, by_hand)
    wider = [F.pad(ids, (0, 4)) for ids in (inputs, targets)]
    more_nats, same_count, _ = next_token_nats(model, *wider, pad_id=0)
    assert same_count == 9
    close(more_nats, nats)


def test_padding_sends_no_gradient(model):
    inputs, targets = padded()
    wider = [F.pad(ids, (0, 4)) for ids in (inputs, targets)]
    grads = []
    for pair in ((inputs, targets), wider):
        nats, _, _ = next_token_nats(model, *pair, pad_id=0)
        grads.append(torch.autograd.grad(nats, list(model.parameters())))
    for one, other in zip(*grads, strict=True):
        close(one, other)


def test_the_state_goes_in_and_comes_out(model):
    inputs, targets = padded()
    _, state = model(inputs)
    again, count, new_state = next_token_nats(model, inputs, targets, pad_id=0, state=state)
    logits, expected_state = model(inputs, state)
    close(again, F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum", ignore_index=0))
    assert count == 9
    for one, other in zip(new_state, expected_state, strict=True):
        close(one, other)


def test_a_model_without_hidden_outputs_is_scored_from_its_logits():
    inputs, targets = padded()
    unigram = UnigramLM([torch.tensor([2, 5, 6, 5, 3]).numpy()], vocab_size=10)
    nats, count, state = next_token_nats(unigram, inputs, targets, pad_id=0)
    assert (count, state) == (9, None)
    torch.testing.assert_close(nats, -unigram.log_probs[targets[targets != 0]].sum())
