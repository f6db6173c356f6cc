"""A bidirectional tagger: a label for every token, from the tokens on both of its sides.

Left out: layers on top of each other, and a model of which label follows which.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcore.errors import InputError
from lmcore.model import check_sizes
from lmcore.rnn import CELLS


@dataclass(frozen=True)
class TaggerConfig:
    """Shape of a BidirectionalTagger; raises InputError for a size below 1 or an unknown cell."""

    vocab_size: int  # tokens, special ones included
    num_tags: int
    emb_dim: int = 64
    hidden_dim: int = 64  # of each direction
    cell: str = "lstm"
    pad_id: int = 0  # this token's embedding stays zero

    def __post_init__(self):
        check_sizes(self, "vocab_size", "num_tags", "emb_dim", "hidden_dim")
        if not 0 <= self.pad_id < self.vocab_size:
            raise InputError(f"pad_id is {self.pad_id}; it must be in [0, {self.vocab_size})")
        if self.cell not in CELLS:
            raise InputError(f"cell is {self.cell!r}; it must be one of {', '.join(CELLS)}")


class BidirectionalTagger(nn.Module):
    """Embedding -> one cell from left to right, one from right to left -> scores of the tags.

    It sees the tokens after a position, so it cannot be a language model: what it should predict would be
    among its inputs. Source: Schuster and Paliwal, "Bidirectional recurrent neural networks" (1997).
    """

    def __init__(self, config: TaggerConfig):
        super().__init__()
        self.config = config
        cell, D, H = CELLS[config.cell], config.emb_dim, config.hidden_dim
        self.embedding = nn.Embedding(config.vocab_size, D, padding_idx=config.pad_id)
        self.left_to_right, self.right_to_left = cell(D, H), cell(D, H)
        self.output = nn.Linear(2 * H, config.num_tags)

    def hidden(self, tokens: Int[Tensor, "B T"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B T H2"]:
        """The states of both directions side by side, (B, T, 2 * hidden_dim).

        Each row counts up to its length, where the way back starts. What stands behind means nothing, in
        the input as in the output. Raises InputError for a length that is negative or above T.
        """
        B, T = tokens.shape
        _check_lengths(lengths, T)
        x = self.embedding(tokens)  # (B, T, D)
        forward, _ = self.left_to_right.scan(x, self.left_to_right.initial_state(B))
        x = reverse_rows(x, lengths)
        backward, _ = self.right_to_left.scan(x, self.right_to_left.initial_state(B))
        return torch.cat([forward, reverse_rows(backward, lengths)], dim=-1)

    def forward(self, tokens: Int[Tensor, "B T"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B T K"]:
        """Logits of the K tags at every position; errors as in `hidden`."""
        return self.output(self.hidden(tokens, lengths))

    def nats(
        self, tokens: Int[Tensor, "B T"], lengths: Int[Tensor, " B"], tags: Int[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Total nats of the right tags; a sum over the ``lengths.sum()`` real positions."""
        real = real_positions(tokens, lengths)
        return F.cross_entropy(self(tokens, lengths)[real], tags[real], reduction="sum")


def real_positions(tokens: Int[Tensor, "B T"], lengths: Int[Tensor, " B"]) -> Bool[Tensor, "B T"]:
    """True where a token is no padding: the first ``lengths[b]`` places of row b."""
    return torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]


def reverse_rows(x: Float[Tensor, "B T D"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B T D"]:
    """Each row's first ``lengths[b]`` steps in the opposite order; the padding behind stays where it is.

    So padding comes after the real steps in both directions, and never before them.
    """
    t = torch.arange(x.shape[1], device=x.device)
    mirrored = torch.where(t < lengths[:, None], lengths[:, None] - 1 - t, t)  # (B, T)
    return x.gather(1, mirrored[..., None].expand_as(x))


def _check_lengths(lengths: Tensor, T: int) -> None:
    shortest, longest = lengths.aminmax()
    if shortest < 0 or longest > T:
        raise InputError(
            f"a row has length {int(longest if longest > T else shortest)}; it must be in [0, {T}]"
        )
