"""Recurrent cells: one pure step, state in and state out, written as in the paper; and the same fast.

Each cell has `loop`, which reads like the equation, and `scan`, which gives the same numbers sooner.
Here is what all cells share, and the simplest of them; gates are in `lmcore.gated` and `lmcore.scan`.
"""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor, nn

# cuDNN packs our matrices into its own layout at every call: small copies, not worth a warning
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous")

# derivatives in one operation each: (gradient by the output, the output) to the gradient by the input
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
tanh_backward = torch.ops.aten.tanh_backward.grad_input

State = Float[Tensor, "B hidden_dim"] | tuple[Float[Tensor, "B hidden_dim"], ...]


def output_of(state: State) -> Float[Tensor, "B hidden_dim"]:
    """h, the part of a state that the layer above sees."""
    return state if isinstance(state, Tensor) else state[0]


class Cell(nn.Module):
    """What every recurrent cell has. A subclass gives `forward` and `_scan`.

    A state is a tensor h, or a tuple of ``num_states`` tensors of which h is the first; each is
    (B, hidden_dim). States are taken in and handed back, never kept on self.
    """

    num_states = 1
    num_blocks = 1  # of hidden_dim columns each, side by side in a matrix: one per gate or candidate

    def __init__(self, hidden_dim: int):
        super().__init__()
        self.hidden_dim = hidden_dim

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Each block Xavier-uniform (Glorot and Bengio 2010), zero biases."""
        for parameter in self.parameters():
            if parameter.ndim == 1:
                nn.init.zeros_(parameter)
            else:
                for block in parameter.chunk(self.num_blocks, dim=1):
                    nn.init.xavier_uniform_(block)

    def initial_state(self, batch_size: int) -> State:
        """Zeros, like a parameter: the memory of having read nothing."""
        like = next(self.parameters())
        zeros = tuple(like.new_zeros(batch_size, self.hidden_dim) for _ in range(self.num_states))
        return zeros if self.num_states > 1 else zeros[0]

    def loop(
        self, x: Float[Tensor, "B T input_dim"], state: State
    ) -> tuple[Float[Tensor, "B T hidden_dim"], State]:
        """Every time step in order, and the last state: the definition, to read and to test against."""
        outputs = []
        for x_t in x.unbind(dim=1):
            state = self(x_t, state)
            outputs.append(output_of(state))
        return torch.stack(outputs, dim=1), state

    def scan(
        self, x: Float[Tensor, "B T input_dim"], state: State
    ) -> tuple[Float[Tensor, "B T hidden_dim"], State]:
        """The same numbers as `loop`, faster; differentiable once.

        Mixed precision is kept out: it would save next to nothing here, and cuDNN would take float16 even
        where bfloat16 was asked for.
        """
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(output_of(state).dtype)
            if x.shape[1] == 1:  # generation, token by token: nothing to hoist
                state = self(x[:, 0], state)
                return output_of(state)[:, None], state
            return self._scan(x, state)

    def _scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """`scan` for two time steps and more."""
        raise NotImplementedError


class DenseCell(Cell):
    """A cell whose step begins with x_t W and h_{t-1} U, full matrices.

    Shapes: ``W`` (input_dim, num_blocks * hidden_dim), ``U`` (hidden_dim, num_blocks * hidden_dim),
    ``b`` (num_blocks * hidden_dim,).
    """

    def __init__(self, input_dim: int, hidden_dim: int):
        super().__init__(hidden_dim)
        columns = self.num_blocks * hidden_dim
        self.W = nn.Parameter(torch.empty(input_dim, columns))
        self.U = nn.Parameter(torch.empty(hidden_dim, columns))
        self.b = nn.Parameter(torch.empty(columns))
        self.reset_parameters()

    def _torch_layer(self, kernel, x: Tensor, state: Tensor | tuple[Tensor, ...], b_u: Tensor):
        """`torch.rnn_tanh`, `torch.gru` or `torch.lstm`, on CUDA cuDNN; ``b_u``: their second bias."""
        weights = [self.W.t(), self.U.t(), self.b, b_u]
        return kernel(
            x, state, weights, has_biases=True, num_layers=1, dropout=0.0, train=self.training,
            bidirectional=False, batch_first=True,
        )  # fmt: skip


def input_products(
    x: Float[Tensor, "T B input_dim"], W: Float[Tensor, "input_dim K"], b: Float[Tensor, " K"]
) -> Float[Tensor, "T B K"]:
    """x W + b for all time steps in one matrix product: it does not depend on h, so it need not wait."""
    T, B, _ = x.shape
    return torch.addmm(b, x.flatten(0, 1), W).view(T, B, len(b))


def input_gradients(
    errors: Float[Tensor, "T B K"], x: Float[Tensor, "T B input_dim"], W: Float[Tensor, "input_dim K"]
) -> tuple[Float[Tensor, "T B input_dim"], Float[Tensor, "input_dim K"], Float[Tensor, " K"]]:
    """Gradients by x, W and b, given that by x W + b."""
    flat = errors.flatten(0, 1)
    return (flat @ W.t()).view_as(x), x.flatten(0, 1).t() @ flat, flat.sum(dim=0)


class _TanhScan(torch.autograd.Function):
    """h_t = tanh(x_t W + h_{t-1} U + b) for all t, and its gradient: backpropagation through time.

    With e_t the gradient by what the tanh is taken of: e_t = (g_t + e_{t+1} U^T) (1 - h_t^2), and the
    gradient by U is sum_t h_{t-1}^T e_t, one matrix product instead of T. Time comes first: each step
    is one block.
    """

    @staticmethod
    def forward(ctx, x, W, U, b, h_start):
        outputs = input_products(x, W, b)  # (T, B, H)
        h = h_start
        for slot in outputs.unbind():
            h = slot.addmm_(h, U).tanh_()
        ctx.save_for_backward(x, W, U, h_start, outputs)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_outputs):
        x, W, U, h_start, outputs = ctx.saved_tensors
        errors = torch.empty_like(outputs)
        back = torch.zeros_like(h_start)  # e_{t+1} U^T
        steps = zip(grad_outputs.unbind(), outputs.unbind(), errors.unbind(), strict=True)
        for grad, output, error in reversed(list(steps)):
            tanh_backward(grad + back, output, grad_input=error)
            back = error @ U.t()
        before = torch.cat([h_start[None], outputs[:-1]])
        grad_U = before.flatten(0, 1).t() @ errors.flatten(0, 1)
        grad_x, grad_W, grad_b = input_gradients(errors, x, W)
        return grad_x, grad_W, grad_U, grad_b, back


class ElmanCell(DenseCell):
    """The simple recurrent unit: h_t = tanh(x_t W + h_{t-1} U + b).

    Source: Elman, "Finding structure in time" (1990). One bias, unlike `torch.nn.RNNCell`, which
    holds two that only ever act as their sum.
    """

    def forward(
        self, x_t: Float[Tensor, "B input_dim"], h_prev: Float[Tensor, "B hidden_dim"]
    ) -> Float[Tensor, "B hidden_dim"]:
        """One time step; returns h_t."""
        return torch.tanh(x_t @ self.W + h_prev @ self.U + self.b)

    def _scan(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        if x.is_cuda:
            return self._cudnn(x, state)
        x = x.transpose(0, 1).contiguous()
        outputs = _TanhScan.apply(x, self.W, self.U, self.b, state)
        return outputs.transpose(0, 1), outputs[-1]

    def _cudnn(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        outputs, h = self._torch_layer(torch.rnn_tanh, x, state[None], torch.zeros_like(self.b))
        return outputs, h[0]
