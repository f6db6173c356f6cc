"""How good a model is: nats per token, perplexity, bits per byte, word perplexity; one evaluator for all.

Nats are summed, counts are summed, and there is one division at the end. (A mean of per-batch
perplexities is a different and larger number.) What the model remembers when it predicts a token is for
the batches to say: `lmcore.data.DocumentBatches` carries the state through a document, or empties it
every so many tokens.

Left out: windows that overlap, in which only the later tokens are scored. They give a model without
memory some context at a multiple of the work; a carried state gives all of it at none.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lmcore.data import Batch
from lmcore.distributed import World
from lmcore.errors import InputError
from lmcore.loss import next_token_nats

BINS = 64  # of positions; the last ends at 2**63


@dataclass(frozen=True)
class PositionBin:
    """Sums over the tokens that were predicted from ``first`` to ``last`` tokens since the empty state.

    The token just read counts: position 1 is the prediction after the first token.
    """

    first: int
    last: int
    total_nats: float
    num_tokens: int

    @property
    def nats_per_token(self) -> float:
        return self.total_nats / self.num_tokens

    def __str__(self) -> str:
        return (
            f"{self.first:>7,} to {self.last:>7,} tokens read: "
            f"{self.nats_per_token:6.3f} nats/token over {self.num_tokens:>9,} tokens"
        )


@dataclass(frozen=True)
class Evaluation:
    """Sums over every predicted token of a text; the properties divide them.

    ``<eos>`` is predicted like any token: its nats are in the sum, though it is no byte and no word.
    """

    total_nats: float
    num_tokens: int
    num_bytes: int | None  # None: unknown, or the targets hold <unk>, whose bytes nobody predicted
    num_words: int | None = None  # of the text, see `count_words`; None for the same two reasons
    state: str | None = None  # "carried" or "reset ...": what the model remembered; None: not said
    by_position: tuple[PositionBin, ...] = ()  # positions 1, 2, 3-4, 5-8, 9-16, ...; empty: not asked for

    @property
    def nats_per_token(self) -> float:
        return self.total_nats / self.num_tokens

    @property
    def perplexity(self) -> float:
        """exp(nats per token): among how many equally likely tokens the model still hesitates."""
        return _exp(self.nats_per_token)

    @property
    def bits_per_byte(self) -> float | None:
        """Comparable between tokenizers; None where the number of bytes is not known."""
        return self.total_nats / math.log(2) / self.num_bytes if self.num_bytes else None

    @property
    def word_perplexity(self) -> float | None:
        """exp(nats per word), whatever the tokens are: as comparable as bits per byte, and as often None."""
        return _exp(self.total_nats / self.num_words) if self.num_words else None

    def __str__(self) -> str:
        bpb = "unknown" if self.bits_per_byte is None else f"{self.bits_per_byte:.3f}"
        words = "" if self.word_perplexity is None else f", word perplexity {self.word_perplexity:,.1f}"
        state = "" if self.state is None else f", state {self.state}"
        return (
            f"{self.nats_per_token:.3f} nats/token, perplexity {self.perplexity:,.1f}, "
            f"{bpb} bits/byte{words} over {self.num_tokens:,} tokens{state}"
        )


def _exp(nats: float) -> float:
    return math.inf if nats > 700 else math.exp(nats)  # a diverged model; exp(710) overflows


def count_words(texts: Iterable[str]) -> int:
    """Pieces between white space, as `str.split` finds them; "it's" and "sea," are one word each."""
    return sum(len(text.split()) for text in texts)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    pad_id: int,
    token_bytes: np.ndarray | None = None,
    unk_id: int | None = None,
    world: World | None = None,
    num_words: int | None = None,
    by_position: bool = False,
) -> Evaluation:
    """Score every target that is not padding; the state is carried where the batches say so.

    ``token_bytes`` (V,) from `Tokenizer.token_bytes` gives bits per byte, ``num_words`` (the
    `count_words` of the same text that the batches hold) word perplexity. ``by_position`` sums by the number
    of tokens read since the state was empty, too; batches are cut finer for it, and no number changes. Of
    several processes in a ``world`` each scores its share of the rows, and all get the sum.

    Raises InputError for a token outside the vocabulary, for a text without predictions, and if the loss
    is not a number. (It may be infinite: a model of counts can call a token impossible.)
    """
    scorer = _Scorer(model, pad_id, token_bytes, unk_id, world or World(), by_position)
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            scorer.read(batch)
    finally:
        model.train(was_training)
    nats, tokens, num_bytes, num_unknown = scorer.sums()
    _check_total(model, sum(nats), sum(tokens))
    return Evaluation(
        total_nats=sum(nats),
        num_tokens=sum(tokens),
        num_bytes=num_bytes if token_bytes is not None and not num_unknown else None,
        num_words=None if num_unknown else num_words,
        state=getattr(batches, "state", "carried" if scorer.has_carried else "reset"),
        by_position=_position_bins(nats, tokens) if by_position else (),
    )


class _Scorer:
    """One process's running sums, on the device, since reading a number waits for a GPU.

    Nothing is kept in a list: small tensors between the large buffers of the loss keep those from being
    used again, and memory grows with every batch.
    """

    def __init__(self, model, pad_id, token_bytes, unk_id, world, by_position):
        self.model, self.pad_id, self.unk_id = model, pad_id, unk_id
        self.world, self.by_position = world, by_position
        tensors = [*model.parameters(), *model.buffers()]
        self.device = tensors[0].device if tensors else torch.device("cpu")
        self.vocab_size = _vocab_size(model, token_bytes)
        self.token_bytes = None if token_bytes is None else torch.as_tensor(token_bytes, device=self.device)
        where = "cpu" if self.device.type == "mps" else self.device  # no float64 there
        self.nats = torch.zeros(BINS, dtype=torch.float64, device=where)
        self.tokens = [0] * BINS
        self.text = torch.zeros(2, dtype=torch.int64, device=self.device)  # bytes, targets that are <unk>
        self.state, self.position, self.has_carried = None, 0, False

    def read(self, batch: Batch) -> None:
        """Score this process's rows of the next batch."""
        _check_ids(batch, self.vocab_size)
        if not batch.carries_state:
            self.state, self.position = None, 0
        self.has_carried |= batch.carries_state
        share = batch.split(self.world.size)[self.world.rank]
        for bin_, part in _parts(share, self.position) if self.by_position else [(0, share)]:
            self._score(part, bin_)
        self.position += batch.inputs.shape[1]

    def _score(self, batch: Batch, bin_: int) -> None:
        inputs, targets = batch.inputs.to(self.device), batch.targets.to(self.device)
        expected = None if batch.lengths is None else int(batch.lengths.sum())
        nats, count, self.state = next_token_nats(
            self.model, inputs, targets, self.pad_id, self.state, expected
        )
        self.nats[bin_] += nats.to(self.nats.device, torch.float64)
        self.tokens[bin_] += count
        if self.token_bytes is not None:
            self.text[0] += self.token_bytes[targets].sum()
        if self.unk_id is not None:
            self.text[1] += (targets == self.unk_id).sum()

    def sums(self) -> tuple[list[float], list[int], int, int]:
        """Nats and tokens by bin, bytes, unknown targets; of all processes together."""
        total = self.world.sum([*self.nats.tolist(), *self.tokens, *self.text.tolist()])
        counts = [int(value) for value in total[BINS:]]
        return total[:BINS], counts[:BINS], *counts[BINS:]


