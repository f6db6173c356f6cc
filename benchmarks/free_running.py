"""How a model does on its own text: three measures of chapter 9, for any recurrent language model.

What its prefix does to the loss of real text, with real text from elsewhere as a control; how sure it is on
what it wrote; how often it repeats itself. Left out: judging the text by another model.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import lmcore
from lmcore.errors import InputError


@dataclass(frozen=True)
class Lengths:
    """How many contexts, and how long, in tokens."""

    contexts: int = 200
    context: int = 100
    scored: int = 20  # real tokens behind each context
    replaced: int = 20  # the last tokens of a context
    given: int = 20  # before the model writes on its own
    written: int = 80
    entropy_over: int = 20  # the last positions of what was written


@dataclass(frozen=True)
class Contexts:
    """Pieces of held-out documents: ``text`` (N, width), and ``other`` (N, replaced) from other documents."""

    text: Tensor
    other: Tensor
    lengths: Lengths

    @classmethod
    def cut(cls, documents: list[np.ndarray], lengths: Lengths, seed: int = 0) -> "Contexts":
        """Raises InputError for fewer than two documents, or one that is too short to cut from."""
        width = max(lengths.context + lengths.scored, lengths.given + lengths.written)
        shortest = min(map(len, documents), default=0)
        if len(documents) < 2 or shortest < width + 2:
            raise InputError(
                f"{len(documents)} documents, the shortest of {shortest} tokens: 2 of {width + 2} are needed"
            )
        draws = np.random.default_rng(seed)
        which = draws.integers(len(documents), size=lengths.contexts)
        elsewhere = (which + draws.integers(1, len(documents), size=lengths.contexts)) % len(documents)

        def pieces(numbers: np.ndarray, length: int) -> Tensor:
            rows = [_piece(documents[number], length, draws) for number in numbers]
            return torch.from_numpy(np.stack(rows).astype(np.int64))

        return cls(pieces(which, width), pieces(elsewhere, lengths.replaced), lengths)


def _piece(document: np.ndarray, length: int, draws: np.random.Generator) -> np.ndarray:
    start = draws.integers(1, len(document) - length)  # 1: not <bos>
    return document[start : start + length]


@torch.no_grad()
def write(
    model: lmcore.RecurrentLM, prefix: Tensor, length: int, greedy: bool = False, seed: int = 0
) -> Tensor:
    """``length`` tokens after each row of a prefix (N, L): drawn from the model, or its likeliest ones."""
    draws, written = torch.Generator().manual_seed(seed), []
    _, state = model.hidden(prefix[:, :-1])
    token = prefix[:, -1:]
    for _ in range(length):
        logits, state = model(token, state)  # (N, 1, V)
        probs = logits[:, -1].softmax(dim=-1)
        token = probs.argmax(-1, keepdim=True) if greedy else torch.multinomial(probs, 1, generator=draws)
        written.append(token)
    return torch.cat(written, dim=1)


@torch.no_grad()
def nats_after(model: lmcore.RecurrentLM, prefix: Tensor, following: Tensor) -> Tensor:
    """Nats of the real tokens ``following`` (N, H), each given the prefix and those before it: (N, H)."""
    _, state = model.hidden(prefix[:, :-1])
    logits, _ = model(torch.cat([prefix[:, -1:], following[:, :-1]], dim=1), state)
    return F.cross_entropy(logits.transpose(1, 2), following, reduction="none")


@torch.no_grad()
def entropy(model: lmcore.RecurrentLM, ids: Tensor, block: int = 8) -> Tensor:
    """Entropy, in nats, of the model's next token after each position of ids (N, T): (N, T)."""
    hidden, _ = model.hidden(ids)
    parts = []
    for h in hidden.split(block, dim=1):  # (N, T, V) at once would be large
        log_probs = model.output(h).log_softmax(dim=-1)
        parts.append(-(log_probs.exp() * log_probs).sum(dim=-1))
    return torch.cat(parts, dim=1)


def distinct_share(row: list[int], n: int) -> float:
    """Different n-grams of a row of ids, divided by all its n-grams."""
    grams = [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]
    return len(set(grams)) / len(grams)


def distinct_shares(ids: Tensor) -> dict[str, float]:
    """Mean over rows of (N, T), for n-grams of 1 to 4 tokens; the keys are text, as JSON wants them."""
    rows = ids.tolist()
    return {str(n): float(np.mean([distinct_share(row, n) for row in rows])) for n in (1, 2, 3, 4)}


def mean_and_error(values: Tensor) -> list[float]:
    """Mean of values (N, ...) and its standard error over the N contexts."""
    each = values.flatten(1).mean(dim=1)
    return [each.mean().item(), (each.std() / len(each) ** 0.5).item()]


def exposure(model: lmcore.RecurrentLM, contexts: Contexts) -> dict[str, Any]:
    """What it costs to read another prefix: one that the model drew, and one from another document.

    ``real`` is the loss after the true prefix. The others are rises over it and their standard errors; the
    same tokens are scored each time, so the last entry compares context by context.
    """
    L, H, k = contexts.lengths.context, contexts.lengths.scored, contexts.lengths.replaced
    kept, following = contexts.text[:, : L - k], contexts.text[:, L : L + H]
    real = nats_after(model, contexts.text[:, :L], following)
    own = nats_after(model, torch.cat([kept, write(model, kept, k)], dim=1), following)
    other = nats_after(model, torch.cat([kept, contexts.other], dim=1), following)
    return {
        "real": real.mean().item(),
        "own": mean_and_error(own - real),
        "other": mean_and_error(other - real),
        "own minus other": mean_and_error(own - other),
    }


def own_text(model: lmcore.RecurrentLM, contexts: Contexts) -> dict[str, Any]:
    """Entropy at the end of a long free run, and the share of distinct n-grams in it."""
    given, written, last = (getattr(contexts.lengths, n) for n in ("given", "written", "entropy_over"))
    start, real = contexts.text[:, :given], contexts.text[:, : given + written]
    entropies = {"real": entropy(model, real)[:, -last:]}
    distinct = {}
    for way in ("drawn", "greedy"):
        ids = torch.cat([start, write(model, start, written, greedy=way == "greedy")], dim=1)
        entropies[way] = entropy(model, ids)[:, -last:]
        distinct[way] = distinct_shares(ids[:, given:])
    found = {way: values.mean().item() for way, values in entropies.items()}
    found["drawn minus real"] = mean_and_error(entropies["drawn"] - entropies["real"])
    return {"entropy": found, "distinct": distinct}


def distinct_in_real_text(contexts: Contexts) -> dict[str, float]:
    given, written = contexts.lengths.given, contexts.lengths.written
    return distinct_shares(contexts.text[:, given : given + written])
