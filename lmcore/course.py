"""The text that the chapters of the course read, and the model that they read it with.

One setting, the environment variable NEXT_WORD_CORPUS, gives the whole course another text. Left out: records
of long runs, which are of the built-in text in any case.
"""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from lmcore.corpus import Corpus, Documents, builtin_corpus, split_documents
from lmcore.errors import InputError
from lmcore.record import committed
from lmcore.sources.cache import cache_folder
from lmcore.sources.source import open_corpus

SETTING = "NEXT_WORD_CORPUS"
MIN_CHARACTERS = 1_000_000  # then 5% for validation are enough for every chapter
MAX_CHARACTERS = 12_000_000  # as many as the built-in text has: no chapter takes longer
DOCUMENT = 10_000  # characters: chapter 16 reads the stretch [7,000, 8,500)
DOCUMENTS, MIN_DOCUMENTS = 240, 50  # the built-in text has 237; chapter 6 takes the 44th last for training


def course_source() -> str | None:
    """What NEXT_WORD_CORPUS holds: a source as for `open_corpus`. None, the built-in text, if it is unset."""
    return os.environ.get(SETTING) or None


def course_corpus() -> Corpus:
    """The text of the course: the built-in corpus, unless NEXT_WORD_CORPUS names another.

    Another text is brought into the shape of the built-in one: about 12,000,000 characters at most, in at
    most 240 documents of at least 10,000 characters each. Short documents are joined to their neighbours,
    long ones are cut at line ends. Raises InputError for a text of less than 1,000,000 characters, or of
    lines so long that it cannot be cut; and what `open_corpus` raises.
    """
    source = course_source()
    return builtin_corpus() if source is None else _shaped(source)


def course_run() -> Path:
    """The folder of the course's Elman network, trained on `course_corpus`: a checkpoint and its record.

    Raises InputError if no network was trained on this text yet.
    """
    if course_source() is None:
        return committed("elman_2x256")
    folder = run_folder(course_corpus())
    if not (folder / "record.json").is_file():  # written last
        raise InputError(f"the course has no network of {course_source()} yet; run: make model CORPUS=...")
    return folder


def run_folder(corpus: Corpus) -> Path:
    """Where the course's network of another text is kept."""
    return cache_folder() / "course" / corpus.sha256[:16]


@cache  # a chapter asks for the text, and for the network of this text
def _shaped(source: str) -> Corpus:
    corpus = open_corpus(source)
    return split_documents(corpus.name, _documents(source, _in_order(corpus.part("all"))))


def _documents(source: str, texts: Iterable[str]) -> list[str]:
    """Texts in their order as documents of the size that the chapters need; see `course_corpus`."""
    texts = list(texts)
    total = sum(map(len, texts))
    if total < MIN_CHARACTERS:
        raise InputError(f"the course needs {MIN_CHARACTERS:,} characters of text; {source} has {total:,}")
    size = max(DOCUMENT, total // DOCUMENTS)
    pieces = [piece for text in texts for piece in _gathered(text.splitlines(keepends=True), size, "")]
    documents = _gathered(pieces, size, "\n")
    if len(documents) < MIN_DOCUMENTS:
        raise InputError(
            f"{source} can be cut at line ends into {len(documents)} documents of {size:,} characters; the "
            f"course needs {MIN_DOCUMENTS}"
        )
    return documents


def _in_order(documents: Documents) -> Iterator[str]:
    """The texts as they stand in their files, up to the number of characters that the course reads."""
    total = 0
    for passage in sorted(documents.passage(index) for index in range(len(documents))):
        if total >= MAX_CHARACTERS:
            return
        total += passage.characters
        yield passage.read()


def _gathered(parts: Iterable[str], size: int, between: str) -> list[str]:
    """Neighbours joined until there are ``size`` characters; what is left at the end goes to the last."""
    groups: list[list[str]] = [[]]
    length = 0
    for part in parts:
        if length >= size:
            groups.append([])
            length = 0
        groups[-1].append(part)
        length += len(part)
    if length < size and len(groups) > 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return [between.join(group) for group in groups if group]
