"""How good a model is: nats per token, perplexity, bits per byte, all weighted by token.

Nats are summed, counts are summed, and there is one division at the end. (A mean of per-batch
perplexities is a different and larger number.)
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lmcore.data import Batch
from lmcore.distributed import World
from lmcore.loss import next_token_nats


@dataclass(frozen=True)
class Evaluation:
    """Sums over every predicted token of a text; the properties divide them."""

    total_nats: float
    num_tokens: int
    num_bytes: int | None  # None: unknown, or the targets hold <unk>, whose bytes nobody predicted

    @property
    def nats_per_token(self) -> float:
        return self.total_nats / self.num_tokens

    @property
    def perplexity(self) -> float:
        """exp(nats per token): among how many equally likely tokens the model still hesitates."""
        nats = self.nats_per_token
        return math.inf if nats > 700 else math.exp(nats)  # a diverged model; exp(710) overflows

    @property
    def bits_per_byte(self) -> float | None:
        """Comparable between tokenizers; None where the number of bytes is not known."""
        return self.total_nats / math.log(2) / self.num_bytes if self.num_bytes else None

    def __str__(self) -> str:
        bpb = "unknown" if self.bits_per_byte is None else f"{self.bits_per_byte:.3f}"
        return (
            f"{self.nats_per_token:.3f} nats/token, perplexity {self.perplexity:,.1f}, "
            f"{bpb} bits/byte over {self.num_tokens:,} tokens"
        )


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    pad_id: int,
    token_bytes: np.ndarray | None = None,
    unk_id: int | None = None,
    world: World | None = None,
) -> Evaluation:
    """Score every target that is not padding; the state is carried where the batches say so.

    ``token_bytes`` (V,) from `Tokenizer.token_bytes`; without it there are no bits per byte. Of several
    processes in a ``world`` each scores its share of the rows, and all get the sum.
    """
    world = world or World()
    was_training = model.training
    model.eval()
    device = next((t.device for t in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    num_tokens, num_bytes, num_unknown = 0, 0, 0
    # Added up on the device, since reading waits for a GPU. Not kept in a list: small tensors between the
    # large buffers of the loss keep those from being used again, and memory grows with every batch.
    total = torch.zeros((), dtype=torch.float64, device="cpu" if device.type == "mps" else device)
    state = None
    for batch in batches:
        batch = batch.split(world.size)[world.rank]
        inputs, targets = batch.inputs.to(device), batch.targets.to(device)
        state = state if batch.carries_state else None
        expected = None if batch.lengths is None else int(batch.lengths.sum())
        batch_nats, count, state = next_token_nats(model, inputs, targets, pad_id, state, expected)
        total += batch_nats.to(total.device, torch.float64)
        num_tokens += count
        if token_bytes is not None:
            ids = batch.targets.cpu()
            num_bytes += int(token_bytes[ids.numpy()].sum())
            num_unknown += int((ids == unk_id).sum()) if unk_id is not None else 0
    model.train(was_training)
    total_nats, *counts = world.sum([total.item(), num_tokens, num_bytes, num_unknown])
    num_tokens, num_bytes, num_unknown = map(int, counts)
    known = token_bytes is not None and num_unknown == 0
    return Evaluation(total_nats, num_tokens, num_bytes if known else None)
