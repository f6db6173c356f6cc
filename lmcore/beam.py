"""Beam search: the likeliest whole texts that can be found with a few candidates kept at every step.

The best of them alone is what `lmcore.generate` writes with a `BeamSearch`. Left out: a penalty for what the
prompt covers, groups of beams that must differ, and drawing.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmcore.errors import InputError
from lmcore.streaming import LiveText
from lmcore.tokenizer import Tokenizer
from lmcore.writer import check_finite, device_of, next_logits, select_rows, set_up_for_writing


@dataclass(frozen=True)
class BeamSearch:
    """How far and how wide is searched. Raises InputError for a value outside its range."""

    beams: int = 4  # unfinished texts kept at every step, and finished ones that are handed back
    length_penalty: float = 1.0  # a score is log-probability / tokens^this: 0 sums nats up, 1 averages them
    max_new_tokens: int = 50

    def __post_init__(self):
        for name in ("beams", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not -10 <= self.length_penalty <= 10:
            raise InputError(f"length_penalty is {self.length_penalty}; it must be in [-10, 10]")

    def score(self, log_prob: float, length: int) -> float:
        """What texts are ranked by: longer ones have more factors below 1, which this makes up for."""
        return log_prob / length**self.length_penalty

    def best_score(self, log_prob: float, length: int) -> float:
        """The most that a text of this length can still reach: its log-probability can only fall."""
        return max(self.score(log_prob, end) for end in (length + 1, self.max_new_tokens))


class Hypothesis(NamedTuple):
    """A text that the search has found."""

    ids: list[int]  # new tokens, with <eos> if it has ended, and with a whole stop string
    log_prob: float  # natural log of the probability that the model goes on like this
    score: float
    log_probs: tuple[float, ...] = ()  # of each id; they sum to log_prob


class Beam(NamedTuple):
    """An unfinished text."""

    ids: list[int]
    log_prob: float
    parent: int  # which beam of the step before it goes on from
    log_probs: tuple[float, ...] = ()
    text: LiveText | None = None  # only if there are stop strings

    def longer(self, token: int, log_prob: float, place: int, eos_id: int) -> "Beam":
        """This beam, which is at a place of its step, with one token more."""
        text = self.text and self.text.branch()
        if text and token != eos_id:
            text.push(token)
        total = self.log_prob + log_prob
        return Beam([*self.ids, token], total, place, (*self.log_probs, log_prob), text)

    def is_over(self, eos_id: int) -> bool:
        """Whether it has ended by itself, before ``max_new_tokens``."""
        return self.ids[-1] == eos_id or (self.text is not None and self.text.stopped)


@torch.inference_mode()
def beam_search_ids(
    model: nn.Module,
    prompt_ids: list[int],
    search: BeamSearch,
    eos_id: int,
    never: Sequence[int] = (),
    text: LiveText | None = None,
) -> list[Hypothesis]:
    """The best ways to go on from the prompt that were found, best first, at most ``search.beams``.

    At every step the best continuations of all beams are ranked together by log-probability. Those among
    the first ``beams`` that end with ``eos_id`` are finished; the best ``beams`` others go on. The search is
    over when as many are finished, and no beam can reach the score of the worst of them any more; at
    ``max_new_tokens`` the beams count as finished. ``never`` lists ids that no text may hold; probabilities
    are the model's own, not shared out anew among the others. With the ``text`` of the prompt, a beam that
    has just completed one of its stop strings is finished, too. Sources: Graves (2012), Sutskever et al.
    (2014); division by a power of the length as in Wu et al. (2016), in the plain form.

    Raises InputError for a prompt of 0 tokens, if nothing can follow it, and if a logit is no number.
    """
    if not prompt_ids:
        raise InputError("the prompt has 0 tokens; at least 1 is needed, such as <bos>")
    with set_up_for_writing(model, search.beams, search.max_new_tokens):
        found = _search(model, prompt_ids, search, eos_id, list(never), text)
    if not found:
        raise InputError("under this model no text can follow the prompt: all have probability 0")
    return found


def _search(
    model: nn.Module,
    prompt_ids: list[int],
    search: BeamSearch,
    eos_id: int,
    never: list[int],
    text: LiveText | None,
) -> list[Hypothesis]:
    device, state = device_of(model), None
    beams, finished = [Beam([], 0.0, 0, text=text)], list[Hypothesis]()
    tokens = torch.tensor([prompt_ids], device=device)
    for length in range(1, search.max_new_tokens + 1):
        logits, state = next_logits(model, tokens, state)
        ended, beams = _extend(beams, logits, search.beams, eos_id, never)
        if length == search.max_new_tokens:
            ended, beams = ended + beams, []
        scores = [search.score(beam.log_prob, length) for beam in ended]
        finished += [
            Hypothesis(b.ids, b.log_prob, score, b.log_probs) for b, score in zip(ended, scores, strict=True)
        ]
        finished = sorted(finished, key=lambda text: -text.score)[: search.beams]
        if not beams or not _can_win(beams, finished, search, length):
            break
        state = select_rows(state, [beam.parent for beam in beams], device)
        tokens = torch.tensor([beam.ids[-1:] for beam in beams], device=device)
    return finished


def _can_win(beams: list[Beam], finished: list[Hypothesis], search: BeamSearch, length: int) -> bool:
    """Whether a beam may still get among the best; they are sorted, and so are the beams."""
    if len(finished) < search.beams:
        return True
    return search.best_score(beams[0].log_prob, length) > finished[-1].score


def _extend(
    beams: list[Beam], logits: Float[Tensor, "beams V"], width: int, eos_id: int, never: list[int]
) -> tuple[list[Beam], list[Beam]]:
    """The beams one token longer: those that end here, and the ``width`` best others, likeliest first."""
    check_finite(logits.amax(dim=-1))
    log_probs = logits.cpu().double().log_softmax(dim=-1)  # sums of many: not in float32
    log_probs[:, never] = -torch.inf
    totals = log_probs + torch.tensor([[beam.log_prob] for beam in beams], dtype=torch.float64)
    ended: list[Beam] = []
    others: list[Beam] = []
    for rank, index in enumerate(_best_first(totals.flatten(), 2 * width)):
        if rank >= width and len(others) == width:
            break
        parent, token = divmod(index, totals.shape[1])
        longer = beams[parent].longer(token, log_probs[parent, token].item(), parent, eos_id)
        if longer.is_over(eos_id):
            ended += [longer] if rank < width else []
        elif len(others) < width:
            others.append(longer)
    return ended, others


def _best_first(totals: Float[Tensor, " N"], at_once: int) -> Iterator[int]:
    """Where the highest numbers are, without those of probability 0.

    Most often a few are enough: only with stop strings a beam may end in more than one way.
    """
    while True:
        best = totals.topk(min(at_once, len(totals)))
        for total, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            if total == -math.inf:
                return
            yield index
        totals[best.indices] = -torch.inf


def beam_search(
    model: nn.Module,
    tokenizer: Tokenizer,
    prompt: str,
    search: BeamSearch | None = None,
    stop: str | Sequence[str] = (),
) -> list[tuple[str, float]]:
    """The best texts that begin with the prompt, with their scores, best first (see `beam_search_ids`).

    A score is the natural log of the probability of what follows the prompt, divided by a power of its
    number of tokens. A text ends before any of the strings in ``stop``, which may span tokens; the tokens of
    a stop string count in the score. Raises InputError for a prompt with a piece that the tokenizer does not
    know, an empty stop string, and as `beam_search_ids`.
    """
    found = search_texts(model, tokenizer, prompt, search or BeamSearch(), stop)
    return [(text.text, one.score) for one, text in found]


def search_texts(
    model: nn.Module, tokenizer: Tokenizer, prompt: str, search: BeamSearch, stop: str | Sequence[str] = ()
) -> list[tuple[Hypothesis, LiveText]]:
    """What `beam_search` finds, with its ids, and with the texts that know whether they were cut."""
    prompt_ids = tokenizer.encode_prompt(prompt)
    never = [i for i in tokenizer.special_ids if i != tokenizer.eos_id]
    start = LiveText(tokenizer, prompt_ids, [stop] if isinstance(stop, str) else stop)
    watched = start if start.stops.stops else None
    found = []
    for one in beam_search_ids(model, prompt_ids, search, tokenizer.eos_id, never, watched):
        text = start.branch()
        if watched:
            for token_id in one.ids:
                if token_id != tokenizer.eos_id:
                    text.push(token_id)
            text.finish()
        else:
            text.text = tokenizer.decode(prompt_ids + one.ids)
        found.append((one, text))
    return found
