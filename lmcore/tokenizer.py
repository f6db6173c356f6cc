"""Text to token ids and back: character, word, byte-level BPE. `lmcore.hub` adds published tokenizers.

The training and matching of tokens is the `tokenizers` library's work. This file adds what language
modelling needs and gets wrong easily: the same four special tokens everywhere, a decode that is the
exact inverse of encode, and the number of bytes that each token stands for.

Left out: text normalisation. The model sees the text as it is, but for numbers where ``numbers`` is given.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from lmcore.corpus import count_characters
from lmcore.errors import InputError
from lmcore.normalize import checked, number_normalizer, replace_numbers

PAD, UNK, BOS, EOS = "<pad>", "<unk>", "<bos>", "<eos>"
SPECIALS = [PAD, UNK, BOS, EOS]
IDS = ("pad_id", "unk_id", "bos_id", "eos_id")
CHARACTER = r"[\s\S]"
WORD = r" ?\w+(?:['’]\w+)?| ?[^\w\s]+|\s"  # a word or punctuation run owns the blank before it
BYTE_LEVEL_BLANK = "Ġ"  # byte-level tokenizers spell each byte as one visible character, `0x20` as this
CHARACTERS_AT_ONCE = 2**20  # the library's Encoding objects take 100 to 200 bytes per character
TRAINING_CHARACTERS = 2**25  # bounds the time and the memory of training a tokenizer


@dataclass(frozen=True)
class Tokenizer:
    """A `tokenizers.Tokenizer` and the ids of its special tokens.

    ``kind`` is "char", "word", "bpe", or the name of a pretrained tokenizer. ``unk_id`` is None
    where a pretrained tokenizer has no such token.
    """

    backend: tokenizers.Tokenizer
    kind: str
    pad_id: int
    unk_id: int | None
    bos_id: int
    eos_id: int

    @property
    def vocab_size(self) -> int:
        """Number of rows that a model needs, special tokens included."""
        return self.backend.get_vocab_size(with_added_tokens=True)

    @property
    def special_ids(self) -> list[int]:
        ids = {self.pad_id, self.unk_id, self.bos_id, self.eos_id}
        return sorted(i for i in ids if i is not None)

    def encode(self, text: str) -> list[int]:
        """Token ids of a piece of text, without special tokens."""
        return self.backend.encode(checked(text), add_special_tokens=False).ids

    def encode_documents(self, texts: Sequence[str]) -> list[np.ndarray]:
        """One int32 array ``<bos> tokens <eos>`` per text, encoded on all cores."""
        return [ids for group in self.encode_groups(texts) for ids in group]

    def encode_groups(self, texts: Iterable[str]) -> Iterator[list[np.ndarray]]:
        """The arrays of `encode_documents`, about a megabyte of text at a time: memory stays flat."""
        for group in _groups(texts):
            encodings = self.backend.encode_batch_fast(group, add_special_tokens=False)
            yield [np.array([self.bos_id, *item.ids, self.eos_id], dtype=np.int32) for item in encodings]

    def encode_prompt(self, text: str) -> list[int]:
        """``<bos>`` and the prompt's tokens; raises InputError for a piece never seen in training."""
        encoding = self.backend.encode(checked(text), add_special_tokens=False)
        unknown = [
            text[start:end]
            for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
            if token_id == self.unk_id
        ]
        if unknown:
            raise InputError(
                f"the prompt holds {unknown[0]!r}, which is not among the {self.vocab_size:,} "
                f"tokens of this {self.kind} tokenizer"
            )
        return [self.bos_id, *encoding.ids]

    def decode(self, ids: Iterable[int] | np.ndarray) -> str:
        """The text of the ids; special tokens give no text."""
        special = set(self.special_ids)
        text_ids = [int(i) for i in ids if int(i) not in special]
        return self.backend.decode(text_ids, skip_special_tokens=False)

    def tokens(self, ids: Iterable[int] | np.ndarray) -> list[str]:
        """The text of each id on its own, special tokens by name: for looking at, not for joining."""
        special = set(self.special_ids)
        return [
            self.backend.id_to_token(int(i))
            if int(i) in special
            else self.backend.decode([int(i)], skip_special_tokens=False)
            for i in ids
        ]

    def token_bytes(self) -> np.ndarray:
        """(V,) int64: how many bytes of text each token stands for; 0 for the special tokens.

        The sum over an encoded text is the text's length in UTF-8, so that bits per byte compares
        models with different tokenizers.
        """
        own = self.kind in ("char", "word")  # there a token is its text; else "▁" may mean a blank
        vocab = self.backend.get_vocab(with_added_tokens=True)
        byte_level = self.kind not in ("char", "word") and BYTE_LEVEL_BLANK in vocab
        sizes = np.zeros(self.vocab_size, dtype=np.int64)
        for token, token_id in vocab.items():
            length = len(token.encode()) if own else _byte_length(token)
            sizes[token_id] = len(token) if byte_level else length
        sizes[self.special_ids] = 0
        return sizes

    def to_json(self) -> str:
        """Everything about the tokenizer; two that encode differently differ here."""
        content = {
            "kind": self.kind,
            "pad_id": self.pad_id,
            "unk_id": self.unk_id,
            "bos_id": self.bos_id,
            "eos_id": self.eos_id,
            "backend": json.loads(self.backend.to_str()),
        }
        return json.dumps(content, ensure_ascii=False)

    def save(self, path: str | Path) -> None:
        """Write one JSON file that `load_tokenizer` reads."""
        Path(path).write_text(self.to_json(), encoding="utf-8")


