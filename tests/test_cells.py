"""ElmanCell against PyTorch's own recurrent unit, against its derivative, and against itself."""

import pytest
import torch
from jaxtyping import TypeCheckError

from lmcore.cells import ElmanCell

INPUT_DIM, HIDDEN_DIM, B, T = 3, 5, 4, 6


@pytest.fixture
def cell() -> ElmanCell:
    cell = ElmanCell(INPUT_DIM, HIDDEN_DIM).double()
    torch.nn.init.normal_(cell.b)
    return cell


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(B, T, INPUT_DIM, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def h() -> torch.Tensor:
    return torch.randn(B, HIDDEN_DIM, dtype=torch.float64, requires_grad=True)


def as_torch_rnn(cell: ElmanCell) -> torch.nn.RNN:
    """PyTorch's unit with the same numbers; its second bias is zero."""
    rnn = torch.nn.RNN(INPUT_DIM, HIDDEN_DIM, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(cell.W.t())
        rnn.weight_hh_l0.copy_(cell.U.t())
        rnn.bias_ih_l0.copy_(cell.b)
        rnn.bias_hh_l0.zero_()
    return rnn


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


def test_one_step_is_the_equation(cell, x, h):
    expected = torch.tanh(x[:, 0] @ cell.W + h @ cell.U + cell.b)
    close(cell(x[:, 0], h), expected)


def test_scan_equals_torch_rnn(cell, x, h):
    expected, last = as_torch_rnn(cell)(x, h[None])
    outputs = cell.scan(x, h)
    close(outputs, expected)
    close(outputs[:, -1], last[0])


def test_scan_has_the_gradients_of_torch_rnn(cell, x, h):
    rnn = as_torch_rnn(cell)
    weighting = torch.randn(B, T, HIDDEN_DIM, dtype=torch.float64)
    expected = torch.autograd.grad(
        (rnn(x, h[None])[0] * weighting).sum(), [x, h, rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0]
    )
    found = torch.autograd.grad((cell.scan(x, h) * weighting).sum(), [x, h, cell.W, cell.U, cell.b])
    for name, one, other in zip("xhWUb", found, expected, strict=True):
        close(one, other.t() if name in "WU" else other)


def test_loop_is_the_cell_called_step_by_step(cell, x, h):
    steps, state = [], h
    for t in range(T):
        state = cell(x[:, t], state)
        steps.append(state)
    close(cell.loop(x, h), torch.stack(steps, dim=1))


def test_scan_equals_loop_with_gradients(cell, x, h):
    weighting = torch.randn(B, T, HIDDEN_DIM, dtype=torch.float64)
    wanted = [x, h, cell.W, cell.U, cell.b]
    found, expected = cell.scan(x, h), cell.loop(x, h)
    close(found, expected)
    grads = (torch.autograd.grad((out * weighting).sum(), wanted) for out in (found, expected))
    for one, other in zip(*grads, strict=True):
        close(one, other)


def test_the_kernel_for_cuda_equals_loop_with_gradients(cell, x, h):
    """Called here on a CPU, where torch has the same operation: layout and biases have to be right."""
    weighting = torch.randn(B, T, HIDDEN_DIM, dtype=torch.float64)
    wanted = [x, h, cell.W, cell.U, cell.b]
    found, expected = cell._cudnn(x, h), cell.loop(x, h)
    close(found, expected)
    grads = (torch.autograd.grad((out * weighting).sum(), wanted) for out in (found, expected))
    for one, other in zip(*grads, strict=True):
        close(one, other)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("steps", [1, 2])
def test_scan_of_few_rows_or_steps(cell, rows, steps):
    x = torch.randn(rows, steps, INPUT_DIM, dtype=torch.float64)
    h = torch.randn(rows, HIDDEN_DIM, dtype=torch.float64)
    found, expected = cell.scan(x, h), cell.loop(x, h)
    close(found, expected)
    found.sum().backward()
    grads = [p.grad for p in cell.parameters()]
    cell.zero_grad()
    expected.sum().backward()
    for one, parameter in zip(grads, cell.parameters(), strict=True):
        close(one, parameter.grad)


def test_scan_keeps_out_of_mixed_precision(cell, x, h):
    cell, x, h = cell.float(), x.detach().float(), h.detach().float()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = cell.scan(x.bfloat16().float(), h)
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(outputs, cell.loop(x.bfloat16().float(), h))


def test_step_derivative(cell, x, h):
    def step(x_t, h_prev, *_):  # the parameters are looked at, too
        return cell(x_t, h_prev)

    x_t = x[:, 0].detach().requires_grad_()
    assert torch.autograd.gradcheck(step, (x_t, h, cell.W, cell.U, cell.b))


def test_scan_derivative(cell, x, h):
    assert torch.autograd.gradcheck(lambda x, h, *_: cell.scan(x, h), (x, h, cell.W, cell.U, cell.b))


def test_start_is_xavier_uniform_with_zero_bias():
    cell = ElmanCell(64, 192)
    for matrix, fan in ((cell.W, 64 + 192), (cell.U, 192 + 192)):
        bound = (6 / fan) ** 0.5
        assert 0.97 * bound < matrix.abs().max() <= bound
        torch.testing.assert_close(matrix.std().item(), bound / 3**0.5, rtol=0.03, atol=0)
    assert cell.b.count_nonzero() == 0


def test_the_state_that_goes_in_is_not_changed(cell, x, h):
    before = h.detach().clone()
    cell(x[:, 0], h)
    cell.scan(x, h)
    assert torch.equal(h, before)


@pytest.mark.parametrize("shape", [(B + 1, HIDDEN_DIM), (1, B, HIDDEN_DIM)])
def test_a_state_of_the_wrong_shape_is_refused(cell, x, shape):
    wrong = torch.zeros(shape, dtype=torch.float64)
    with pytest.raises(TypeCheckError):
        cell(x[:, 0], wrong)
    with pytest.raises(TypeCheckError):
        cell.scan(x, wrong)
