"""Token ids to batches of inputs and targets shifted by one: padded sentences, or long streams.

Left out: reading ids from disk. The corpora of this course fit in memory many times over.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lmcore.errors import InputError

CLOSED = r"(?:(?<=[.!?])|(?<=[.!?][\"')\]])|(?<=[.!?][\"')\]]{2}))"  # a closing quote stays with its sentence
SENTENCE_END = re.compile(CLOSED + r"\s+(?=[\"'(\[A-Z$0-9])|\n+")


class Batch(NamedTuple):
    """``targets[:, t]`` is the token after ``inputs[:, t]``; both (B, T) int64.

    ``carries_state``: row b goes on where row b of the batch before stopped.
    """

    inputs: Tensor
    targets: Tensor
    carries_state: bool


def split_sentences(text: str) -> list[str]:
    """Sentences by a simple rule: a line end, or one of . ! ? before a blank and a capital.

    Good enough for mini-batches, not for linguistics: "Mr. Speaker" counts as two.
    """
    return [piece.strip() for piece in SENTENCE_END.split(text) if piece.strip()]


class SentenceBatches:
    """Sentences as rows of up to ``seq_len`` tokens, padded on the right, shuffled every epoch.

    The form of the reference course: a sentence of n tokens gives n - 1 predictions; what goes over
    ``seq_len`` is cut off. Each batch starts from an empty state. Sentences are arrays of ids, as
    `Tokenizer.encode_documents` gives them: ``<bos> ... <eos>``.
    """

    def __init__(
        self, sentences: Sequence[np.ndarray], batch_size: int, seq_len: int, pad_id: int, seed: int = 0
    ):
        _check_sizes(batch_size, seq_len - 1)
        _check_seed(seed)
        if not sentences:
            raise InputError("there are 0 sentences; at least 1 is needed")
        self.batch_size, self.pad_id, self.seed = batch_size, pad_id, seed
        self.rows = np.full((len(sentences), seq_len), pad_id, dtype=np.int32)
        for row, sentence in zip(self.rows, sentences, strict=True):
            row[: len(sentence)] = sentence[:seq_len]

    def __len__(self) -> int:
        """Batches in one epoch; the last may be smaller."""
        return -(-len(self.rows) // self.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch, in an order that depends on the seed and the number only."""
        order = np.random.default_rng([self.seed, number]).permutation(len(self.rows))
        for start in range(0, len(order), self.batch_size):
            rows = self.rows[order[start : start + self.batch_size]]
            length = int((rows != self.pad_id).sum(axis=1).max())
            yield shift(rows[:, :length], carries_state=False)


class StreamBatches:
    """All documents in one line, cut into ``batch_size`` rows that are read side by side.

    For truncated backpropagation through time: window k + 1 of a row follows window k, so that the
    trainer can carry the state. The documents are put in a new order every epoch, and the state
    starts afresh there. Raises InputError if the ids do not fill one window.
    """

    def __init__(self, documents: Sequence[np.ndarray], batch_size: int, seq_len: int, seed: int = 0):
        _check_sizes(batch_size, seq_len)
        _check_seed(seed)
        self.documents, self.seed = list(documents), seed
        self.batch_size, self.seq_len = batch_size, seq_len
        num_tokens = sum(map(len, self.documents))
        self.windows = (num_tokens - 1) // batch_size // seq_len
        if self.windows < 1:
            raise InputError(
                f"the text has {num_tokens} tokens, but one window of {batch_size} rows by {seq_len} "
                f"steps needs {batch_size * seq_len + 1}"
            )

    def __len__(self) -> int:
        """Batches in one epoch; a remainder shorter than a window per row is left for next time."""
        return self.windows

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch, in an order that depends on the seed and the number only."""
        order = np.random.default_rng([self.seed, number]).permutation(len(self.documents))
        ids = np.concatenate([self.documents[i] for i in order])
        length = self.windows * self.seq_len
        starts = np.arange(self.batch_size) * length
        rows = ids[starts[:, None] + np.arange(length + 1)]  # (B, length + 1)
        for k in range(self.windows):
            window = rows[:, k * self.seq_len : (k + 1) * self.seq_len + 1]
            yield shift(window, carries_state=k > 0)


class DocumentBatches:
    """Whole documents for evaluation, each read from its ``<bos>`` to its ``<eos>``.

    A few documents are read side by side, ``seq_len`` tokens at a time, with the state carried and
    padding behind the shorter ones. What the model has read before a token therefore depends on the
    document alone, never on ``batch_size`` or ``seq_len``: those are a matter of speed.
    """

    def __init__(
        self, documents: Sequence[np.ndarray], pad_id: int, batch_size: int = 16, seq_len: int = 256
    ):
        _check_sizes(batch_size, seq_len)
        if not any(len(document) > 1 for document in documents):
            raise InputError(f"{len(documents)} documents hold 0 predictions; 2 tokens are needed")
        self.documents = sorted(documents, key=len)  # equal lengths together: less padding
        self.pad_id, self.batch_size, self.seq_len = pad_id, batch_size, seq_len

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.documents), self.batch_size):
            group = self.documents[start : start + self.batch_size]
            rows = np.full((len(group), len(group[-1])), self.pad_id, dtype=np.int32)
            for row, document in zip(rows, group, strict=True):
                row[: len(document)] = document
            for left in range(0, rows.shape[1] - 1, self.seq_len):
                yield shift(rows[:, left : left + self.seq_len + 1], carries_state=left > 0)


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
