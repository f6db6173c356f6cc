"""The chunked loss is PyTorch's cross-entropy: same value, same gradients, any number of rows."""

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError

from lmcore import loss
from lmcore.errors import InputError
from lmcore.loss import cross_entropy_nats, next_token_nats, rows_at_once
from lmcore.ngram import UnigramLM

D, V = 6, 11


def problem(rows: int) -> tuple[torch.Tensor, ...]:
    """Hidden outputs, weight and bias in float64 with gradients wanted, and targets."""
    sizes = ((rows, D), (V, D), (V,))
    tensors = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    return *tensors, torch.randint(0, V, (rows,))


def whole(hidden, weight, bias, targets, smoothing=0.0):
    logits = F.linear(hidden, weight, bias)
    return F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@pytest.fixture(params=[1, 7, 1000])
def chunk(request, monkeypatch) -> int:
    """Rows at a time; the real number is so large that these small problems would be one chunk."""
    monkeypatch.setattr(loss, "rows_at_once", lambda *_: request.param)
    return request.param


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows", [0, 1, 6, 7, 8, 30])
def test_equals_cross_entropy_with_gradients(rows, smoothing, chunk):
    *inputs, targets = problem(rows)
    found, expected = cross_entropy_nats(*inputs, targets, smoothing), whole(*inputs, targets, smoothing)
    close(found, expected)
    # a loss is divided by the number of tokens before backward: the factor has to arrive
    found_grads = torch.autograd.grad(found * 0.37, inputs)
    expected_grads = torch.autograd.grad(expected * 0.37, inputs)
    for one, other in zip(found_grads, expected_grads, strict=True):
        close(one, other)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_derivative(smoothing, chunk):
    *inputs, targets = problem(9)
    assert torch.autograd.gradcheck(lambda *args: cross_entropy_nats(*args, targets, smoothing), inputs)


@pytest.mark.parametrize("vocab_size", [3, 63, 64, 65, 128, 200])
def test_any_vocabulary_size(vocab_size):
    sizes = ((20, D), (vocab_size, D), (vocab_size,))  # rows of logits are padded to 64 columns inside
    inputs = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    targets = torch.randint(0, vocab_size, (20,))
    found, expected = cross_entropy_nats(*inputs, targets), whole(*inputs, targets)
    close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        close(one, other)


def test_rows_at_once_is_as_stated():
    assert rows_at_once("cpu", 8192, 128) == 16 * 2**20 // (4 * 8192) == 512
    assert rows_at_once("cpu", 32_011, 128) == 256  # twice the width
    assert rows_at_once("cuda", 32_011, 128) == 2**30 // (4 * 32_011)
    assert rows_at_once("cpu", 10**6, 32) == 64  # twice the width
    assert rows_at_once("cpu", 10**6, 4096) == 512  # at most


def test_logits_never_exist_whole():
    """Every tensor made on the way is looked at; the largest has to stay near the chunk."""
    hidden, weight, bias = torch.randn(2000, 8), torch.randn(32_000, 8), torch.randn(32_000)
    tensors = [t.requires_grad_() for t in (hidden, weight, bias)]
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    with Watch():
        cross_entropy_nats(*tensors, torch.randint(0, 32_000, (2000,))).backward()
    assert largest == rows_at_once("cpu", 32_000, 8) * 32_000  # 32,000 is a multiple of 64
    assert largest < 2000 * 32_000 / 7


def test_mixed_precision_keeps_its_sums_in_float32():
    *inputs, targets = problem(300)
    inputs = [tensor.detach().float().requires_grad_() for tensor in inputs]
    exact = whole(*inputs, targets)
    with torch.autocast("cpu", torch.bfloat16):
        found = cross_entropy_nats(*inputs, targets)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=2e-3, atol=0)
    assert found != exact  # it did run in bfloat16
    grads = torch.autograd.grad(found, inputs), torch.autograd.grad(exact, inputs)
    for one, other in zip(*grads, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0, atol=0.02 * other.abs().max().item())


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_label_smoothing_outside_its_range_is_refused(smoothing):
    with pytest.raises(InputError, match=r"label_smoothing is .*; it must be in \[0, 1\)"):
        cross_entropy_nats(*problem(3), smoothing)


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


def test_a_count_that_is_known_need_not_be_found(model, monkeypatch):
    inputs, targets = padded()
    expected, _, _ = next_token_nats(model, inputs, targets, pad_id=0)
    monkeypatch.setattr(torch.Tensor, "__int__", None)  # what would wait for a GPU
    monkeypatch.setattr(torch.Tensor, "item", None)
    nats, count, _ = next_token_nats(model, inputs, targets, pad_id=0, num_targets=9)
    assert count == 9
    close(nats, expected)


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
    torch.testing.assert_close(nats, -unigram.log_probs[targets[targets != 0]].double().sum())
