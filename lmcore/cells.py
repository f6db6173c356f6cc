"""Recurrent cells: one pure step, state in and state out, written as in the paper; and the same fast.

Each cell has `loop`, which reads like the equation, and `scan`, which gives the same numbers sooner.
Left out: GRU, LSTM and later cells, which come with the chapters that derive them.
"""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor, nn

# cuDNN packs our matrices into its own layout at every call: small copies, not worth a warning
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous")


class _TanhScan(torch.autograd.Function):
    """h_t = tanh(p_t + h_{t-1} U) for all t, and its gradient: backpropagation through time.

    With e_t the gradient by p_t: e_t = (g_t + e_{t+1} U^T) (1 - h_t^2), and the gradient by U is
    sum_t h_{t-1}^T e_t, one matrix product instead of T. Time comes first: each step is one block.
    """

    @staticmethod
    def forward(ctx, projected, h_start, U):
        outputs = projected.clone(memory_format=torch.contiguous_format)  # (T, B, H)
        h = h_start
        for slot in outputs:
            h = slot.addmm_(h, U).tanh_()
        ctx.save_for_backward(outputs, h_start, U)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_outputs):
        outputs, h_start, U = ctx.saved_tensors
        errors = torch.empty_like(outputs)
        back = torch.zeros_like(h_start)  # e_{t+1} U^T
        for t in reversed(range(len(outputs))):
            error = grad_outputs[t] + back
            torch.addcmul(error, error, outputs[t] ** 2, value=-1, out=errors[t])
            back = errors[t] @ U.t()
        before = torch.cat([h_start[None], outputs[:-1]])
        grad_U = before.flatten(0, 1).t() @ errors.flatten(0, 1)
        return errors, back, grad_U


class ElmanCell(nn.Module):
    """The simple recurrent unit: h_t = tanh(x_t W + h_{t-1} U + b).

    Source: Elman, "Finding structure in time" (1990). One bias, unlike `torch.nn.RNNCell`, which
    holds two that only ever act as their sum.

    Shapes: ``W`` (input_dim, hidden_dim), ``U`` (hidden_dim, hidden_dim), ``b`` (hidden_dim,).
    """

    def __init__(self, input_dim: int, hidden_dim: int):
        super().__init__()
        self.W = nn.Parameter(torch.empty(input_dim, hidden_dim))
        self.U = nn.Parameter(torch.empty(hidden_dim, hidden_dim))
        self.b = nn.Parameter(torch.empty(hidden_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform matrices (Glorot and Bengio 2010), zero bias."""
        nn.init.xavier_uniform_(self.W)
        nn.init.xavier_uniform_(self.U)
        nn.init.zeros_(self.b)

    def forward(
        self, x_t: Float[Tensor, "B input_dim"], h_prev: Float[Tensor, "B hidden_dim"]
    ) -> Float[Tensor, "B hidden_dim"]:
        """One time step; returns h_t."""
        return torch.tanh(x_t @ self.W + h_prev @ self.U + self.b)

    def loop(
        self, x: Float[Tensor, "B T input_dim"], h: Float[Tensor, "B hidden_dim"]
    ) -> Float[Tensor, "B T hidden_dim"]:
        """Every time step in order: the definition, to read and to test against."""
        steps = []
        for x_t in x.unbind(dim=1):
            h = self(x_t, h)
            steps.append(h)
        return torch.stack(steps, dim=1)

    def scan(
        self, x: Float[Tensor, "B T input_dim"], h: Float[Tensor, "B hidden_dim"]
    ) -> Float[Tensor, "B T hidden_dim"]:
        """The same numbers as `loop`, faster; differentiable once.

        x W + b does not depend on h, so it is one matrix product for all T steps; only h U has to
        wait for the step before. On CUDA cuDNN does all of it. Mixed precision is kept out: it would
        save next to nothing here, and cuDNN would take float16 even where bfloat16 was asked for.
        """
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(h.dtype)
            if x.shape[1] == 1:  # generation, token by token: nothing to hoist
                return self(x[:, 0], h)[:, None]
            if x.is_cuda:
                return self._cudnn(x, h)
            projected = x.transpose(0, 1) @ self.W + self.b  # (T, B, hidden_dim)
            return _TanhScan.apply(projected, h, self.U).transpose(0, 1)

    def _cudnn(self, x: Tensor, h: Tensor) -> Tensor:
        """`torch.nn.RNN`'s kernel; its second bias is held at zero."""
        weights = [self.W.t(), self.U.t(), self.b, torch.zeros_like(self.b)]
        outputs, _ = torch.rnn_tanh(
            x, h[None], weights, has_biases=True, num_layers=1, dropout=0.0, train=self.training,
            bidirectional=False, batch_first=True,
        )  # fmt: skip
        return outputs


CELLS = {"elman": ElmanCell}