def _groups(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in order, in lists that end with the text that reaches CHARACTERS_AT_ONCE."""
    group, characters = [], 0
    for text in texts:
        group.append(checked(text))
        characters += len(text)
        if characters >= CHARACTERS_AT_ONCE:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _byte_length(token: str) -> int:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return 1  # SentencePiece's byte fallback, "<0xE2>"
    return len(token.replace("▁", " ").encode())  # and its mark for a blank


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Read what `Tokenizer.save` wrote; raises InputError if the file is not such a file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"there is no tokenizer at {path}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a tokenizer saved by lmcore: {error}") from None
    return tokenizer_from_json(text, source=str(path))


def tokenizer_from_json(text: str, source: str) -> Tokenizer:
    """The opposite of `Tokenizer.to_json`; raises InputError naming ``source`` if it is not that."""
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or set(content) != {"kind", "backend", *IDS}:
            raise ValueError(f"it must hold kind, backend, {', '.join(IDS)} and nothing else")
        backend = tokenizers.Tokenizer.from_str(json.dumps(content.pop("backend")))
        tokenizer = Tokenizer(backend=backend, **content)
        _check_fields(tokenizer)
    except Exception as error:  # the library raises plain Exception
        raise InputError(f"{source} is not a tokenizer saved by lmcore: {error}") from None
    return tokenizer


def _check_fields(tokenizer: Tokenizer) -> None:
    if not isinstance(tokenizer.kind, str):
        raise ValueError(f"kind is {tokenizer.kind!r}; it must be a name")
    for name in IDS:
        token_id = getattr(tokenizer, name)
        if token_id is None and name == "unk_id":
            continue  # some published tokenizers have none
        if type(token_id) is not int or not 0 <= token_id < tokenizer.vocab_size:
            raise ValueError(f"{name} is {token_id!r}; it must be in [0, {tokenizer.vocab_size})")


def train_char(texts: Iterable[str], numbers: str | None = None) -> Tokenizer:
    """Every character of the texts is a token; any other is ``<unk>``."""
    characters = set()
    for text in texts:
        seen = checked(text)
        characters.update(seen if numbers is None else number_normalizer(numbers).normalize_str(seen))
    return _word_level("char", [*SPECIALS, *sorted(characters)], CHARACTER, numbers)


def train_word(texts: Sequence[str], vocab_size: int = 20_000, numbers: str | None = None) -> Tokenizer:
    """The most frequent words are tokens; any other is ``<unk>``.

    A word owns the blank before it, so that joining tokens gives the text back exactly; " law" and
    "law" are two tokens. Of a corpus over 32 Mi characters, only every k-th document is looked at,
    so that about as many are left.
    """
    _check_vocab_size(vocab_size, len(SPECIALS) + 1)
    learner = tokenizers.Tokenizer(models.WordLevel(unk_token=UNK))
    learner.pre_tokenizer = _pattern(WORD)
    replace_numbers(learner, numbers)
    trainer = trainers.WordLevelTrainer(vocab_size=vocab_size, special_tokens=SPECIALS, show_progress=False)
    learner.train_from_iterator(_sample(texts), trainer)
    vocab = learner.get_vocab()
    return _word_level("word", sorted(vocab, key=vocab.__getitem__), WORD, numbers)


def train_bpe(texts: Sequence[str], vocab_size: int = 8192, numbers: str | None = None) -> Tokenizer:
    """Byte-level byte-pair encoding (Sennrich 2016; bytes as in GPT-2): nothing is unknown.

    The row of ``<unk>`` is there, so that ids mean the same in every tokenizer, and is never used. Of a
    corpus over 32 Mi characters, every k-th document is looked at, as in `train_word`.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    _check_vocab_size(vocab_size, len(SPECIALS) + len(alphabet))
    learner = tokenizers.Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    replace_numbers(learner, numbers)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIALS,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    learner.train_from_iterator(_sample(texts), trainer)
    model = json.loads(learner.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    # Rebuilt without added tokens: "<eos>" typed in a text must stay text, not become the token.
    backend = tokenizers.Tokenizer(models.BPE(vocab=model["vocab"], merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    replace_numbers(backend, numbers)
    return _with_own_specials(backend, "bpe")


def _sample(texts: Sequence[str]) -> Iterator[str]:
    """Every k-th text, so that about TRAINING_CHARACTERS are left; all of a smaller corpus."""
    step = max(1, -(-count_characters(texts) // TRAINING_CHARACTERS))
    return (checked(texts[i]) for i in range(0, len(texts), step))


def _check_vocab_size(vocab_size: int, least: int) -> None:
    if vocab_size < least:
        raise InputError(f"vocab_size is {vocab_size}, but this tokenizer needs at least {least}")


def _pattern(regex: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(tokenizers.Regex(regex), behavior="isolated")


def _word_level(kind: str, vocab: list[str], regex: str, numbers: str | None) -> Tokenizer:
    ids = {token: i for i, token in enumerate(vocab)}
    backend = tokenizers.Tokenizer(models.WordLevel(ids, unk_token=UNK))
    backend.pre_tokenizer = _pattern(regex)
    backend.decoder = decoders.Fuse()
    replace_numbers(backend, numbers)
    return _with_own_specials(backend, kind)


def _with_own_specials(backend: tokenizers.Tokenizer, kind: str) -> Tokenizer:
    pad_id, unk_id, bos_id, eos_id = (backend.token_to_id(token) for token in SPECIALS)
    return Tokenizer(backend, kind, pad_id, unk_id, bos_id, eos_id)
