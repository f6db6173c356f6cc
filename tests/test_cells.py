"""Every recurrent cell: fast as readable, with gradients; and ElmanCell against PyTorch's own unit."""

import pytest
import torch
from jaxtyping import TypeCheckError

from lmcore.cells import Cell, ElmanCell, output_of
from lmcore.rnn import CELLS

INPUT_DIM, HIDDEN_DIM, B, T = 3, 5, 4, 6
WITH_KERNEL = ("elman", "gru")


def make(name: str) -> Cell:
    """A float64 cell whose biases are not zero."""
    cell = CELLS[name](INPUT_DIM, HIDDEN_DIM).double()
    for parameter in cell.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter)
    return cell


@pytest.fixture(params=CELLS)
def cell(request) -> Cell:
    return make(request.param)


def inputs(steps: int = T, rows: int = B) -> torch.Tensor:
    return torch.randn(rows, steps, INPUT_DIM, dtype=torch.float64, requires_grad=True)


def parts(state) -> list[torch.Tensor]:
    return [state] if isinstance(state, torch.Tensor) else list(state)


def start(cell: Cell, rows: int = B):
    """A state that is not zero; sums, as the sLSTM's normaliser, are above zero."""
    state = [0.1 + torch.rand(rows, HIDDEN_DIM, dtype=torch.float64) for _ in parts(cell.initial_state(rows))]
    state = [part.requires_grad_() for part in state]
    return tuple(state) if len(state) > 1 else state[0]


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


def gradients(result, wanted: list[torch.Tensor]) -> list[torch.Tensor]:
    """Of a weighted sum of all outputs and of the last state, each number with a weight of its own."""
    outputs, state = result
    weights = torch.Generator().manual_seed(5)
    total = sum(
        (part * torch.randn(part.shape, dtype=part.dtype, generator=weights)).sum()
        for part in (outputs, *parts(state))
    )
    return torch.autograd.grad(total, wanted)


def same(found, expected, wanted: list[torch.Tensor], atol: float = 1e-10) -> None:
    """Outputs, last states and gradients."""
    pairs = [(found[0], expected[0]), *zip(parts(found[1]), parts(expected[1]), strict=True)]
    pairs += zip(gradients(found, wanted), gradients(expected, wanted), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, atol=atol, rtol=0)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_scan_equals_loop_with_gradients(cell, steps):
    x, state = inputs(steps), start(cell)
    same(cell.scan(x, state), cell.loop(x, state), [x, *parts(state), *cell.parameters()])


