"""Token ids to batches of inputs and targets shifted by one: padded sentences, or long streams.

No batch costs Python work per sentence, and no class copies the ids that it is given as `Tokens`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lmcore.corpus import Corpus, count_characters
from lmcore.errors import InputError
from lmcore.tokenizer import Tokenizer
from lmcore.tokens import Tokens, token_file

SENTENCES_SHUFFLED = 2**20

CLOSED = r"(?:(?<=[.!?])|(?<=[.!?][\"')\]])|(?<=[.!?][\"')\]]{2}))"  # a closing quote stays with its sentence
SENTENCE_END = re.compile(CLOSED + r"\s+(?=[\"'(\[A-Z$0-9])|\n+")


class Batch(NamedTuple):
    """``targets[:, t]`` is the token after ``inputs[:, t]``; both (B, T) int64.

    ``carries_state``: row b goes on where row b of the batch before stopped. ``lengths`` (B,): how
    many targets of each row are not padding; None where nobody has counted.
    """

    inputs: Tensor
    targets: Tensor
    carries_state: bool
    lengths: np.ndarray | None = None

    def split(self, parts: int) -> list["Batch"]:
        """The rows in ``parts`` batches, in order; sizes differ by at most one.

        For accumulating gradients and for several processes. With more parts than rows, the last
        parts have no rows. Raises InputError if ``parts`` is below 1.
        """
        if parts < 1:
            raise InputError(f"a batch cannot be split into {parts} parts; at least 1 is needed")
        inputs = self.inputs.tensor_split(parts)
        targets = self.targets.tensor_split(parts)
        lengths = [None] * parts if self.lengths is None else np.array_split(self.lengths, parts)
        rows = zip(inputs, targets, lengths, strict=True)
        return [Batch(x, y, self.carries_state, length) for x, y, length in rows]


def split_sentences(text: str) -> list[str]:
    """Sentences by a simple rule: a line end, or one of . ! ? before a blank and a capital.

    Good enough for mini-batches, not for linguistics: "Mr. Speaker" counts as two.
    """
    return [piece.strip() for piece in SENTENCE_END.split(text) if piece.strip()]


def corpus_tokens(
    corpus: Corpus,
    part: str,
    unit: str,
    tokenizer: Tokenizer,
    folder: str | Path,
    characters: int | None = None,
    log: Callable[[str], None] | None = None,
) -> Tokens:
    """The ids of one part of a corpus, from a file in ``folder`` that is written the first time.

    ``part``: "train", "validation", "test", or "all" of it. ``unit``: "documents" or "sentences".
    ``characters``: take every k-th document only, so that no more than about so many are left. ``log``
    is told where the file is. Raises InputError for ``characters`` below 1.
    """
    if characters is not None and characters < 1:
        raise InputError(f"the number of characters is {characters}; it must be at least 1")
    texts = corpus.part(part)
    step = 1 if characters is None else max(1, -(-count_characters(texts) // characters))
    texts = texts[::step]
    if unit == "sentences":
        texts = (sentence for text in texts for sentence in split_sentences(text))
    about = {"corpus": corpus.sha256, "part": f"{part}[::{step}]", "unit": unit}
    return token_file(tokenizer, texts, about, folder, log)


class SentenceBatches:
    """Sentences as rows of up to ``seq_len`` tokens, padded on the right, shuffled every epoch.

    The form of the reference course: a sentence of n tokens gives n - 1 predictions; what goes over
    ``seq_len`` is cut off. Each batch starts from an empty state. Sentences are arrays of ids, as
    `Tokenizer.encode_documents` gives them: ``<bos> ... <eos>``.

    More than 2**20 sentences are shuffled in blocks of so many: the blocks among each other, and the
    sentences within each block. This bounds the memory.
    """

    def __init__(
        self, sentences: Sequence[np.ndarray], batch_size: int, seq_len: int, pad_id: int, seed: int = 0
    ):
        _check_sizes(batch_size, seq_len - 1)
        _check_seed(seed)
        self.sentences = Tokens.of(sentences)
        if not len(self.sentences):
            raise InputError("there are 0 sentences; at least 1 is needed")
        self.batch_size, self.seq_len, self.pad_id, self.seed = batch_size, seq_len, pad_id, seed

    def __len__(self) -> int:
        """Batches in one epoch; the last may be smaller."""
        return -(-len(self.sentences) // self.batch_size)

    def to(self, device: torch.device) -> "SentenceBatches":
        """Make batches on a CUDA device if the ids fit there, else stay; returns self."""
        self.sentences = self.sentences.to(device)
        return self

    def batch(self, numbers: np.ndarray) -> Batch:
        """The sentences with these numbers, one row each, as wide as the longest of them needs."""
        starts = self.sentences.starts[numbers]
        lengths = np.minimum(self.sentences.starts[numbers + 1] - starts, self.seq_len)
        return _rows(self.sentences, starts, lengths, self.pad_id, carries_state=False)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches from ``start`` on (no others are made), in an order that seed and number decide."""
        left_over, to_skip = np.empty(0, dtype=np.int64), start * self.batch_size
        for block in self._shuffled_blocks(number):
            order = np.concatenate([left_over, block])
            whole = len(order) - len(order) % self.batch_size
            for first in range(min(to_skip, whole), whole, self.batch_size):
                yield self.batch(order[first : first + self.batch_size])
            left_over, to_skip = order[whole:], max(to_skip - whole, 0)
        if len(left_over) and not to_skip:
            yield self.batch(left_over)

    def _shuffled_blocks(self, number: int) -> Iterator[np.ndarray]:
        random = np.random.default_rng([self.seed, number])
        total = len(self.sentences)
        for block in random.permutation(-(-total // SENTENCES_SHUFFLED)):  # one block draws no number
            start = int(block) * SENTENCES_SHUFFLED
            yield start + random.permutation(min(SENTENCES_SHUFFLED, total - start))


class StreamBatches:
    """All documents in one line, cut into ``batch_size`` rows that are read side by side.

    For truncated backpropagation through time: window k + 1 of a row follows window k, so that the
    trainer can carry the state. The documents are put in a new order every epoch, and the state
    starts afresh there. Raises InputError if the ids do not fill one window.
    """

    def __init__(self, documents: Sequence[np.ndarray], batch_size: int, seq_len: int, seed: int = 0):
        _check_sizes(batch_size, seq_len)
        _check_seed(seed)
        self.documents, self.seed = Tokens.of(documents), seed
        self.batch_size, self.seq_len = batch_size, seq_len
        num_tokens = len(self.documents.ids)
        self.windows = (num_tokens - 1) // batch_size // seq_len
        if self.windows < 1:
            raise InputError(
                f"the text has {num_tokens} tokens, but one window of {batch_size} rows by {seq_len} "
                f"steps needs {batch_size * seq_len + 1}"
            )

    def __len__(self) -> int:
        """Batches in one epoch; a remainder shorter than a window per row is left for next time."""
        return self.windows

    def to(self, device: torch.device) -> "StreamBatches":
        """Make batches on a CUDA device if the ids fit there, else stay; returns self."""
        self.documents = self.documents.to(device)
        return self

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches from ``start`` on (no others are made), in an order that seed and number decide."""
        starts = self.documents.starts
        order = np.random.default_rng([self.seed, number]).permutation(len(self.documents))
        ends = np.cumsum(np.diff(starts)[order])  # in the line
        shifts = starts[order + 1] - ends  # from a place in the line to the one in the flat ids
        row_starts = np.arange(self.batch_size)[:, None] * (self.windows * self.seq_len)
        for k in range(start, self.windows):
            line = row_starts + np.arange(k * self.seq_len, (k + 1) * self.seq_len + 1)  # (B, T + 1)
            places = line + shifts[np.searchsorted(ends, line, side="right")]
            ids = self.documents.gather(places, pad_id=0)  # there is no padding
            full = np.full(self.batch_size, self.seq_len)
            yield Batch(ids[:, :-1], ids[:, 1:], carries_state=k > 0, lengths=full)


class DocumentBatches:
    """Whole documents for evaluation, each read from its ``<bos>`` to its ``<eos>``.

    A few documents are read side by side, ``seq_len`` tokens at a time, with the state carried and
    padding behind the shorter ones. What the model has read before a token therefore depends on the
    document alone, never on ``batch_size`` or ``seq_len``: those are a matter of speed.

    ``reset_every`` k empties the state after every k predictions of a document, for comparison with
    models that read windows of k tokens; every token but the document's first is still predicted once.
    Raises InputError for an empty document, for nothing to predict, for a size below 1.
    """

    def __init__(
        self,
        documents: Sequence[np.ndarray],
        pad_id: int,
        batch_size: int = 16,
        seq_len: int = 256,
        reset_every: int | None = None,
    ):
        _check_sizes(batch_size, seq_len)
        if reset_every is not None and reset_every < 1:
            raise InputError(f"reset_every is {reset_every}; it must be at least 1")
        self.documents = Tokens.of(documents)
        lengths = np.diff(self.documents.starts)
        if not (lengths > 1).any():
            raise InputError(f"{len(documents)} documents hold 0 predictions; 2 tokens are needed")
        if not lengths.all():
            raise InputError(f"document {int(lengths.argmin())} of {len(lengths)} (from 0) has 0 tokens")
        self.pad_id, self.batch_size, self.seq_len = pad_id, batch_size, seq_len
        self.reset_every = reset_every

    @property
    def state(self) -> str:
        """In words, for the result of `lmcore.evaluate`."""
        return "carried" if self.reset_every is None else f"reset every {self.reset_every} tokens"

    def to(self, device: torch.device) -> "DocumentBatches":
        """Make batches on a CUDA device if the ids fit there, else stay; returns self."""
        self.documents = self.documents.to(device)
        return self

    def __iter__(self) -> Iterator[Batch]:
        all_starts, lengths = self._stretches()
        order = np.argsort(lengths, kind="stable")  # equal lengths together: less padding
        for start in range(0, len(order), self.batch_size):
            group = order[start : start + self.batch_size]
            starts, sizes = all_starts[group], lengths[group]
            for left in range(0, int(sizes[-1]) - 1, self.seq_len):
                window = np.clip(sizes - left, 0, self.seq_len + 1)
                yield _rows(self.documents, starts + left, window, self.pad_id, carries_state=left > 0)

    def _stretches(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each stretch that is read from an empty state starts, and its number of tokens.

        The last token of one is the first of the next: as a target there, as an input here.
        """
        starts, lengths = self.documents.starts[:-1], np.diff(self.documents.starts)
        if self.reset_every is None:
            return starts, lengths
        counts = -(-(lengths - 1) // self.reset_every)  # stretches of each document
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        read_before = number * self.reset_every
        lengths = np.minimum(np.repeat(lengths, counts) - read_before, self.reset_every + 1)
        return np.repeat(starts, counts) + read_before, lengths


def _rows(tokens: Tokens, starts: np.ndarray, lengths: np.ndarray, pad_id: int, carries_state: bool) -> Batch:
    """Stretches of the flat ids as rows of a batch, padded on the right."""
    offsets = np.arange(lengths.max())
    places = np.where(offsets < lengths[:, None], starts[:, None] + offsets, -1)
    ids = tokens.gather(places, pad_id)
    return Batch(ids[:, :-1], ids[:, 1:], carries_state, np.maximum(lengths - 1, 0))


def shift(rows: np.ndarray, carries_state: bool) -> Batch:
    """Rows of T + 1 ids to T inputs and the T targets that follow them."""
    ids = torch.from_numpy(rows.astype(np.int64))
    return Batch(ids[:, :-1], ids[:, 1:], carries_state)


def _check_sizes(batch_size: int, seq_len: int) -> None:
    if batch_size < 1 or seq_len < 1:
        raise InputError(
            f"batch_size is {batch_size} and there would be {seq_len} predictions per row; "
            "both must be at least 1"
        )


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise InputError(f"seed is {seed}; it must be in [0, 2**63)")
