"""Linear recurrences three ways, and the cells made of them, against the definition and against the paper."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from lmcore import scan
from lmcore.errors import InputError
from lmcore.scan import MinGRUCell, MinLSTMCell, linear_recurrence, recurrence_loop, recurrence_tree

INPUT_DIM, HIDDEN_DIM, B = 3, 5, 4

lengths = pytest.mark.parametrize("T", [1, 2, 3, 4, 5, 7, 8, 13, 33])
ways = pytest.mark.parametrize("way", [recurrence_tree, linear_recurrence])
cells = pytest.mark.parametrize("kind", [MinGRUCell, MinLSTMCell])


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


def terms(T: int, *rest: int) -> list[torch.Tensor]:
    """a of both signs and above 1, too: nothing here may rely on what gates can do."""
    shapes = ((T, *rest), (T, *rest), rest)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def gradients(outputs: torch.Tensor, wanted: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Of a sum in which every output has a weight of its own."""
    weighting = torch.randn(outputs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return torch.autograd.grad((outputs * weighting).sum(), wanted)


def test_loop_is_the_formula_on_numbers():
    """A balance that starts at 100, loses a half or nothing, and takes payments in."""
    a, b = torch.tensor([0.5, 1.0, 0.5]), torch.tensor([10.0, 20.0, 0.0])
    assert recurrence_loop(a, b, torch.tensor(100.0)).tolist() == [60.0, 80.0, 40.0]


@ways
@lengths
def test_each_way_gives_the_numbers_of_the_loop(way, T):
    a, b, h = terms(T, B, HIDDEN_DIM)
    close(way(a, b, h), recurrence_loop(a, b, h))


@ways
@lengths
def test_each_way_gives_the_gradients_of_the_loop(way, T):
    a, b, h = terms(T, 2, 3)
    found, expected = (gradients(f(a, b, h), [a, b, h]) for f in (way, recurrence_loop))
    for one, other in zip(found, expected, strict=True):
        close(one, other)


@given(st.integers(1, 70), st.integers(0, 2**31 - 1))
def test_tree_equals_loop_at_any_length(T, seed):
    torch.manual_seed(seed)
    a, b = torch.rand(T, 3, dtype=torch.float64), torch.randn(T, 3, dtype=torch.float64)
    h = torch.randn(3, dtype=torch.float64)
    close(recurrence_tree(a, b, h), recurrence_loop(a, b, h))


@ways
@pytest.mark.parametrize("T", [1, 2, 5])
def test_derivative(way, T):
    assert torch.autograd.gradcheck(way, terms(T, 2))


@lengths
def test_what_runs_on_cuda_has_the_gradients_of_the_loop(T, monkeypatch):
    """The tree forwards and backwards, tried here on a CPU."""
    monkeypatch.setattr(scan, "_in_place", lambda tensor: False)
    a, b, h = terms(T, 2, 3)
    found, expected = (gradients(f(a, b, h), [a, b, h]) for f in (linear_recurrence, recurrence_loop))
    for one, other in zip(found, expected, strict=True):
        close(one, other)


def test_two_halves_are_the_whole():
    a, b, h = terms(9, B)
    whole = linear_recurrence(a, b, h)
    left = linear_recurrence(a[:4], b[:4], h)
    right = linear_recurrence(a[4:], b[4:], left[-1])
    close(torch.cat([left, right]), whole)
    for one, other in zip(
        gradients(torch.cat([left, right]), [a, b, h]), gradients(whole, [a, b, h]), strict=True
    ):
        close(one, other)


@ways
def test_what_goes_in_is_not_changed(way):
    given_in = terms(6, B)
    before = [tensor.detach().clone() for tensor in given_in]
    way(*given_in).sum().backward()
    assert all(torch.equal(tensor, old) for tensor, old in zip(given_in, before, strict=True))


@ways
def test_strided_and_expanded_terms(way):
    """Terms as they come out of a matrix product: a slice of a wider tensor, or one row for all steps."""
    wide, h = torch.randn(7, B, 6, dtype=torch.float64), torch.zeros(B, 3, dtype=torch.float64)
    a, b = wide.chunk(2, dim=-1)
    close(way(a, b, h), recurrence_loop(a, b, h))
    same = b[:1].expand(7, B, 3)
    close(way(a, same, h), recurrence_loop(a, same, h))


@ways
def test_factors_that_underflow_are_forgotten_not_nan(way):
    """The product of the factors is 0 in float32; a scan that divided by it would give 0 / 0."""
    T = 1000
    a, b = torch.full((T, 1), 1e-3), torch.ones(T, 1)
    outputs = way(a, b, torch.tensor([1e6]))
    torch.testing.assert_close(outputs[-1], torch.tensor([1 / (1 - 1e-3)]))


def test_no_steps_at_all_are_refused():
    with pytest.raises(InputError, match="0 time steps; at least 1"):
        linear_recurrence(torch.zeros(0, B), torch.zeros(0, B), torch.zeros(B))


@pytest.mark.parametrize("shapes", [((3, 2), (3, 2), (3,)), ((3, 2), (4, 2), (2,))])
def test_shapes_that_do_not_fit_are_refused(shapes):
    with pytest.raises(TypeCheckError):
        linear_recurrence(*(torch.zeros(shape) for shape in shapes))


def make(kind, T: int) -> tuple:
    cell = kind(INPUT_DIM, HIDDEN_DIM).double()
    torch.nn.init.normal_(cell.b)
    x = torch.randn(B, T, INPUT_DIM, dtype=torch.float64, requires_grad=True)
    h = torch.randn(B, HIDDEN_DIM, dtype=torch.float64, requires_grad=True)
    return cell, x, h


def test_min_gru_step_is_the_equation():
    cell, x, h = make(MinGRUCell, 1)
    W_z, W_h = cell.W.chunk(2, dim=1)
    b_z, b_h = cell.b.chunk(2)
    z = 1 / (1 + torch.exp(-(x[:, 0] @ W_z + b_z)))
    raw = x[:, 0] @ W_h + b_h
    assert (raw > 0).any()
    assert (raw < 0).any()
    candidate = torch.where(raw >= 0, raw + 0.5, 1 / (1 + torch.exp(-raw)))
    close(cell(x[:, 0], h), (1 - z) * h + z * candidate)


def test_min_lstm_step_is_the_equation():
    cell, x, h = make(MinLSTMCell, 1)
    f, i, raw = (x[:, 0] @ cell.W + cell.b).chunk(3, dim=1)
    f, i = torch.sigmoid(f), torch.sigmoid(i)
    candidate = torch.where(raw >= 0, raw + 0.5, torch.sigmoid(raw))
    close(cell(x[:, 0], h), f / (f + i) * h + i / (f + i) * candidate)


def test_min_lstm_with_both_gates_shut_is_no_nan():
    """sigmoid(-200) is 0 in float32, and f / (f + i) would be 0 / 0."""
    cell = MinLSTMCell(1, 1)
    with torch.no_grad():
        cell.W.zero_()
        cell.b.copy_(torch.tensor([-200.0, -199.0, 0.5]))
    h = cell(torch.zeros(1, 1), torch.zeros(1, 1))
    h.sum().backward()
    share = 1 / (1 + torch.tensor(-1.0).exp())  # i / (f + i) where i is e times f
    torch.testing.assert_close(h.item(), share.item())
    assert cell.b.grad.isfinite().all()


@cells
@pytest.mark.parametrize("T", [1, 2, 7, 8])
def test_scan_equals_loop_with_gradients(kind, T):
    cell, x, h = make(kind, T)
    wanted = [x, h, *cell.parameters()]
    (found, last), (expected, expected_last) = cell.scan(x, h), cell.loop(x, h)
    close(found, expected)
    close(last, expected_last)
    for one, other in zip(gradients(found, wanted), gradients(expected, wanted), strict=True):
        close(one, other)
    for one, other in zip(
        torch.autograd.grad(cell.scan(x, h)[1].sum(), wanted),
        torch.autograd.grad(cell.loop(x, h)[1].sum(), wanted),
        strict=True,
    ):
        close(one, other)


@cells
def test_loop_is_the_cell_called_step_by_step(kind):
    cell, x, h = make(kind, 4)
    outputs, last = cell.loop(x, h)
    for t in range(4):
        h = cell(x[:, t], h)
        close(outputs[:, t], h)
    close(last, h)


@cells
def test_cell_derivative(kind):
    cell, x, h = make(kind, 3)
    raw = (x @ cell.W + cell.b).chunk(cell.num_blocks, dim=-1)[-1]
    assert raw.abs().min() > 1e-4  # g has a corner at 0, where there is no derivative to check
    assert torch.autograd.gradcheck(lambda x, h, *_: cell.scan(x, h)[0], (x, h, *cell.parameters()))


@cells
@pytest.mark.parametrize("name", ["loop", "scan"])
@pytest.mark.parametrize("changed", [1, 3, 5])
def test_no_output_sees_a_later_input(kind, name, changed):
    """A public minGRU looked ahead: a loss near zero in training, and nonsense when it wrote."""
    cell, x, h = make(kind, 6)
    run = getattr(cell, name)
    other = x.detach().clone()
    other[:, changed:] += 1
    before, after = run(x, h)[0], run(other, h)[0]
    assert torch.equal(before[:, :changed], after[:, :changed])
    assert (before[:, changed:] != after[:, changed:]).any(dim=-1).all()
    seen = torch.autograd.grad(before[:, changed - 1].sum(), x)[0].abs().sum(dim=(0, 2))
    assert seen[changed:].count_nonzero() == 0
    assert (seen[:changed] > 0).all()


@cells
def test_scan_in_two_pieces_is_the_whole(kind):
    cell, x, h = make(kind, 7)
    whole, last = cell.scan(x, h)
    left, state = cell.scan(x[:, :3], h)
    right, state = cell.scan(x[:, 3:], state)
    close(torch.cat([left, right], dim=1), whole)
    close(state, last)


@cells
@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("T", [1, 2])
def test_scan_of_few_rows_or_steps(kind, rows, T):
    cell = kind(INPUT_DIM, HIDDEN_DIM)
    outputs, state = cell.scan(torch.randn(rows, T, INPUT_DIM), cell.initial_state(rows))
    assert outputs.shape == (rows, T, HIDDEN_DIM)
    assert state.shape == (rows, HIDDEN_DIM)
    outputs.sum().backward()
    assert cell.W.grad.isfinite().all()


@cells
def test_state_stays_among_the_candidates(kind):
    """A weighted mean of what was there and what comes: it can neither grow without limit nor change sign."""
    cell, x, _ = make(kind, 50)
    outputs, _ = cell.scan(100 * x, cell.initial_state(B))
    *_, raw = (100 * x @ cell.W + cell.b).chunk(cell.num_blocks, dim=-1)
    assert (outputs >= 0).all()
    assert (outputs.amax(dim=1) <= scan.positive(raw).amax(dim=1) + 1e-9).all()


@cells
def test_start(kind):
    cell = kind(64, 192)
    bound = (6 / (64 + 192)) ** 0.5  # of one block, not of all blocks side by side
    for block in cell.W.chunk(cell.num_blocks, dim=1):
        assert 0.97 * bound < block.abs().max() <= bound
    assert cell.b.count_nonzero() == 0
    state = cell.double().initial_state(7)
    assert state.shape == (7, 192)
    assert state.dtype == torch.float64
    assert state.count_nonzero() == 0


@cells
def test_scan_keeps_out_of_mixed_precision(kind):
    cell, x, h = (part.float() for part in make(kind, 5))
    expected, _ = cell.scan(x, h)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = cell.scan(x, h)
    assert outputs.dtype == state.dtype == torch.float32
    assert torch.equal(outputs, expected)


@cells
def test_a_state_of_the_wrong_shape_is_refused(kind):
    cell, x, h = make(kind, 2)
    for wrong in (h[:-1], h[None]):
        with pytest.raises(TypeCheckError):
            cell.scan(x, wrong)
