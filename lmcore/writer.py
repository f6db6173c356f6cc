"""Several texts written at once, one token each per step, by any model under the contract.

A token costs one step of the model, however long the text is: the state is carried. Left out: reading a
beginning that several prompts share only once.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcore.errors import InputError
from lmcore.model import LanguageModel, map_state
from lmcore.output import SoftmaxOutput
from lmcore.sampling import Sampling, draw_rows, next_token_probs, penalise_repeats

ALL = slice(None)
POINTS_AHEAD = 64  # random numbers that are drawn at once for a row


class Token(NamedTuple):
    """One token of one row. The scores are natural logarithms, and None unless they were asked for."""

    row: int
    id: int
    log_prob: float | None  # of its probability under the model, every token of the vocabulary allowed
    drawn_log_prob: float | None  # under the distribution that it was drawn from; 0 if greedy


class Points:
    """Random numbers in [0, 1), as many per row as needed; a row's depend on its own seed only."""

    def __init__(self, seeds: Iterable[int]):
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.drawn: list[list[float]] = [[] for _ in self.generators]

    def at(self, row: int, place: int) -> float:
        """The row's number at this place; several are drawn at once, because asking takes longest."""
        drawn = self.drawn[row]
        while place >= len(drawn):
            more = torch.rand(POINTS_AHEAD, dtype=torch.float64, generator=self.generators[row])
            drawn += more.tolist()
        return drawn[place]


class Writer:
    """Goes on from prompts of any lengths in one pass: call `step` as long as there are ``rows``.

    There is no padding. At every moment all rows have been fed equally many tokens, so that their states fit
    together whatever they are made of; a row whose prompt is longer still reads it while others write. Each
    row gets the tokens that it would get alone, with the seed ``sampling.seed`` plus its index: to the bit
    the same random numbers, and the same logits apart from rounding, which differs between matrix products
    of one row and of many.

    A prompt may be longer than a Transformer's context: it is read through the bounded cache, as any text.
    Raises InputError for a prompt of 0 tokens.
    """

    def __init__(
        self,
        model: nn.Module,
        prompts: Sequence[list[int]],
        sampling: Sampling,
        eos_id: int,
        never: Sequence[int] = (),
        scores: bool = False,
    ):
        for index, prompt in enumerate(prompts):
            if not prompt:
                raise InputError(f"prompt {index} has 0 tokens; at least 1 is needed, such as <bos>")
        self.model, self.sampling, self.eos_id, self.scores = model, sampling, eos_id, scores
        self.device = device_of(model)
        # there is no float64 on Apple's GPUs, which drawing needs
        self.draws_on = torch.device("cpu") if self.device.type == "mps" else self.device
        self.never = torch.tensor(never, dtype=torch.int64, device=self.draws_on)
        self.prompts = prompts
        self.texts = [list(prompt) for prompt in prompts]  # a prompt and what was written
        self.rows = list(range(len(prompts))) if sampling.max_new_tokens else []  # not ended yet
        self.points = Points(sampling.seed + row for row in self.rows)
        self.seen: Bool[Tensor, "B V"] | None = None  # of all rows; only for the repetition penalty
        self.state: Any = None
        self.fed = 0  # tokens of every row in ``rows`` that the model has read

    def new_ids(self, row: int) -> list[int]:
        """What was written after the prompt of this row."""
        return self.texts[row][len(self.prompts[row]) :]

    @torch.inference_mode()
    def step(self) -> list[Token]:
        """Feed what all rows have ready, and write one token in each row that has nothing left to read.

        Rows end with ``eos_id``, which is then their last token, or after ``max_new_tokens``. Raises
        InputError if a logit is no number, as damaged weights or a diverged run give, or if no token that
        may be written has a probability above 0.
        """
        texts = [self.texts[row] for row in self.rows]
        shortest = min(map(len, texts))
        tokens = torch.tensor([text[self.fed : shortest] for text in texts], device=self.device)
        writing = [i for i, text in enumerate(texts) if len(text) == shortest]
        wanted = writing if len(writing) < len(texts) else ALL
        logits, self.state = next_logits(self.model, tokens, self.state, wanted)
        self.fed = shortest
        written = self._write([self.rows[i] for i in writing], logits.to(self.draws_on, torch.float32))
        self.end([token.row for token in written if self._is_over(token)])
        return written

    @torch.inference_mode()
    def end(self, rows: Collection[int]) -> None:
        """These rows write no more, and cost no more."""
        kept = [i for i, row in enumerate(self.rows) if row not in rows]
        if len(kept) < len(self.rows):
            self.rows = [self.rows[i] for i in kept]
            self.state = select_rows(self.state, kept, self.device)

    def _is_over(self, token: Token) -> bool:
        length = len(self.texts[token.row]) - len(self.prompts[token.row])
        return token.id == self.eos_id or length == self.sampling.max_new_tokens

    def _write(self, rows: list[int], logits: Float[Tensor, "B V"]) -> list[Token]:
        self.sampling.check_vocabulary(logits.shape[1])
        log_probs = logits.log_softmax(dim=-1) if self.scores else None
        logits.index_fill_(1, self.never, -torch.inf)
        seen = self._seen(logits)
        chosen, probs = self._choose(rows, logits, None if seen is None else seen[rows])
        ids = chosen.tolist()
        for row, token_id in zip(rows, ids, strict=True):
            self.texts[row].append(token_id)
        if seen is not None:
            seen[rows, ids] = True
        if log_probs is None:
            return [Token(row, token_id, None, None) for row, token_id in zip(rows, ids, strict=True)]
        place = chosen[:, None]
        drawn = torch.ones(len(ids), 1) if probs is None else probs.gather(1, place)
        scores = (log_probs.gather(1, place), drawn.log())
        return list(map(Token, rows, ids, *(column.squeeze(1).tolist() for column in scores)))

    def _choose(
        self, rows: list[int], logits: Float[Tensor, "B V"], seen: Bool[Tensor, "B V"] | None
    ) -> tuple[Int[Tensor, " B"], Float[Tensor, "B V"] | None]:
        """One id per row, and the distribution that it was drawn from, if it was drawn."""
        if self.sampling.is_greedy:
            if seen is not None:
                logits = penalise_repeats(logits, seen, self.sampling.repetition_penalty)
            best, ids = logits.max(dim=-1)
            check_finite(best)
            return ids, None
        check_finite(logits.amax(dim=-1))
        probs = next_token_probs(logits, self.sampling, seen)
        points = [self.points.at(row, len(self.texts[row]) - len(self.prompts[row])) for row in rows]
        return draw_rows(probs, torch.tensor(points, dtype=torch.float64)), probs

    def _seen(self, like: Float[Tensor, "B V"]) -> Bool[Tensor, "all V"] | None:
        """Which tokens each text holds, prompt included; made when the first token is written."""
        if self.seen is None and self.sampling.repetition_penalty != 1:
            self.seen = torch.zeros(len(self.texts), like.shape[1], dtype=torch.bool, device=like.device)
            for row, text in zip(self.seen, self.texts, strict=True):
                row[text] = True
        return self.seen


