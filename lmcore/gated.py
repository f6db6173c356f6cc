"""Cells with gates: GRU, LSTM and sLSTM, from scratch.

A gate is a number between 0 and 1 per component, computed from the input and the last state, that says
how much passes. Left out: peepholes and projections; several heads of the sLSTM (here one).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lmcore.cells import DenseCell, input_gradients, input_products, sigmoid_backward, tanh_backward


class _GRUScan(torch.autograd.Function):
    """All steps of a GRU, and backpropagation through time; see `GRUCell` for the letters.

    Only h U waits for the step before. What r, z and n are made of lies side by side, (T, B, 3 H), and
    so do their errors: then one product brings r's and z's back, and one collects the gradient by U.
    """

    @staticmethod
    def forward(ctx, x, W, U, b, b_u, h_start):
        T, B, H = len(x), *h_start.shape
        gates = input_products(x, W, b)  # become r, z, n
        inner = b_u.repeat(T, B, 1)  # becomes h U_n + b_u
        states = h_start.new_empty(T + 1, B, H)
        states[0] = h_start
        U_rz, U_n = U.split([2 * H, H], dim=1)
        rz, n = (part.unbind() for part in gates.split([2 * H, H], dim=2))
        r, z = (part.unbind() for part in gates[..., : 2 * H].chunk(2, dim=2))
        h, inside = states.unbind(), inner.unbind()
        for t in range(T):
            rz[t].addmm_(h[t], U_rz).sigmoid_()
            n[t].addcmul_(r[t], inside[t].addmm_(h[t], U_n)).tanh_()
            torch.lerp(n[t], h[t], z[t], out=h[t + 1])
        ctx.save_for_backward(x, W, U, states, gates, inner)
        return states[1:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_outputs):
        x, W, U, states, gates, inner = ctx.saved_tensors
        H = len(U)
        errors, inner_errors = torch.empty_like(gates), torch.empty_like(inner)
        rz, error_rz = (whole[..., : 2 * H].unbind() for whole in (gates, errors))
        r, z, n = (part.unbind() for part in gates.chunk(3, dim=2))
        error_r, error_z, error_n = (part.unbind() for part in errors.chunk(3, dim=2))
        h, grad_h, inside, error_inside = (w.unbind() for w in (states, grad_outputs, inner, inner_errors))
        back_rz, back_n = U.t().split([2 * H, H])
        back = torch.zeros_like(h[0])
        for t in reversed(range(len(gates))):
            error_h = grad_h[t] + back
            kept = error_h * z[t]
            tanh_backward(error_h - kept, n[t], grad_input=error_n[t])
            torch.mul(error_n[t], inside[t], out=error_r[t])
            torch.mul(error_h, h[t] - n[t], out=error_z[t])
            sigmoid_backward(error_rz[t], rz[t], grad_input=error_rz[t])
            torch.mul(error_n[t], r[t], out=error_inside[t])
            back = kept.addmm_(error_rz[t], back_rz).addmm_(error_inside[t], back_n)
        before, inner_flat = states[:-1].flatten(0, 1).t(), inner_errors.flatten(0, 1)
        grad_U = torch.cat([before @ errors[..., : 2 * H].flatten(0, 1), before @ inner_flat], dim=1)
        grad_x, grad_W, grad_b = input_gradients(errors, x, W)
        return grad_x, grad_W, grad_U, grad_b, inner_flat.sum(dim=0), back


class GRUCell(DenseCell):
    """The gated recurrent unit: a new candidate n is mixed with the old state.

    r, z = sigmoid(x W_r + h U_r + b_r), sigmoid(x W_z + h U_z + b_z): reset gate, update gate.
    n = tanh(x W_n + b_n + r (h U_n + b_u)); the new state is (1 - z) n + z h.

    Source: Cho et al. (2014), with the reset after the matrix product, as cuDNN and `torch.nn.GRU`
    have it, and so with a bias ``b_u`` (hidden_dim,) inside the reset. The blocks of W, U and b are
    r, z, n. Mind that z is how much is *kept*.
    """

    num_blocks = 3

    def __init__(self, input_dim: int, hidden_dim: int):
        super().__init__(input_dim, hidden_dim)
        self.b_u = nn.Parameter(torch.zeros(hidden_dim))

    def forward(
        self, x_t: Float[Tensor, "B input_dim"], h: Float[Tensor, "B hidden_dim"]
    ) -> Float[Tensor, "B hidden_dim"]:
        """One time step; returns the new h."""
        x_r, x_z, x_n = (x_t @ self.W + self.b).chunk(3, dim=1)
        h_r, h_z, h_n = (h @ self.U).chunk(3, dim=1)
        r = torch.sigmoid(x_r + h_r)
        z = torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * (h_n + self.b_u))
        return (1 - z) * n + z * h

    def _scan(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        if x.is_cuda:
            return self._cudnn(x, state)
        x = x.transpose(0, 1).contiguous()
        outputs = _GRUScan.apply(x, self.W, self.U, self.b, self.b_u, state)
        return outputs.transpose(0, 1), outputs[-1]

    def _cudnn(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """torch's second bias is needed inside the reset only."""
        b_u = torch.cat([self.b_u.new_zeros(2 * self.hidden_dim), self.b_u])
        outputs, h = self._torch_layer(torch.gru, x, state[None], b_u)
        return outputs, h[0]