def test_scan_equals_loop_in_float32(cell):
    """There torch may take other kernels: oneDNN's for the LSTM."""
    cell = cell.float()
    x = inputs(7).detach().float().requires_grad_()
    state = [part.detach().float().requires_grad_() for part in parts(start(cell))]
    state = tuple(state) if len(state) > 1 else state[0]
    same(cell.scan(x, state), cell.loop(x, state), [x, *parts(state), *cell.parameters()], atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("name", WITH_KERNEL)
def test_the_kernel_for_cuda_equals_loop_with_gradients(name, steps):
    """Called here on a CPU, where torch has the same operation: layout and biases have to be right."""
    cell = make(name)
    x, state = inputs(steps), start(cell)
    same(cell._cudnn(x, state), cell.loop(x, state), [x, *parts(state), *cell.parameters()])


def test_loop_is_the_cell_called_step_by_step(cell):
    x, state = inputs(), start(cell)
    outputs, last = cell.loop(x, state)
    for t in range(T):
        state = cell(x[:, t], state)
        close(outputs[:, t], output_of(state))
    for one, other in zip(parts(last), parts(state), strict=True):
        close(one, other)


@pytest.mark.parametrize("cut", [1, 4, 5])
def test_scan_in_two_pieces_equals_scan_at_once(cell, cut):
    x, state = inputs(), start(cell)
    whole, last = cell.scan(x, state)
    first, between = cell.scan(x[:, :cut], state)
    second, end = cell.scan(x[:, cut:], between)
    close(torch.cat([first, second], dim=1), whole)
    for one, other in zip(parts(end), parts(last), strict=True):
        close(one, other)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("steps", [1, 2])
def test_scan_of_few_rows_or_steps(cell, rows, steps):
    x, state = inputs(steps, rows), start(cell, rows)
    same(cell.scan(x, state), cell.loop(x, state), [x, *parts(state), *cell.parameters()])


@pytest.mark.parametrize("steps", [1, T])
def test_scan_keeps_out_of_mixed_precision(cell, steps):
    cell = cell.float()
    x = torch.randn(B, steps, INPUT_DIM).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = cell.scan(x, cell.initial_state(B))
    assert {tensor.dtype for tensor in (outputs, *parts(state))} == {torch.float32}
    torch.testing.assert_close(outputs, cell.loop(x.float(), cell.initial_state(B))[0])


@pytest.mark.parametrize("name", CELLS)
def test_derivatives_of_step_and_scan(name):
    """Against differences of the outputs, by input, state and parameters."""
    cell = CELLS[name](2, 2).double()
    count = cell.num_states
    x = torch.randn(2, 3, 2, dtype=torch.float64)
    state = [0.1 + torch.rand(2, 2, dtype=torch.float64) for _ in range(count)]

    def flat(run):
        def function(x, *rest):
            result = run(x, tuple(rest[:count]) if count > 1 else rest[0])
            return tuple(parts(result)) if run is cell else (result[0], *parts(result[1]))

        return function

    for run, given in ((cell, x[:, 0].clone()), (cell.scan, x)):
        tensors = [tensor.requires_grad_() for tensor in (given, *state)]
        assert torch.autograd.gradcheck(flat(run), (*tensors, *cell.parameters()))


def test_the_first_state_is_zeros_like_a_parameter(cell):
    state = cell.initial_state(B)
    assert isinstance(state, torch.Tensor) == (cell.num_states == 1)
    assert len(parts(state)) == cell.num_states
    for part in parts(state):
        assert part.shape == (B, HIDDEN_DIM)
        assert part.dtype == torch.float64
        assert part.count_nonzero() == 0
    assert len({part.data_ptr() for part in parts(state)}) == cell.num_states
    assert cell.float().initial_state(B)[0].dtype == torch.float32


def test_the_state_that_goes_in_is_not_changed(cell):
    x, state = inputs(), start(cell)
    before = [part.detach().clone() for part in parts(state)]
    cell(x[:, 0], state)
    for run in (cell.scan, cell.loop):
        gradients(run(x, state), [x])
    assert all(torch.equal(part, copy) for part, copy in zip(parts(state), before, strict=True))


@pytest.mark.parametrize("shape", [(B + 1, HIDDEN_DIM), (1, B, HIDDEN_DIM)])
def test_a_state_of_the_wrong_shape_is_refused(cell, shape):
    wrong = [torch.zeros(shape, dtype=torch.float64) for _ in parts(cell.initial_state(B))]
    wrong = tuple(wrong) if len(wrong) > 1 else wrong[0]
    with pytest.raises(TypeCheckError):
        cell(inputs()[:, 0], wrong)
    with pytest.raises(TypeCheckError):
        cell.scan(inputs(), wrong)


def test_start_is_xavier_uniform_by_block():
    for name, blocks in (("elman", 1), ("gru", 3), ("lstm", 4), ("slstm", 4)):
        cell = CELLS[name](64, 192)
        for matrix, fan in ((cell.W, 64 + 192), (cell.U, 192 + 192)):
            bound = (6 / fan) ** 0.5
            for block in matrix.split(192, dim=1):
                assert 0.97 * bound < block.abs().max() <= bound
                torch.testing.assert_close(block.std().item(), bound / 3**0.5, rtol=0.03, atol=0)
        assert cell.W.shape[1] == cell.U.shape[1] == blocks * 192


def test_biases_start_at_zero_apart_from_forget_gates():
    for name, cell_class in CELLS.items():
        cell = cell_class(8, 16)
        torch.nn.init.normal_(cell.b)
        cell.reset_parameters()
        forget = slice(16, 32) if name in ("lstm", "slstm") else slice(0, 0)
        assert torch.all(cell.b[forget] == 1)
        assert cell.b.count_nonzero() == len(cell.b[forget])


def test_one_elman_step_is_the_equation():
    cell = make("elman")
    x, h = inputs(), start(cell)
    close(cell(x[:, 0], h), torch.tanh(x[:, 0] @ cell.W + h @ cell.U + cell.b))


def as_torch_rnn(cell: ElmanCell) -> torch.nn.RNN:
    """PyTorch's unit with the same numbers; its second bias is zero."""
    rnn = torch.nn.RNN(INPUT_DIM, HIDDEN_DIM, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(cell.W.t())
        rnn.weight_hh_l0.copy_(cell.U.t())
        rnn.bias_ih_l0.copy_(cell.b)
        rnn.bias_hh_l0.zero_()
    return rnn


def test_elman_equals_torch_rnn_with_gradients():
    cell = make("elman")
    x, h, rnn = inputs(), start(cell), as_torch_rnn(cell)
    expected, last = rnn(x, h[None])
    found = cell.scan(x, h)
    close(found[0], expected)
    close(found[1], last[0])
    theirs = [x, h, rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0]
    expected_grads = gradients((expected, last[0]), theirs)
    found_grads = gradients(found, [x, h, cell.W, cell.U, cell.b])
    for name, one, other in zip("xhWUb", found_grads, expected_grads, strict=True):
        close(one, other.t() if name in "WU" else other)
