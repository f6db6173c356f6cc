"""Counting models under the same contract as the neural ones: tokens in, logits out.

Left out: everything longer than one token; smoothing worth the name comes with the n-gram chapter.
"""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.tokens import Tokens


class UnigramLM(nn.Module):
    """Each token as often as in the training text, whatever came before; every count plus one.

    Its logits are natural-log probabilities (their logsumexp is 0), and its loss on held-out text
    is the level that a network reaches by learning frequencies alone.
    """

    def __init__(self, documents: Iterable[np.ndarray], vocab_size: int):
        super().__init__()
        counts = 1.0 + Tokens.of(documents).count_predicted(vocab_size)
        self.register_buffer("log_probs", torch.from_numpy(np.log(counts / counts.sum())).float())

    def forward(self, tokens: Int[Tensor, "B T"], state=None) -> tuple[Float[Tensor, "B T V"], None]:
        """The same row at every position; there is no state."""
        return self.log_probs.expand(*tokens.shape, -1), None
