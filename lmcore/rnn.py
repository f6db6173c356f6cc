"""RecurrentLM: embedding -> recurrent layers -> output layer.

Left out: gated cells. The state is taken in and handed back, never kept on self.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.cells import CELLS
from lmcore.errors import InputError
from lmcore.output import OUTPUTS

State = list[Tensor]  # one (B, hidden_dim) per layer


@dataclass(frozen=True)
class RNNConfig:
    """Shape of a RecurrentLM.

    Raises InputError for a size below 1, an unknown cell or output layer, or an output layer that has no
    matrix to tie.
    """

    vocab_size: int  # tokens, special ones included
    emb_dim: int = 128  # width of the embedding and of every layer
    num_layers: int = 2
    cell: str = "elman"
    output: str = "softmax"  # output layer: softmax, adaptive or sampled (see lmcore.output)
    label_smoothing: float = 0.0  # in training, softmax only: this much of the target goes to all tokens
    tie_weights: bool = False  # output matrix = embedding matrix (Press and Wolf 2017)
    emb_std: float | None = None  # of a normal start of the embedding; None: Xavier, tiny where V is large
    dropout: float = 0.0  # probability, on the input of each layer and of the output layer
    pad_id: int = 0  # this token's embedding stays zero (tied, the output layer moves that row)

    def __post_init__(self):
        for name in ("vocab_size", "emb_dim", "num_layers"):
            value = getattr(self, name)
            if not isinstance(value, int):
                raise InputError(f"{name} is {value!r}; it must be a whole number")
            if value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1")
        for name in ("dropout", "label_smoothing"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise InputError(f"{name} is {value}; it must be in [0, 1)")
        if not 0 <= self.pad_id < self.vocab_size:
            raise InputError(f"pad_id is {self.pad_id}; it must be in [0, {self.vocab_size})")
        if self.emb_std is not None and not 0 < self.emb_std < math.inf:
            raise InputError(f"emb_std is {self.emb_std}; it must be above 0")
        if self.cell not in CELLS:
            raise InputError(f"cell is {self.cell!r}; it must be one of {', '.join(CELLS)}")
        if self.output not in OUTPUTS:
            raise InputError(f"output is {self.output!r}; it must be one of {', '.join(OUTPUTS)}")
        if self.label_smoothing and self.output != "softmax":
            raise InputError(f"label_smoothing is set, but the {self.output} output has none")
        if self.tie_weights and self.output == "adaptive":
            raise InputError("tie_weights is set, but the adaptive output has no (V, D) matrix to tie")


class RecurrentLM(nn.Module):
    """A recurrent language model: ``logits, state = model(tokens, state)``.

    ``fast`` chooses between the layers' `scan` and their readable `loop`: the same parameters, state
    and numbers. Source of the shape: Mikolov et al. (2010), with an embedding and any number of layers.
    """

    def __init__(self, config: RNNConfig, fast: bool = True):
        super().__init__()
        self.config, self.fast = config, fast
        V, D = config.vocab_size, config.emb_dim
        self.embedding = nn.Embedding(V, D, padding_idx=config.pad_id)
        self.layers = nn.ModuleList(CELLS[config.cell](D, D) for _ in range(config.num_layers))
        self.output = OUTPUTS[config.output](D, V)
        if config.label_smoothing:
            self.output.label_smoothing = config.label_smoothing
        self.dropout = nn.Dropout(config.dropout)
        if config.tie_weights:
            self.output.weight = self.embedding.weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform matrices (a normal embedding, if ``emb_std`` is set), zero biases, no padding.

        Xavier's bound falls with the vocabulary: at V = 32,011 the embedding starts with a standard
        deviation of 0.008, and the first thousand steps go into making it larger.
        """
        for layer in self.layers:
            layer.reset_parameters()
        self.output.start()
        if self.config.emb_std is None:
            nn.init.xavier_uniform_(self.embedding.weight)
        else:
            nn.init.normal_(self.embedding.weight, std=self.config.emb_std)
        with torch.no_grad():
            self.embedding.weight[self.config.pad_id].zero_()

    def start_from_frequencies(self, log_probs: Float[Tensor, " V"]) -> None:
        """Set the output layer's bias to log-frequencies, so that the first step knows the unigram model.

        Without this, thousands of small optimizer steps go into learning which tokens are frequent.
        """
        self.output.start_from_frequencies(log_probs)

    @property
    def num_parameters(self) -> int:
        """Trainable numbers; a tied matrix counts once."""
        return sum(p.numel() for p in self.parameters())

    def initial_state(self, batch_size: int) -> State:
        """Zeros, one (B, D) per layer: the memory of having read nothing."""
        like = self.embedding.weight
        return [like.new_zeros(batch_size, self.config.emb_dim) for _ in self.layers]

    def hidden(
        self, tokens: Int[Tensor, "B T"], state: State | None = None
    ) -> tuple[Float[Tensor, "B T D"], State]:
        """What the output layer sees, and the state after the last token.

        The loss uses this to avoid holding (B, T, V) logits.
        """
        B, _ = tokens.shape
        state = self.initial_state(B) if state is None else state
        x = self.embedding(tokens)  # (B, T, D)
        new_state = []
        for layer, h in zip(self.layers, state, strict=True):
            run = layer.scan if self.fast else layer.loop
            x = run(self.dropout(x), h)  # (B, T, D)
            new_state.append(x[:, -1])
        return self.dropout(x), new_state

    def nats(self, hidden: Float[Tensor, "N D"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
        """Total nats of N targets, given what the output layer sees before each; a sum."""
        return self.output.nats(hidden, targets)

    def forward(
        self, tokens: Int[Tensor, "B T"], state: State | None = None
    ) -> tuple[Float[Tensor, "B T V"], State]:
        """Logits for the token after each position, and the state to carry on with."""
        hidden, state = self.hidden(tokens, state)
        return self.output(hidden), state
