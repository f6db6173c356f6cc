"""RecurrentLM: embedding -> recurrent layers -> output layer, for any cell.

Left out: dropout between the states of one layer, and of whole tokens.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.cells import Cell, ElmanCell, State
from lmcore.errors import InputError
from lmcore.gated import GRUCell, LSTMCell, SLSTMCell
from lmcore.model import LanguageModel, ModelConfig
from lmcore.scan import MinGRUCell, MinLSTMCell

CELLS: dict[str, type[Cell]] = {
    "elman": ElmanCell,
    "gru": GRUCell,
    "lstm": LSTMCell,
    "slstm": SLSTMCell,
    "mingru": MinGRUCell,
    "minlstm": MinLSTMCell,
}


@dataclass(frozen=True)
class RNNConfig(ModelConfig):
    """Shape of a RecurrentLM. Raises InputError as ModelConfig does, and for an unknown cell.

    ``dropout`` acts on the input of each layer and of the output layer, never between states.
    """

    cell: str = "elman"  # a name in CELLS
    variational: bool = False  # dropout keeps its choice over a row's time steps
    residual: bool = False  # x + layer(norm(x)) around each layer, one more norm before the output layer

    def __post_init__(self):
        super().__post_init__()
        if self.cell not in CELLS:
            raise InputError(f"cell is {self.cell!r}; it must be one of {', '.join(CELLS)}")


class HeldDropout(nn.Module):
    """Dropout that drops the same components at every time step of a row.

    Source: Gal and Ghahramani (2016); only for what goes up through the layers, as Merity et al. (2018)
    do it. The choice is made anew at each call, so at each window of a longer text.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        if not self.training or not self.p:
            return x
        B, _, D = x.shape
        return x * F.dropout(x.new_ones(B, 1, D), self.p)


class RecurrentLM(LanguageModel):
    """A recurrent language model: ``logits, state = model(tokens, state)``.

    ``fast`` chooses between the layers' `scan` and their readable `loop`: the same parameters, state
    and numbers. Source of the shape: Mikolov et al. (2010), with an embedding and any number of layers;
    with ``residual`` that of later deep stacks (pre-norm, Xiong et al. 2020).
    """

    def __init__(self, config: RNNConfig, fast: bool = True):
        D = config.emb_dim
        super().__init__(config, (CELLS[config.cell](D, D) for _ in range(config.num_layers)))
        self.fast = fast
        if config.variational:
            self.dropout = HeldDropout(config.dropout)
        norm = nn.LayerNorm if config.residual else nn.Identity
        self.norms = nn.ModuleList(norm(D) for _ in range(config.num_layers + 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform matrices (a normal embedding, if ``emb_std`` is set), no padding.

        Biases are zero, apart from forget gates. Xavier's bound falls with the vocabulary: at V = 32,011
        the embedding starts with a standard deviation of 0.008, and the first thousand steps go into
        making it larger.
        """
        for layer in self.layers:
            layer.reset_parameters()
        for norm in self.norms if self.config.residual else ():
            norm.reset_parameters()
        self.output.start()
        self._start_embedding(self.config.emb_std)

    def initial_state(self, batch_size: int) -> list[State]:
        """Zeros for each layer: the memory of having read nothing."""
        return [layer.initial_state(batch_size) for layer in self.layers]

    def hidden(
        self, tokens: Int[Tensor, "B T"], state: list[State] | None = None
    ) -> tuple[Float[Tensor, "B T D"], list[State]]:
        """What the output layer sees, and the state after the last token.

        The loss uses this to avoid holding (B, T, V) logits.
        """
        state = self.initial_state(len(tokens)) if state is None else state
        *norms, last_norm = self.norms
        x = self.embedding(tokens)  # (B, T, D)
        new_state = []
        for layer, norm, before in zip(self.layers, norms, state, strict=True):
            run = layer.scan if self.fast else layer.loop
            outputs, after = run(self.dropout(norm(x)), before)  # (B, T, D)
            x = x + outputs if self.config.residual else outputs
            new_state.append(after)
        return self.dropout(last_norm(x)), new_state
