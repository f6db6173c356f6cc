"""Text from a model, one token at a time, carrying the state: the cost of a token does not grow.

Left out: beam search, batches of prompts, streaming.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmcore.errors import InputError
from lmcore.output import SoftmaxOutput
from lmcore.tokenizer import Tokenizer


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. Raises InputError for a value outside its range."""

    temperature: float = 1.0  # logits are divided by it; 0 means greedy: always the likeliest token
    top_k: int | None = None  # keep the k likeliest tokens
    top_p: float | None = None  # keep the fewest tokens that together reach this probability
    max_new_tokens: int = 50
    seed: int = 0

    def __post_init__(self):
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"temperature is {self.temperature}; it must be 0 (greedy) or above")
        if self.top_k is not None and self.top_k < 1:
            raise InputError(f"top_k is {self.top_k}; it must be at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise InputError(f"top_p is {self.top_p}; it must be in (0, 1]")
        if self.max_new_tokens < 0:
            raise InputError(f"max_new_tokens is {self.max_new_tokens}; it must be 0 or above")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed}; it must be in [0, 2**63)")


def keep_top_k(logits: Float[Tensor, "*B V"], k: int) -> Float[Tensor, "*B V"]:
    """Logits with all but the k largest set to minus infinity; ties at the k-th place all stay.

    Source: Fan et al. (2018).
    """
    k = min(k, logits.shape[-1])
    smallest_kept = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < smallest_kept, -torch.inf)


def keep_top_p(logits: Float[Tensor, "*B V"], p: float) -> Float[Tensor, "*B V"]:
    """Logits with everything outside the nucleus set to minus infinity.

    The nucleus is the smallest set of likeliest tokens whose probability reaches p; the token that
    crosses p belongs to it, so at least one token always stays. Source: Holtzman et al. (2020).
    """
    ordered, index = logits.sort(dim=-1, descending=True)
    probs = ordered.softmax(dim=-1)
    before = probs.cumsum(dim=-1) - probs  # probability of all likelier tokens
    outside = (before >= p).scatter(-1, index, before >= p)
    return logits.masked_fill(outside, -torch.inf)


def next_token_probs(logits: Float[Tensor, "*B V"], sampling: Sampling) -> Float[Tensor, "*B V"]:
    """The distribution that the next token is drawn from: temperature, then top-k, then top-p.

    p_i = exp(z_i / temperature) / sum_j exp(z_j / temperature). At temperature 0 the likeliest
    token has probability 1.
    """
    if sampling.temperature < 1e-30:  # dividing by so little would overflow, and greedy is the limit
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits).scatter(-1, best, 1.0)
    logits = logits / sampling.temperature
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None:
        logits = keep_top_p(logits, sampling.top_p)
    return logits.softmax(dim=-1)


def draw(probs: Float[Tensor, " V"], generator: torch.Generator) -> int:
    """One index, each as likely as its probability.

    A point on the line from 0 to 1 falls into the interval that belongs to its token (inverse transform
    sampling). `torch.multinomial` draws one random number per token instead: 1 ms for 32,000 of them.
    Raises InputError if the probabilities add up to nothing or to no number.
    """
    edges = probs.double().cumsum(dim=0)
    if not 0 < edges[-1] < torch.inf:
        raise InputError(
            f"the probabilities add up to {edges[-1]:g}, and should to 1: there is nothing to draw"
        )
    point = torch.rand(1, dtype=torch.float64, generator=generator) * edges[-1]
    index = int(torch.searchsorted(edges, point, right=True))
    return min(index, len(probs) - 1)  # the product may round up to the last edge


@torch.inference_mode()
def generate_ids(
    model: nn.Module,
    prompt_ids: list[int],
    sampling: Sampling,
    eos_id: int,
    never: tuple[int, ...] = (),
) -> list[int]:
    """Ids that follow the prompt, up to ``max_new_tokens`` or to ``eos_id``, which is then the last.

    The prompt is read once; from then on each step feeds one token and the state. ``never`` lists
    ids that must not be drawn. The draws depend on ``sampling.seed`` only, not on global random state.
    Raises InputError if a logit is no number, as damaged weights or a diverged run give.
    """
    was_training = model.training
    model.eval()
    with _laid_out_for_single_rows(model, sampling.max_new_tokens):
        new_ids = _continue(model, prompt_ids, sampling, eos_id, list(never))
    model.train(was_training)
    return new_ids


def _laid_out_for_single_rows(model: nn.Module, steps: int) -> AbstractContextManager[None]:
    """For a few steps, or on a GPU, another layout of the output matrix does not pay."""
    output = getattr(model, "output", None)
    pays = isinstance(output, SoftmaxOutput) and output.weight.device.type == "cpu" and steps >= 16
    return output.by_columns() if pays else nullcontext()


def _continue(
    model: nn.Module, prompt_ids: list[int], sampling: Sampling, eos_id: int, never: list[int]
) -> list[int]:
    """The loop of `generate_ids`."""
    device = next((t.device for t in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    draws = torch.Generator().manual_seed(sampling.seed)
    logits, state = model(torch.tensor([prompt_ids], device=device))
    new_ids: list[int] = []
    while len(new_ids) < sampling.max_new_tokens:
        last = logits[0, -1].float().cpu().clone()  # (V,); a copy, because it is written to
        last[never] = -torch.inf
        new_ids.append(_choose(last, sampling, draws))
        if new_ids[-1] == eos_id:
            break
        logits, state = model(torch.tensor([new_ids[-1:]], device=device), state)
    return new_ids


def _choose(logits: Float[Tensor, " V"], sampling: Sampling, draws: torch.Generator) -> int:
    best, index = logits.max(dim=0)
    if not best.isfinite():  # it is NaN if any logit is
        raise InputError(f"the largest logit is {best:g}: the model's weights are damaged, or it diverged")
    if sampling.temperature == 0:
        return int(index)  # what drawing would give, sooner
    return draw(next_token_probs(logits, sampling), draws)


def generate(model: nn.Module, tokenizer: Tokenizer, prompt: str, sampling: Sampling | None = None) -> str:
    """The prompt and what the model writes after it; ends at ``<eos>`` or after ``max_new_tokens``.

    ``<pad>``, ``<unk>`` and ``<bos>`` are never drawn: they have no text. Raises InputError for a
    prompt with a piece that the tokenizer does not know.
    """
    prompt_ids = tokenizer.encode_prompt(prompt)
    never = tuple(i for i in tokenizer.special_ids if i != tokenizer.eos_id)
    new_ids = generate_ids(model, prompt_ids, sampling or Sampling(), tokenizer.eos_id, never)
    return tokenizer.decode(prompt_ids + new_ids)
