"""How the next token is chosen: what makes its distribution sharper or narrower, and the draw from it.

Left out: filters that set their own width by the entropy (eta, top-H), and contrastive search.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcore.errors import InputError

GREEDY_BELOW = 1e-30  # dividing by so low a temperature would overflow, and greedy is the limit


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, and how many are. Raises InputError for a value outside its range.

    What is set acts in this order, which is that of `transformers`: repetition penalty, temperature, top-k,
    top-p, min-p, typical. Each filter sees only what those before it have left. Greedy choice takes the
    likeliest token after the penalty; nothing else can change which one that is.
    """

    temperature: float = 1.0  # logits are divided by it; 0 means greedy: always the likeliest token
    top_k: int | None = None  # keep the k likeliest tokens
    top_p: float | None = None  # keep the fewest tokens that together reach this probability
    max_new_tokens: int = 50  # per text
    seed: int = 0  # of several texts, the one at index i is drawn with seed + i
    min_p: float | None = None  # keep tokens with at least this share of the likeliest one's probability
    typical_p: float | None = None  # keep the tokens closest to the mean surprise that reach this probability
    repetition_penalty: float = 1.0  # above 1, tokens that the text holds already become less likely

    def __post_init__(self):
        if not 0 <= self.temperature < math.inf:
            raise InputError(f"temperature is {self.temperature}; it must be 0 (greedy) or above")
        if self.top_k is not None and self.top_k < 1:
            raise InputError(f"top_k is {self.top_k}; it must be at least 1")
        for name in ("top_p", "min_p", "typical_p"):
            if getattr(self, name) is not None:
                _check_share(name, getattr(self, name))
        if self.max_new_tokens < 0:
            raise InputError(f"max_new_tokens is {self.max_new_tokens}; it must be 0 or above")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed}; it must be in [0, 2**63)")
        if not 0 < self.repetition_penalty < math.inf:
            raise InputError(f"repetition_penalty is {self.repetition_penalty}; it must be above 0")

    @property
    def is_greedy(self) -> bool:
        return self.temperature < GREEDY_BELOW

    def check_vocabulary(self, vocab_size: int) -> None:
        """Raises InputError for a top-k that is more than all tokens."""
        if self.top_k is not None:
            _check_k(self.top_k, vocab_size)


def _check_share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise InputError(f"{name} is {value}; it must be in (0, 1]")


def _check_k(k: int, vocab_size: int) -> None:
    if not 1 <= k <= vocab_size:
        raise InputError(f"top_k is {k}; it must be in [1, {vocab_size}], the number of tokens")


def keep_top_k(logits: Float[Tensor, "*B V"], k: int) -> Float[Tensor, "*B V"]:
    """Logits with all but the k largest set to minus infinity; ties at the k-th place all stay.

    Raises InputError for a k outside [1, V]. Source: Fan et al. (2018).
    """
    _check_k(k, logits.shape[-1])
    smallest_kept = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < smallest_kept, -torch.inf)


def keep_top_p(logits: Float[Tensor, "*B V"], p: float) -> Float[Tensor, "*B V"]:
    """Logits with everything outside the nucleus set to minus infinity.

    The nucleus is the smallest set of likeliest tokens whose probability reaches p; the token that
    crosses p belongs to it, so at least one token always stays. Of equally likely tokens those with lower ids
    come first. Raises InputError for a p outside (0, 1]. Source: Holtzman et al. (2020).
    """
    _check_share("top_p", p)
    if p == 1:
        return logits  # rounded sums may reach 1 before the last token
    ordered, index = logits.sort(dim=-1, descending=True, stable=True)
    return logits.masked_fill(_beyond(ordered.softmax(dim=-1), index, p), -torch.inf)


def keep_min_p(logits: Float[Tensor, "*B V"], p: float) -> Float[Tensor, "*B V"]:
    """Logits with every token less than p times as likely as the likeliest set to minus infinity.

    Raises InputError for a p outside (0, 1]. Source: Nguyen et al. (2024).
    """
    _check_share("min_p", p)
    least = logits.amax(dim=-1, keepdim=True) + math.log(p)  # the softmax divides both sides alike
    return logits.masked_fill(logits < least, -torch.inf)


