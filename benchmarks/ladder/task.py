"""The texts of the ladder as token ids, split once: training, validation, test."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

import lmcore
from lmcore.errors import InputError

VOCAB_SIZE, QUICK_VOCAB_SIZE = 8192, 300
QUICK_CHARACTERS = 6_000


@dataclass(frozen=True)
class Task:
    """One text, one tokenizer, three disjoint parts."""

    name: str
    sha256: str
    tokenizer: lmcore.Tokenizer
    train: list[np.ndarray]
    validation: list[np.ndarray]
    test: list[np.ndarray]  # empty where the text has none

    def evaluate(self, model, part: str, reset_every: int | None = None) -> lmcore.Evaluation:
        """Whole documents, each read from its beginning; the state carried, or emptied so often."""
        batches = lmcore.DocumentBatches(getattr(self, part), self.tokenizer.pad_id, reset_every=reset_every)
        token_bytes = self.tokenizer.token_bytes()
        return lmcore.evaluate(model, batches, self.tokenizer.pad_id, token_bytes, self.tokenizer.unk_id)

    @property
    def num_train_tokens(self) -> int:
        return sum(map(len, self.train))


def read(text: str, quick: bool, path: Path | None) -> Task:
    return _sotu(quick) if text == "sotu" else _characters(quick, path)


@cache
def _sotu(quick: bool) -> Task:
    """The built-in corpus by whole documents, BPE trained on its training part."""
    corpus = lmcore.builtin_corpus()
    parts = {name: list(getattr(corpus, name)) for name in ("train", "validation", "test")}
    if quick:
        parts = {name: [texts[0][:QUICK_CHARACTERS]] for name, texts in parts.items()}
    tokenizer = lmcore.train_bpe(parts["train"], QUICK_VOCAB_SIZE if quick else VOCAB_SIZE)
    ids = {name: list(tokenizer.encode_documents(texts)) for name, texts in parts.items()}
    return Task("sotu", corpus.sha256, tokenizer, **ids)


@cache
def _characters(quick: bool, path: Path | None) -> Task:
    """One text by characters: its first nine tenths for training, the rest for validation.

    The cut is the one that others use for Tiny Shakespeare; there is no test part. No ``<bos>`` or
    ``<eos>``: the text has neither beginning nor end where it is cut.
    """
    if path is None or not path.is_file():
        raise InputError(f"the character ladder needs a text, and there is none at {path}: give --text")
    content = path.read_bytes()
    text = content.decode("utf-8")[: QUICK_CHARACTERS if quick else None]
    tokenizer = lmcore.train_char([text])
    cut = len(text) * 9 // 10
    train, validation = (ids[1:-1] for ids in tokenizer.encode_documents([text[:cut], text[cut:]]))
    return Task(path.stem, sha256(content).hexdigest(), tokenizer, [train], [validation], [])
