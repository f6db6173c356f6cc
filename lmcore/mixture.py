"""Several models as one: a weighted mean of their probabilities, the weights fitted to held-out text.

Counting remembers exactly and only a few tokens back; a network remembers roughly and further. Mikolov et
al. (2010) mixed the two for their best results. Left out: weights that depend on the context.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.data import Batch
from lmcore.errors import InputError
from lmcore.loss import rows_at_once

MAX_EM_STEPS = 1000
SMALLEST_GAIN = 1e-9  # nats per token


class InterpolatedLM(nn.Module):
    """p(token) = sum over models of weight * p_model(token); one model like any other, and scored like one.

    Its state is the list of theirs. For scoring and generating: it offers the trainer nothing. Raises
    InputError if weights are not in [0, 1], do not sum to one, or are not as many as the models, and if
    the models have different vocabularies.
    """

    def __init__(self, models: Sequence[nn.Module], weights: Sequence[float]):
        super().__init__()
        self.vocab_size = _shared_vocab_size(models)
        if len(weights) != len(models):
            raise InputError(f"there are {len(weights)} weights for {len(models)} models")
        for weight in weights:
            if not 0 <= weight <= 1:
                raise InputError(f"a weight is {weight}; it must be in [0, 1]")
        if abs(sum(weights) - 1) > 1e-6:
            raise InputError(f"the weights sum to {sum(weights)}; they must sum to 1")
        self.models = nn.ModuleList(models)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float64))

    def forward(
        self, tokens: Int[Tensor, "B T"], state: list[Any] | None = None
    ) -> tuple[Float[Tensor, "B T V"], list[Any]]:
        """Natural-log probabilities, and the models' states."""
        outputs = [model(tokens, own) for model, own in self._with_states(state)]
        log_probs = torch.stack(
            [logits.log_softmax(dim=-1).double() for logits, _ in outputs]
        )  # (M, B, T, V)
        return self._mix(log_probs), [own for _, own in outputs]

    def target_nats(
        self, inputs: Int[Tensor, "B T"], targets: Int[Tensor, "B T"], state: list[Any] | None = None
    ) -> tuple[Float[Tensor, "B T"], list[Any]]:
        """Nats (float64) of each target, and the models' states."""
        outputs = [nats_of_targets(model, inputs, targets, own) for model, own in self._with_states(state)]
        return -self._mix(-torch.stack([nats.double() for nats, _ in outputs])), [own for _, own in outputs]

    def _with_states(self, state: list[Any] | None) -> Iterable[tuple[nn.Module, Any]]:
        return zip(self.models, [None] * len(self.models) if state is None else state, strict=True)

    def _mix(self, log_probs: Float[Tensor, "M ..."]) -> Float[Tensor, "..."]:
        log_weights = self.weights.log().view(-1, *[1] * (log_probs.ndim - 1))
        return (log_probs + log_weights).logsumexp(dim=0)


def nats_of_targets(
    model: nn.Module, inputs: Int[Tensor, "B T"], targets: Int[Tensor, "B T"], state: Any = None
) -> tuple[Float[Tensor, "B T"], Any]:
    """Nats of each target under any model, and the state; for evaluation, not for training.

    A neural model's logits are made a few rows at a time, as in the loss.
    """
    if hasattr(model, "target_nats"):
        return model.target_nats(inputs, targets, state)
    hidden, state = model.hidden(inputs, state)
    hidden, flat = hidden.flatten(0, 1), targets.flatten()  # (B * T, D), (B * T,)
    nats = hidden.new_empty(len(flat))
    rows = rows_at_once(hidden.device.type, model.config.vocab_size, hidden.shape[1])
    for start in range(0, len(flat), rows):
        part = slice(start, start + rows)
        nats[part] = F.cross_entropy(model.output(hidden[part]), flat[part], reduction="none")
    return nats.view(targets.shape), state


@torch.no_grad()
def fit_mixture(models: Sequence[nn.Module], batches: Iterable[Batch], pad_id: int) -> InterpolatedLM:
    """The mixture whose weights are the best for a held-out text, found by `best_weights`.

    Fit on validation text; a text that the counts were taken from would give them all the weight. The
    models are put into evaluation mode. Raises InputError as `InterpolatedLM` and `best_weights` do.
    """
    _shared_vocab_size(models)
    device = next(t.device for model in models for t in [*model.parameters(), *model.buffers()])
    states: list[Any] = [None] * len(models)
    columns: list[np.ndarray] = []
    for model in models:
        model.eval()
    for batch in batches:
        states = states if batch.carries_state else [None] * len(models)
        inputs, targets = batch.inputs.to(device), batch.targets.to(device)
        rows = []
        for m, model in enumerate(models):
            nats, states[m] = nats_of_targets(model, inputs, targets, states[m])
            rows.append(nats[targets != pad_id].double().cpu().numpy())
        columns.append(np.stack(rows))
    if not columns:
        raise InputError("there are 0 batches to fit the weights to; at least 1 is needed")
    return InterpolatedLM(models, best_weights(np.concatenate(columns, axis=1)))


def best_weights(nats: Float[np.ndarray, "M N"]) -> list[float]:
    """Weights of M models under which N held-out tokens are the likeliest, by expectation maximisation.

    ``nats`` are those of each token under each model. A step gives every model the mean of its share in
    the tokens' probabilities; no step makes the text less likely, and there is one best point. Source:
    Jelinek and Mercer (1980). Raises InputError for a token that no model holds possible.
    """
    best = nats.min(axis=0)  # probabilities are kept relative to it: none of them vanishes
    impossible = int((~np.isfinite(best)).sum())
    if impossible or not nats.size:
        raise InputError(f"{impossible} of {nats.shape[1]} tokens have probability 0 under every model")
    probs = np.exp(best - nats)
    weights, last = np.full(len(nats), 1 / len(nats)), np.inf
    for _ in range(MAX_EM_STEPS):
        shares = weights[:, None] * probs
        mixed = shares.sum(axis=0)
        weights = (shares / mixed).mean(axis=1)
        now = float(-np.log(mixed).mean())
        if last - now < SMALLEST_GAIN:
            break
        last = now
    return (weights / weights.sum()).tolist()


def _shared_vocab_size(models: Sequence[nn.Module]) -> int:
    sizes = [getattr(model, "config", model).vocab_size for model in models]
    if len(set(sizes)) != 1:
        raise InputError(f"the models' vocabularies have {sizes} tokens; they must be one and the same")
    return sizes[0]
