"""TransformerLM: a small causal Transformer for comparison, whose state is a cache of keys and values.

Left out: dropout on the attention weights, which no fast kernel on a CPU has.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcore.errors import InputError
from lmcore.model import LanguageModel, ModelConfig, check_sizes

Cache = tuple[Tensor, Tensor]  # keys (before their rotation) and values: (B, num_heads, S, head_dim)
State = list[Cache]  # one per layer; S < context
INIT_STD = 0.02


@dataclass(frozen=True)
class GPTConfig(ModelConfig):
    """Shape of a TransformerLM.

    Raises InputError as ModelConfig does, and for heads that do not divide the width into even parts.
    """

    num_heads: int = 4
    context: int = 128  # tokens that a layer attends to from each place, the one at that place included

    def __post_init__(self):
        super().__post_init__()
        check_sizes(self, "num_heads", "context")
        if self.emb_dim % (2 * self.num_heads):
            raise InputError(
                f"emb_dim is {self.emb_dim}; with num_heads {self.num_heads} it must be a multiple of "
                f"{2 * self.num_heads}"
            )


class View(NamedTuple):
    """How T new tokens see themselves and S cached ones (M = S + T): the same in every layer.

    ``mask`` (T, M), true where attention may look; None where ``is_causal`` says it, or all may be seen.
    """

    cos: Float[Tensor, "M half"]
    sin: Float[Tensor, "M half"]
    mask: Bool[Tensor, "T M"] | None
    is_causal: bool


def look_back(S: int, T: int, context: int, head_dim: int, like: Tensor) -> View:
    """Rotations of M = S + T places, counted from the oldest cached one, and the sliding window.

    The place at index i sees those with index in (i - context, i].
    """
    places = torch.arange(S + T, device=like.device)
    frequencies = 10_000.0 ** (-torch.arange(0, head_dim, 2, device=like.device, dtype=like.dtype) / head_dim)
    angles = places[:, None] * frequencies  # (M, head_dim / 2)
    is_causal = not S and context >= T
    mask = None
    if not is_causal and T > 1:
        distance = places[S:, None] - places  # (T, M)
        mask = (distance >= 0) & (distance < context)
    return View(angles.cos(), angles.sin(), mask, is_causal)


def rotate(
    x: Float[Tensor, "B heads T head_dim"], cos: Float[Tensor, "T half"], sin: Float[Tensor, "T half"]
) -> Float[Tensor, "B heads T head_dim"]:
    """Turn each pair (x_i, x_{i + head_dim / 2}) by its angle: rotary positions (Su et al. 2021).

    The product of a query and a key that were both turned depends only on how far apart they stand, so
    places may be counted from anywhere.
    """
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Attention(nn.Module):
    """Causal self-attention with several heads (Vaswani et al. 2017) over the last ``context`` tokens.

    Keys are cached as they are and rotated when used, by their index among those in sight. So no
    counter grows with the text, and a text cut anywhere gives the same numbers.
    """

    def __init__(self, emb_dim: int, num_heads: int, context: int):
        super().__init__()
        self.num_heads, self.context = num_heads, context
        self.qkv = nn.Linear(emb_dim, 3 * emb_dim)
        self.out = nn.Linear(emb_dim, emb_dim)

    def forward(
        self, x: Float[Tensor, "B T D"], cache: Cache, view: View
    ) -> tuple[Float[Tensor, "B T D"], Cache]:
        B, T, D = x.shape
        split = self.qkv(x).view(B, T, 3, self.num_heads, D // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = split  # (B, num_heads, T, head_dim) each
        k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)  # M = S + T places
        q = rotate(q, view.cos[-T:], view.sin[-T:])
        seen = F.scaled_dot_product_attention(
            q, rotate(k, view.cos, view.sin), v, attn_mask=view.mask, is_causal=view.is_causal
        )
        oldest = max(k.shape[2] - (self.context - 1), 0)  # the next token sees no further back
        return self.out(seen.transpose(1, 2).reshape(B, T, D)), (k[:, :, oldest:], v[:, :, oldest:])


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): pre-norm (Xiong et al. 2020), GELU, MLP width 4 D."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        D = config.emb_dim
        self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.attention = Attention(D, config.num_heads, config.context)
        self.mlp = nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "B T D"], cache: Cache, view: View
    ) -> tuple[Float[Tensor, "B T D"], Cache]:
        seen, cache = self.attention(self.norm1(x), cache, view)
        x = x + self.dropout(seen)
        return x + self.dropout(self.mlp(self.norm2(x))), cache


class TransformerLM(LanguageModel):
    """A decoder-only Transformer: ``logits, state = model(tokens, state)``.

    The state holds the keys and values of the last ``context - 1`` tokens per layer, so that one more
    token costs O(context). Through its layers it reaches back num_layers * (context - 1) tokens.
    """

    def __init__(self, config: GPTConfig):
        super().__init__(config, (Block(config) for _ in range(config.num_layers)))
        self.norm = nn.LayerNorm(config.emb_dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As GPT-2 (Radford et al. 2019): N(0, 0.02), zero biases, and narrower where a block adds.

        Each block adds twice to the same sum, so the 2 num_layers matrices that do start with a standard
        deviation of 0.02 / sqrt(2 num_layers). An untied output matrix starts from Xavier.
        """
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=INIT_STD)
                nn.init.zeros_(module.bias)
        for block in self.layers:
            for adding in (block.attention.out, block.mlp[-1]):
                nn.init.normal_(adding.weight, std=INIT_STD / (2 * self.config.num_layers) ** 0.5)
        self.output.start()
        self._start_embedding(self.config.emb_std or INIT_STD)

    def initial_state(self, batch_size: int) -> State:
        """Empty caches: nothing was read."""
        D, heads = self.config.emb_dim, self.config.num_heads
        empty = self.embedding.weight.new_zeros(batch_size, heads, 0, D // heads)
        return [(empty, empty) for _ in self.layers]

    def hidden(
        self, tokens: Int[Tensor, "B T"], state: State | None = None
    ) -> tuple[Float[Tensor, "B T D"], State]:
        """What the output layer sees, and the state after the last token.

        Read in pieces of ``context`` tokens, so that the cost grows with T, not with T^2.
        """
        state = self.initial_state(len(tokens)) if state is None else state
        pieces = []
        for piece in tokens.split(self.config.context, dim=1):
            x, state = self._read(piece, state)
            pieces.append(x)
        return torch.cat(pieces, dim=1), state

    def _read(self, tokens: Int[Tensor, "B T"], state: State) -> tuple[Float[Tensor, "B T D"], State]:
        """`hidden` for at most ``context`` tokens."""
        config, S, T = self.config, state[0][0].shape[2], tokens.shape[1]
        like = self.embedding.weight
        view = look_back(S, T, config.context, config.emb_dim // config.num_heads, like)
        x = self.dropout(self.embedding(tokens))  # (B, T, D)
        new_state = []
        for block, cache in zip(self.layers, state, strict=True):
            x, cache = block(x, cache, view)
            new_state.append(cache)
        return self.norm(x), new_state