def keep_typical(logits: Float[Tensor, "*B V"], p: float) -> Float[Tensor, "*B V"]:
    """Logits with all but the locally typical tokens set to minus infinity.

    A token's surprise is -log of its probability, and its mean is the entropy. Typical are the tokens whose
    surprise is closest to the entropy, as many as it takes to reach p, the one that crosses p included. Of
    tokens that are equally close those with lower ids come first. The likeliest token may go. Raises
    InputError for a p outside (0, 1]. Source: Meister et al. (2023).
    """
    _check_share("typical_p", p)
    if p == 1:
        return logits  # as in `keep_top_p`
    log_probs = logits.log_softmax(dim=-1)
    probs = log_probs.exp()
    entropy = torch.special.entr(probs).sum(dim=-1, keepdim=True)  # entr(0) is 0
    index = (log_probs + entropy).abs().argsort(dim=-1, stable=True)
    return logits.masked_fill(_beyond(probs.gather(-1, index), index, p), -torch.inf)


def _beyond(probs: Float[Tensor, "*B V"], index: Int[Tensor, "*B V"], mass: float) -> Bool[Tensor, "*B V"]:
    """Which tokens are not needed to reach ``mass``, taken in the order ``index`` with these ``probs``."""
    before = probs.cumsum(dim=-1) - probs
    return torch.empty_like(before, dtype=torch.bool).scatter_(-1, index, before >= mass)


def penalise_repeats(
    logits: Float[Tensor, "*B V"], seen: Bool[Tensor, "*B V"], penalty: float
) -> Float[Tensor, "*B V"]:
    """Logits of the tokens ``seen`` moved down: divided by the penalty above zero, multiplied by it below.

    Because it depends on where zero lies, adding a constant to all logits changes the outcome; the logits
    of counting models are all below zero. Source: Keskar et al. (2019).
    """
    lowered = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(seen, lowered, logits)


def filter_logits(
    logits: Float[Tensor, "*B V"], sampling: Sampling, seen: Bool[Tensor, "*B V"] | None = None
) -> Float[Tensor, "*B V"]:
    """Penalty, temperature (which must not be 0) and filters, in the order that `Sampling` gives.

    ``seen`` marks the tokens that each text holds already, for the penalty; without it there is none.
    """
    if seen is not None and sampling.repetition_penalty != 1:
        logits = penalise_repeats(logits, seen, sampling.repetition_penalty)
    if sampling.temperature != 1:
        logits = logits / sampling.temperature
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p is not None:
        logits = keep_min_p(logits, sampling.min_p)
    if sampling.typical_p is not None:
        logits = keep_typical(logits, sampling.typical_p)
    return logits


def next_token_probs(
    logits: Float[Tensor, "*B V"], sampling: Sampling, seen: Bool[Tensor, "*B V"] | None = None
) -> Float[Tensor, "*B V"]:
    """The distribution that the next token is drawn from: the softmax of `filter_logits`.

    At temperature 0 the likeliest token has probability 1.
    """
    if not sampling.is_greedy:
        return filter_logits(logits, sampling, seen).softmax(dim=-1)
    if seen is not None:
        logits = penalise_repeats(logits, seen, sampling.repetition_penalty)
    best = logits.argmax(dim=-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, best, 1.0)


def draw(probs: Float[Tensor, " V"], generator: torch.Generator) -> int:
    """One index, each as likely as its probability: `draw_rows` of one row and one random point."""
    point = torch.rand(1, dtype=torch.float64, generator=generator)
    return int(draw_rows(probs[None], point))


def draw_rows(probs: Float[Tensor, "B V"], points: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """For each row the index in whose interval its point falls; the points are in [0, 1).

    The probabilities of a row lie end to end on a line from 0 to 1 (inverse transform sampling).
    `torch.multinomial` draws one random number per token instead: 1 ms for 32,000 of them.
    Raises InputError if the probabilities of a row add up to nothing or to no number.
    """
    edges = probs.to(torch.float64, copy=True).cumsum_(dim=-1)  # in place: (B, V) is large
    total = edges[:, -1:]
    smallest, largest = total.aminmax()  # NaN if any is
    if not (smallest > 0 and largest < torch.inf):
        bad = largest if smallest > 0 else smallest
        raise InputError(f"the probabilities add up to {bad:g}, and should to 1: there is nothing to draw")
    below = total.nextafter(torch.zeros_like(total))  # a product may round up to the end of the line
    points = torch.minimum(points.to(probs.device)[:, None] * total, below)
    return torch.searchsorted(edges, points, right=True).squeeze(1)
