"""Recurrent cells: one pure step, state in and state out, written as in the paper.

Left out: GRU, LSTM and later cells, which come with the chapters that derive them.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


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

    def scan(
        self, x: Float[Tensor, "B T input_dim"], h: Float[Tensor, "B hidden_dim"]
    ) -> Float[Tensor, "B T hidden_dim"]:
        """Every time step in order; the same numbers as calling the cell T times.

        x W + b does not depend on h, so it is one matrix product for all T steps; only h U has to
        wait for the step before.
        """
        projected = x @ self.W + self.b  # (B, T, hidden_dim)
        steps = []
        for projected_t in projected.unbind(dim=1):
            h = torch.tanh(torch.addmm(projected_t, h, self.U))
            steps.append(h)
        return torch.stack(steps, dim=1)


CELLS = {"elman": ElmanCell}
