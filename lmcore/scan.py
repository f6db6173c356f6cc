"""Linear recurrences, h_t = a_t h_{t-1} + b_t, and the cells that are built to be one: minGRU and minLSTM.

Where a_t and b_t come from the input alone, no step has to wait for a gate of the step before. Then two
steps are one step of the same form, and T steps can be put together in about 2 log2(T) rounds.

Left out: the logarithms of the minGRU paper. They serve a scan that divides by products of many small
numbers; the two here only multiply and add. And matrices in place of a_t (mLSTM): ours act elementwise.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lmcore.cells import Cell
from lmcore.errors import InputError


def recurrence_loop(
    a: Float[Tensor, " T *rest"], b: Float[Tensor, " T *rest"], h: Float[Tensor, "*rest"]
) -> Float[Tensor, " T *rest"]:
    """All h_t = a_t h_{t-1} + b_t, elementwise, from the start state h: the definition."""
    steps = []
    for a_t, b_t in zip(a, b, strict=True):
        h = a_t * h + b_t
        steps.append(h)
    return torch.stack(steps)


def recurrence_tree(
    a: Float[Tensor, " T *rest"], b: Float[Tensor, " T *rest"], h: Float[Tensor, "*rest"]
) -> Float[Tensor, " T *rest"]:
    """The same numbers as `recurrence_loop` in about 2 log2(T) rounds of elementwise work.

    A parallel prefix sum over pairs (a, b), with twice the operations of the loop. Sources: Ladner and
    Fischer (1980), Blelloch (1990), and for recurrences Kogge and Stone (1973).
    """
    first = torch.addcmul(b[0], a[0], h)
    return _tree(a, torch.cat([first[None], b[1:]]))


def _tree(a: Tensor, b: Tensor) -> Tensor:
    """From a zero state. Step t after step s is a step, too: (a_t a_s, a_t b_s + b_t)."""
    T = len(b)
    if T == 1:
        return b
    even, odd = slice(0, T - 1, 2), slice(1, T, 2)
    every_second = _tree(a[odd] * a[even], torch.addcmul(b[odd], a[odd], b[even]))  # h_1, h_3, h_5 ...
    h = torch.empty_like(b)
    h[odd] = every_second
    h[0] = b[0]
    h[2::2] = torch.addcmul(b[2::2], a[2::2], every_second[: (T - 1) // 2])
    return h


class _Recurrence(torch.autograd.Function):
    """h_t = a_t h_{t-1} + b_t; its gradient is a recurrence of the same kind, from the end to the start.

    With g_t the gradient by h_t alone, the whole gradient is e_t = g_t + a_{t+1} e_{t+1}. By b_t it is e_t,
    by a_t it is e_t h_{t-1}.
    """

    @staticmethod
    def forward(ctx, a, b, h):
        if _in_place(b):
            outputs = b.clone(memory_format=torch.contiguous_format)
            _steps_into(outputs.unbind(), a.unbind(), h)
        else:
            outputs = recurrence_tree(a, b, h)
        ctx.save_for_backward(a, h, outputs)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_outputs):
        a, h, outputs = ctx.saved_tensors
        if _in_place(a):
            errors = grad_outputs.clone(memory_format=torch.contiguous_format)
            *before, last = errors.unbind()
            _steps_into(before[::-1], a.unbind()[:0:-1], last)
        else:
            later = torch.cat([a[:1], a[1:].flip(0)])  # the first meets a state of zero
            errors = recurrence_tree(later, grad_outputs.flip(0), torch.zeros_like(h)).flip(0)
        grad_a = torch.empty_like(outputs)
        torch.mul(errors[0], h, out=grad_a[0])
        torch.mul(errors[1:], outputs[:-1], out=grad_a[1:])
        return grad_a, errors, a[0] * errors[0]


def _in_place(tensor: Tensor) -> bool:
    """A CPU has few cores, which the loop keeps busy; the tree is for devices with thousands."""
    return tensor.device.type == "cpu"


def _steps_into(slots: Sequence[Tensor], factors: Sequence[Tensor], h: Tensor) -> None:
    """The loop in place: each slot holds b_t and becomes h_t, one operation and no new memory."""
    for slot, factor in zip(slots, factors, strict=True):
        h = slot.addcmul_(factor, h)


def linear_recurrence(
    a: Float[Tensor, " T *rest"], b: Float[Tensor, " T *rest"], h: Float[Tensor, "*rest"]
) -> Float[Tensor, " T *rest"]:
    """The same numbers as `recurrence_loop`, faster; differentiable once.

    On a CPU it is the loop in place, which leaves its few cores no idle time; elsewhere the tree, whose
    rounds keep many cores busy (not run by us on a GPU yet). Raises InputError for 0 time steps.
    """
    if not len(b):
        raise InputError("there are 0 time steps; at least 1 is needed")
    return _Recurrence.apply(a, b, h)


class LinearCell(Cell):
    """A recurrent cell that is a linear recurrence: its gates see the input, never the state.

    A subclass gives `terms`. Shapes: ``W`` (input_dim, num_blocks * hidden_dim), and ``b`` as wide.
    """

    def __init__(self, input_dim: int, hidden_dim: int):
        super().__init__(hidden_dim)
        self.W = nn.Parameter(torch.empty(input_dim, self.num_blocks * hidden_dim))
        self.b = nn.Parameter(torch.empty(self.num_blocks * hidden_dim))
        self.reset_parameters()

    def terms(
        self, x: Float[Tensor, "*rows input_dim"]
    ) -> tuple[Float[Tensor, "*rows hidden_dim"], Float[Tensor, "*rows hidden_dim"]]:
        """What a step does with the state: (a, b) of h_t = a h_{t-1} + b, for any number of steps at once."""
        raise NotImplementedError

    def _blocks(self, x: Tensor) -> tuple[Tensor, ...]:
        """x W + b, cut into its blocks."""
        return F.linear(x, self.W.t(), self.b).chunk(self.num_blocks, dim=-1)

    def forward(
        self, x_t: Float[Tensor, "B input_dim"], h_prev: Float[Tensor, "B hidden_dim"]
    ) -> Float[Tensor, "B hidden_dim"]:
        """One time step; returns h_t."""
        a, b = self.terms(x_t)
        return a * h_prev + b

    def _scan(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """All gates in one matrix product, then one recurrence."""
        a, b = self.terms(x.transpose(0, 1).contiguous())  # (T, B, hidden_dim)
        outputs = linear_recurrence(a, b, state).transpose(0, 1)
        return outputs, outputs[:, -1]


def positive(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """g(x) = x + 0.5 for x >= 0, sigmoid(x) below: the candidates of minGRU and minLSTM are above zero."""
    above = F.relu(x)
    return above + torch.sigmoid(x - above)  # faster than torch.where, and sigmoid(0) is one half


class MinGRUCell(LinearCell):
    """A GRU without its state in the gates: h_t = (1 - z_t) h_{t-1} + z_t g(x_t W_h + b_h).

    z_t = sigmoid(x_t W_z + b_z), and there is no reset gate. Mind that z is how much is *new* here; in
    `torch.nn.GRU` it is how much is kept. Source: Feng et al., "Were RNNs All We Needed?" (2024), in the
    version with positive candidates (see `positive`). The blocks of ``W`` are W_z, W_h.
    """

    num_blocks = 2

    def terms(
        self, x: Float[Tensor, "*rows input_dim"]
    ) -> tuple[Float[Tensor, "*rows hidden_dim"], Float[Tensor, "*rows hidden_dim"]]:
        z, candidate = self._blocks(x)
        z = torch.sigmoid(z)
        return 1 - z, z * positive(candidate)


class MinLSTMCell(LinearCell):
    """An LSTM without its state in the gates: h_t = f'_t h_{t-1} + i'_t g(x_t W_h + b_h).

    f = sigmoid(x_t W_f + b_f) and i = sigmoid(x_t W_i + b_i) are made to add up to one: f' = f / (f + i),
    i' = i / (f + i). There is no output gate, and the state is h alone. Source: Feng et al. (2024), in the
    version with positive candidates. The blocks of ``W`` are W_f, W_i, W_h.
    """

    num_blocks = 3

    def terms(
        self, x: Float[Tensor, "*rows input_dim"]
    ) -> tuple[Float[Tensor, "*rows hidden_dim"], Float[Tensor, "*rows hidden_dim"]]:
        f, i, candidate = self._blocks(x)
        # f / (f + i) = sigmoid(log f - log i), which is no 0 / 0 where both gates are shut
        keep = torch.sigmoid(F.logsigmoid(f) - F.logsigmoid(i))
        return keep, (1 - keep) * positive(candidate)
