"""Cells with gates: GRU and LSTM against PyTorch's, sLSTM against its equations without a stabiliser."""

import pytest
import torch
from torch import nn

from lmcore.gated import GRUCell, LSTMCell, SLSTMCell

INPUT_DIM, HIDDEN_DIM, B = 3, 5, 4


def make(cell_class, **options):
    """A float64 cell whose biases are not zero."""
    cell = cell_class(INPUT_DIM, HIDDEN_DIM, **options).double()
    for parameter in cell.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter)
    return cell


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def close(found: torch.Tensor, expected: torch.Tensor, atol: float = 1e-10) -> None:
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


def weighted_sum(tensors) -> torch.Tensor:
    weights = torch.Generator().manual_seed(5)
    return sum((t * torch.randn(t.shape, dtype=t.dtype, generator=weights)).sum() for t in tensors)


def twin(cell, layer_class) -> nn.Module:
    """PyTorch's layer with the same numbers; its second bias is zero outside the GRU's reset."""
    layer = layer_class(INPUT_DIM, HIDDEN_DIM, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(cell.W.t())
        layer.weight_hh_l0.copy_(cell.U.t())
        layer.bias_ih_l0.copy_(cell.b)
        layer.bias_hh_l0.zero_()
        if layer_class is nn.GRU:
            layer.bias_hh_l0[2 * HIDDEN_DIM :] = cell.b_u
    return layer


def their_gradients(layer: nn.Module, total: torch.Tensor, outside: list[torch.Tensor]):
    """By what is outside, then W, U, b and all of the second bias, in our layout."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    grads = torch.autograd.grad(total, [*outside, *(getattr(layer, name) for name in names)])
    cut = len(outside)
    return [*grads[:cut], *(grad.t() if grad.ndim == 2 else grad for grad in grads[cut:])]


@pytest.mark.parametrize("way", ["loop", "scan"])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_gru_equals_torch_with_gradients(way, steps):
    cell = make(GRUCell)
    x, h, layer = random(B, steps, INPUT_DIM), random(B, HIDDEN_DIM), twin(cell, nn.GRU)
    outputs, last = getattr(cell, way)(x, h)
    expected, (expected_last,) = layer(x, h[None])
    close(outputs, expected)
    close(last, expected_last)
    found = torch.autograd.grad(weighted_sum([outputs, last]), [x, h, cell.W, cell.U, cell.b, cell.b_u])
    *theirs, second_bias = their_gradients(layer, weighted_sum([expected, expected_last]), [x, h])
    for one, other in zip(found, [*theirs, second_bias[2 * HIDDEN_DIM :]], strict=True):
        close(one, other)


@pytest.mark.parametrize("way", ["loop", "scan"])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_lstm_equals_torch_with_gradients(way, steps):
    cell = make(LSTMCell)
    x, state, layer = random(B, steps, INPUT_DIM), (random(B, HIDDEN_DIM), random(B, HIDDEN_DIM)), None
    layer = twin(cell, nn.LSTM)
    outputs, last = getattr(cell, way)(x, state)
    expected, expected_last = layer(x, tuple(part[None] for part in state))
    expected_last = [part[0] for part in expected_last]
    close(outputs, expected)
    for one, other in zip(last, expected_last, strict=True):
        close(one, other)
    found = torch.autograd.grad(weighted_sum([outputs, *last]), [x, *state, cell.W, cell.U, cell.b])
    *theirs, _ = their_gradients(layer, weighted_sum([expected, *expected_last]), [x, *state])
    for one, other in zip(found, theirs, strict=True):
        close(one, other)


def test_an_lstm_whose_forget_gate_is_open_keeps_its_memory():
    cell = make(LSTMCell)
    with torch.no_grad():
        i, f = cell.b[:HIDDEN_DIM], cell.b[HIDDEN_DIM : 2 * HIDDEN_DIM]
        i.fill_(-100), f.fill_(100)
    c = random(B, HIDDEN_DIM)
    _, (_, kept) = cell.scan(random(B, 50, INPUT_DIM), (random(B, HIDDEN_DIM), c))
    close(kept, c)


def test_a_gru_whose_update_gate_is_shut_keeps_its_state():
    cell = make(GRUCell)
    with torch.no_grad():
        cell.b[HIDDEN_DIM : 2 * HIDDEN_DIM] = 100
    h = random(B, HIDDEN_DIM)
    close(cell.scan(random(B, 50, INPUT_DIM), h)[1], h)


def plain_slstm(cell: SLSTMCell, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """The equations of the paper as they stand, from an empty memory: exp(i), and no stabiliser."""
    c, n, outputs = torch.zeros_like(h), torch.zeros_like(h), []
    for x_t in x.unbind(dim=1):
        i, f, z, o = (x_t @ cell.W + h @ cell.U + cell.b).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.exp(i) * torch.tanh(z)
        n = torch.sigmoid(f) * n + torch.exp(i)
        h = torch.sigmoid(o) * c / n
        outputs.append(h)
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("way", ["loop", "scan"])
def test_the_stabiliser_changes_no_output_and_no_gradient(way):
    cell, x, h = make(SLSTMCell), random(B, 9, INPUT_DIM), random(B, HIDDEN_DIM)
    _, *empty = cell.initial_state(B)
    outputs, _ = getattr(cell, way)(x, (h, *empty))
    expected = plain_slstm(cell, x, h)
    close(outputs, expected)
    wanted = [x, h, cell.W, cell.U, cell.b]
    found = torch.autograd.grad(weighted_sum([outputs]), wanted)
    for one, other in zip(found, torch.autograd.grad(weighted_sum([expected]), wanted), strict=True):
        close(one, other)


@pytest.mark.parametrize("size", [-1000.0, 1000.0])
def test_large_gates_do_not_overflow(size):
    cell = SLSTMCell(INPUT_DIM, HIDDEN_DIM)  # float32: exp(89) is infinite
    with torch.no_grad():
        cell.b[:HIDDEN_DIM] = size  # input gate
    x = torch.randn(B, 9, INPUT_DIM, requires_grad=True)
    assert not plain_slstm(cell, x, torch.zeros(B, HIDDEN_DIM)).isfinite().all()
    outputs, state = cell.scan(x, cell.initial_state(B))
    outputs.sum().backward()
    for tensor in (outputs, *state, x.grad, *(p.grad for p in cell.parameters())):
        assert tensor.isfinite().all()
    assert outputs.abs().max() < 1  # a mean of numbers between -1 and 1, times a gate
    assert outputs.abs().min() > 0


def test_a_late_input_can_outweigh_all_before_it():
    """What an LSTM's input gate, at most 1, cannot do."""
    cell = make(SLSTMCell)
    with torch.no_grad():
        cell.U.zero_()
        cell.W[0, :HIDDEN_DIM] = 50.0  # the input gate follows the first component
    x = random(B, 9, INPUT_DIM).detach()
    x[:, :, 0] = 0
    x[:, -1, 0] = 1
    outputs, _ = cell.scan(x, cell.initial_state(B))
    _, _, z, o = (x[:, -1] @ cell.W + cell.b).chunk(4, dim=1)
    close(outputs[:, -1], torch.sigmoid(o) * torch.tanh(z))
