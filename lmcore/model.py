"""What all neural language models have: an embedding, an output layer, and the questions they answer."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.errors import InputError
from lmcore.output import OUTPUTS


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and options of a LanguageModel, whatever its layers are.

    Raises InputError for a size below 1, a probability outside [0, 1), an unknown output layer, or an
    output layer that has no matrix to tie.
    """

    vocab_size: int  # tokens, special ones included
    emb_dim: int = 128  # width of the embedding and of every layer
    num_layers: int = 2
    output: str = "softmax"  # output layer: softmax, adaptive or sampled (see lmcore.output)
    label_smoothing: float = 0.0  # in training, softmax only: this much of the target goes to all tokens
    tie_weights: bool = False  # output matrix = embedding matrix (Press and Wolf 2017)
    emb_std: float | None = None  # of a normal start of the embedding; None: what the model prefers
    dropout: float = 0.0  # probability
    pad_id: int = 0  # this token's embedding stays zero (tied, the output layer moves that row)

    def __post_init__(self):
        check_sizes(self, "vocab_size", "emb_dim", "num_layers")
        check_whole(self, "pad_id")
        for name in ("dropout", "label_smoothing"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise InputError(f"{name} is {value}; it must be in [0, 1)")
        if not 0 <= self.pad_id < self.vocab_size:
            raise InputError(f"pad_id is {self.pad_id}; it must be in [0, {self.vocab_size})")
        if self.emb_std is not None and not 0 < self.emb_std < math.inf:
            raise InputError(f"emb_std is {self.emb_std}; it must be above 0")
        if self.output not in OUTPUTS:
            raise InputError(f"output is {self.output!r}; it must be one of {', '.join(OUTPUTS)}")
        if self.label_smoothing and self.output != "softmax":
            raise InputError(f"label_smoothing is set, but the {self.output} output has none")
        if self.tie_weights and self.output == "adaptive":
            raise InputError("tie_weights is set, but the adaptive output has no (V, D) matrix to tie")


def check_whole(config: Any, *names: str) -> None:
    """Raises InputError for a field that is no whole number."""
    for name in names:
        if not isinstance(getattr(config, name), int):
            raise InputError(f"{name} is {getattr(config, name)!r}; it must be a whole number")


def check_sizes(config: Any, *names: str) -> None:
    """Raises InputError for a field that is no whole number or below 1."""
    check_whole(config, *names)
    for name in names:
        if getattr(config, name) < 1:
            raise InputError(f"{name} is {getattr(config, name)}; it must be at least 1")


class Dropout(nn.Dropout):
    """Dropout whose choice follows from the seed and from (B, T, D), not from how x lies in memory.

    A scan may hand back time-major memory, and torch fills its mask in the order of memory: the fast and the
    readable path would drop other numbers, and no run could be repeated after a change of the scan.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.contiguous() if self.training and self.p else x)


class LanguageModel(nn.Module):
    """Embedding -> layers -> output layer: ``logits, state = model(tokens, state)``.

    A subclass gives the layers, `initial_state`, `hidden` and `reset_parameters`. The state is taken in
    and handed back, never kept on self.
    """

    def __init__(self, config: ModelConfig, layers: Iterable[nn.Module]):
        super().__init__()
        self.config = config
        V, D = config.vocab_size, config.emb_dim
        self.embedding = nn.Embedding(V, D, padding_idx=config.pad_id)
        self.layers = nn.ModuleList(layers)
        self.output = OUTPUTS[config.output](D, V)
        if config.label_smoothing:
            self.output.label_smoothing = config.label_smoothing
        self.dropout = Dropout(config.dropout)
        if config.tie_weights:
            self.output.weight = self.embedding.weight

    def initial_state(self, batch_size: int) -> Any:
        """The memory of having read nothing."""
        raise NotImplementedError

    def hidden(self, tokens: Int[Tensor, "B T"], state: Any = None) -> tuple[Float[Tensor, "B T D"], Any]:
        """What the output layer sees, and the state after the last token.

        The loss uses this to avoid holding (B, T, V) logits.
        """
        raise NotImplementedError

    def start_from_frequencies(self, log_probs: Float[Tensor, " V"]) -> None:
        """Set the output layer's bias to log-frequencies, so that the first step knows the unigram model.

        Without this, thousands of small optimizer steps go into learning which tokens are frequent.
        """
        self.output.start_from_frequencies(log_probs)

    @property
    def num_parameters(self) -> int:
        """Trainable numbers; a tied matrix counts once."""
        return sum(p.numel() for p in self.parameters())

    def nats(self, hidden: Float[Tensor, "N D"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
        """Total nats of N targets, given what the output layer sees before each; a sum."""
        return self.output.nats(hidden, targets)

    def forward(self, tokens: Int[Tensor, "B T"], state: Any = None) -> tuple[Float[Tensor, "B T V"], Any]:
        """Logits for the token after each position, and the state to carry on with."""
        hidden, state = self.hidden(tokens, state)
        return self.output(hidden), state

    @torch.no_grad()
    def _start_embedding(self, std: float | None) -> None:
        """A normal start, or Xavier's without a ``std``; the padding row is zero."""
        if std is None:
            nn.init.xavier_uniform_(self.embedding.weight)
        else:
            nn.init.normal_(self.embedding.weight, std=std)
        self.embedding.weight[self.config.pad_id].zero_()


def map_state(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """The same nested lists and tuples, with ``function`` of every tensor in them.

    The one thing that is known about a state: rows come first in each of its tensors.
    """
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, list | tuple):
        return type(state)(map_state(function, part) for part in state)
    return state
