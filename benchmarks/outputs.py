"""Variants of the output layer, and a training step that tells how long each of its parts took."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lmcore
from lmcore.output import AdaptiveOutput, SampledOutput, SoftmaxOutput
from lmcore.step import detach, make_optimizer

EMB_DIM, NUM_LAYERS, BATCH_SIZE, SEQ_LEN = 128, 2, 32, 32
PIECES = ("embedding", "recurrence", "output", "optimizer")


class WholeOutput(SoftmaxOutput):
    """The usual way: all logits at once, and F.cross_entropy."""

    def nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(self(hidden), targets, reduction="sum")


@dataclass(frozen=True)
class Variant:
    make: Callable[[int, int], nn.Module]  # (emb_dim, vocab_size) -> output layer
    tied: bool = False


VARIANTS = {
    "whole logits": Variant(WholeOutput),
    "chunked": Variant(SoftmaxOutput),
    "chunked, tied": Variant(SoftmaxOutput, tied=True),
    "adaptive": Variant(AdaptiveOutput),
    "sampled 256": Variant(lambda D, V: SampledOutput(D, V, negatives=256)),
    "sampled 2,048": Variant(lambda D, V: SampledOutput(D, V, negatives=2048)),
}


def make_model(name: str, log_probs: Tensor) -> lmcore.RecurrentLM:
    """The same embedding and recurrent layers for every variant, and the variant's output layer."""
    variant, vocab_size = VARIANTS[name], len(log_probs)
    torch.manual_seed(0)
    model = lmcore.RecurrentLM(lmcore.RNNConfig(vocab_size, EMB_DIM, NUM_LAYERS, tie_weights=variant.tied))
    model.output = variant.make(EMB_DIM, vocab_size)
    model.output.start()
    if variant.tied:
        model.output.weight = model.embedding.weight
    model.output.start_from_frequencies(log_probs)
    return model


class Stepper:
    """Whole training steps, taken apart where the embedding and the output layer begin.

    The graph is cut at both places and the gradient handed over by hand: the same step, but each part's
    forward and backward pass can be timed.
    """

    def __init__(self, name: str, log_probs: Tensor, batches: lmcore.StreamBatches):
        self.model = make_model(name, log_probs).train()
        self.model.embedding.register_forward_hook(self._cut)
        self.optimizer = make_optimizer(self.model, lmcore.TrainConfig(max_steps=1))
        self.batches, self.state = batches.epoch(0), None

    def _cut(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        self.embedded, self.embedding_done = output, time.perf_counter()
        self.leaf = output.detach().requires_grad_()
        return self.leaf

    def step(self) -> dict[str, float]:
        """One step; returns the seconds of each piece."""
        inputs, targets, *_ = next(self.batches)
        clock = [time.perf_counter()]
        hidden, state = self.model.hidden(inputs, self.state)
        clock.append(time.perf_counter())
        rows = hidden.detach().flatten(0, 1).requires_grad_()  # (B*T, D)
        loss = self.model.output.nats(rows, targets.flatten()) / targets.numel()
        loss.backward()
        clock.append(time.perf_counter())
        hidden.backward(rows.grad.view_as(hidden))
        clock.append(time.perf_counter())
        self.embedded.backward(self.leaf.grad)
        clock.append(time.perf_counter())
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        clock.append(time.perf_counter())
        self.state = detach(state)
        embedding = self.embedding_done - clock[0]
        hidden_all, output, recurrence_back, embedding_back, optimizer = np.diff(clock).tolist()
        recurrence = hidden_all - embedding + recurrence_back
        return dict(zip(PIECES, (embedding + embedding_back, recurrence, output, optimizer), strict=True))