def _parts(batch: Batch, position: int) -> Iterator[tuple[int, Batch]]:
    """The batch cut at powers of two, each part with its bin; ``position`` tokens were read before it."""
    start, width = 0, batch.inputs.shape[1]
    while start < width:
        bin_ = (position + start).bit_length()
        stop = min(width, 2**bin_ - position)
        lengths = None if batch.lengths is None else np.clip(batch.lengths - start, 0, stop - start)
        inputs, targets = (ids[:, start:stop] for ids in batch[:2])
        yield bin_, Batch(inputs, targets, batch.carries_state or start > 0, lengths)
        start = stop


def _position_bins(nats: list[float], tokens: list[int]) -> tuple[PositionBin, ...]:
    """Bin b ends at position 2**b."""
    edges = [0, *(2**b for b in range(BINS))]
    sums = zip(edges, edges[1:], nats, tokens, strict=False)
    return tuple(PositionBin(first + 1, last, *both) for first, last, *both in sums if both[1])


def _vocab_size(model: nn.Module, token_bytes: np.ndarray | None) -> int | None:
    """The number of tokens that model and tokenizer both know; None where neither says."""
    own = getattr(getattr(model, "config", model), "vocab_size", None)
    sizes = [own, None if token_bytes is None else len(token_bytes)]
    return min((size for size in sizes if size is not None), default=None)


def _check_ids(batch: Batch, vocab_size: int | None) -> None:
    """Before the model looks them up: on a GPU a wrong id ends the whole process."""
    if vocab_size is None or not batch.targets.numel():
        return
    low, high = _extremes(batch.inputs, batch.targets)
    if low < 0 or high >= vocab_size:
        raise InputError(f"token {low if low < 0 else high} is outside vocab_size {vocab_size}")


def _extremes(*ids: Tensor) -> tuple[int, int]:
    low, high = torch.cat([part.flatten() for part in ids]).aminmax()
    return int(low), int(high)


def _check_total(model: nn.Module, total_nats: float, num_tokens: int) -> None:
    if not num_tokens:
        raise InputError("the text to score holds 0 predictions; at least 1 is needed")
    if math.isnan(total_nats):
        for name, parameter in model.named_parameters():
            bad = int((~parameter.isfinite()).sum())
            if bad:
                raise InputError(f"the loss is nan: {name} holds {bad:,} values that are nan or infinite")
        raise InputError("the loss is nan, although every parameter of the model is a finite number")