def next_logits(
    model: nn.Module, tokens: Int[Tensor, "B T"], state: Any, rows: list[int] | slice = ALL
) -> tuple[Float[Tensor, "rows V"], Any]:
    """Logits of what follows the last token in these rows, to be changed at will, and the state of all.

    A network makes no logits for the tokens before, which would need (B, T, V) numbers.
    """
    if isinstance(model, LanguageModel):
        hidden, state = model.hidden(tokens, state)
        return model.output(hidden[rows, -1]), state
    logits, state = model(tokens, state)
    return logits[rows, -1].clone(), state  # a model may hand out its own table


def check_finite(largest: Float[Tensor, " B"]) -> None:
    """Raises InputError unless the largest logit of every row is a number; it is NaN if any logit is."""
    if largest.isfinite().all():
        return
    bad = largest[~largest.isfinite()][0].item()
    reason = "the model's weights are damaged, or it diverged"
    if bad == -math.inf:  # counts alone, without smoothing, can say so
        reason = "no token that may be written has a probability above 0"
    raise InputError(f"the largest logit is {bad:g}: {reason}")


def select_rows(state: Any, rows: list[int], device: torch.device) -> Any:
    """The state of these rows, in this order and as often as they are named."""
    index = torch.tensor(rows, dtype=torch.int64, device=device)
    return map_state(lambda part: part.index_select(0, index), state)


def device_of(model: nn.Module) -> torch.device:
    """Where the model's tensors are; the CPU for a model without any."""
    return next((t.device for t in [*model.parameters(), *model.buffers()]), torch.device("cpu"))


@contextmanager
def set_up_for_writing(model: nn.Module, rows: int, steps: int) -> Iterator[None]:
    """Evaluation mode, and the output matrix as it is read fastest; afterwards all is as it was.

    Leave the model's weights alone meanwhile. For a few steps, for more than two rows, or on a GPU,
    another layout of the matrix does not pay.
    """
    was_training, output = model.training, getattr(model, "output", None)
    pays = isinstance(output, SoftmaxOutput) and output.weight.device.type == "cpu"
    model.eval()
    try:
        with output.by_columns() if pays and rows <= 2 and steps >= 16 else nullcontext():
            yield
    finally:
        model.train(was_training)