class LSTMCell(DenseCell):
    """Long short-term memory: a cell c that is only added to and faded, and its visible part h.

    i, f, o = sigmoid(x W + h U + b), each with its blocks: input, forget and output gate;
    g = tanh(x W_g + h U_g + b_g): candidate. c' = f c + i g and h' = o tanh(c'). The state is (h, c).

    Sources: Hochreiter and Schmidhuber (1997), the forget gate from Gers et al. (2000). The blocks of W,
    U and b are i, f, g, o, as torch has them; one bias, where `torch.nn.LSTM` holds two.
    """

    num_blocks, num_states = 4, 2

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """As in every DenseCell, but the forget gate's bias is 1 (Jozefowicz et al. 2015).

        So a cell starts out keeping most of its memory, and gradients reach further back.
        """
        super().reset_parameters()
        self.b[self.hidden_dim : 2 * self.hidden_dim] = 1

    def forward(
        self,
        x_t: Float[Tensor, "B input_dim"],
        state: tuple[Float[Tensor, "B hidden_dim"], Float[Tensor, "B hidden_dim"]],
    ) -> tuple[Float[Tensor, "B hidden_dim"], Float[Tensor, "B hidden_dim"]]:
        """One time step; returns the new (h, c)."""
        h, c = state
        i, f, g, o = (x_t @ self.W + h @ self.U + self.b).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def _scan(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """On CUDA cuDNN, on a CPU oneDNN, which was faster than our own backpropagation through time."""
        start = tuple(part[None] for part in state)
        outputs, h, c = self._torch_layer(torch.lstm, x, start, torch.zeros_like(self.b))
        return outputs, (h[0], c[0])


Four = tuple[
    Float[Tensor, "B hidden_dim"],
    Float[Tensor, "B hidden_dim"],
    Float[Tensor, "B hidden_dim"],
    Float[Tensor, "B hidden_dim"],
]


class SLSTMCell(DenseCell):
    """The sLSTM of xLSTM: an input gate without an upper bound, and an average instead of a sum.

    i = exp(x W_i + h U_i + b_i), f and o = sigmoid(...), z = tanh(...): input, forget, output gate and
    candidate. c' = f c + i z, n' = f n + i, h' = o c' / n': a weighted mean of all candidates so far, in
    which a late one can outweigh all before it. The state is (h, c, n, m).

    Because exp overflows, c and n are kept divided by exp(m), the stabiliser
    m' = max(log f + m, log i), which h does not depend on.

    Source: Beck et al., "xLSTM: Extended Long Short-Term Memory" (2024), with a sigmoid forget gate and
    one head. The blocks of W, U and b are i, f, z, o.
    """

    num_blocks, num_states = 4, 4

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """As in `LSTMCell`: a forget gate's bias of 1."""
        super().reset_parameters()
        self.b[self.hidden_dim : 2 * self.hidden_dim] = 1

    def forward(self, x_t: Float[Tensor, "B input_dim"], state: Four) -> Four:
        """One time step; returns the new (h, c, n, m)."""
        return self._step(x_t @ self.W + self.b, state)

    def _step(self, projected: Float[Tensor, "B columns"], state: Four) -> Four:
        h, c, n, m = state
        log_i, f, z, o = (projected + h @ self.U).chunk(4, dim=1)
        m = m.masked_fill(n == 0, -torch.inf)  # nothing was read yet: the log of an empty sum
        log_keep = F.logsigmoid(f) + m
        m = torch.maximum(log_keep, log_i)
        keep, write = torch.exp(log_keep - m), torch.exp(log_i - m)  # one of the two is 1
        c = keep * c + write * torch.tanh(z)
        n = keep * n + write  # 1 or more
        return torch.sigmoid(o) * c / n, c, n, m

    def _scan(self, x: Tensor, state: Four) -> tuple[Tensor, Four]:
        """x W + b for all steps at once; the rest has to wait for the step before."""
        outputs = []
        for projected in input_products(x.transpose(0, 1), self.W, self.b).unbind():
            state = self._step(projected, state)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1), state
