"""Token files: ids survive the disk, are found again only for the same text and tokenizer, and are whole."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lmcore.tokens
from lmcore.errors import InputError
from lmcore.tokenizer import train_char
from lmcore.tokens import HEADER_BYTES, Tokens, token_file

ABOUT = {"corpus": "00", "part": "train", "unit": "documents"}
ARRAYS = st.lists(st.lists(st.integers(0, 70_000), max_size=6).map(lambda ids: np.array(ids, dtype=np.int32)))
MANY = 40_000  # characters; more than 32,767, so that a signed 16-bit id would turn negative


@pytest.fixture
def path(char, documents, tmp_path) -> Path:
    """A token file of the documents."""
    token_file(char, documents, ABOUT, tmp_path)
    (path,) = tmp_path.iterdir()
    return path


def same(tokens: Tokens, arrays: list[np.ndarray]) -> bool:
    return len(tokens) == len(arrays) and all(map(np.array_equal, tokens, arrays))


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


@given(ARRAYS)
def test_tokens_are_the_arrays_they_were_made_of(arrays):
    tokens = Tokens.of(arrays)
    assert same(tokens, arrays)
    assert Tokens.of(tokens) is tokens
    assert tokens.starts.tolist() == [0, *np.cumsum([len(array) for array in arrays]).tolist()]
    if arrays:
        assert np.array_equal(tokens[-1], arrays[-1])
    for outside in (len(arrays), -len(arrays) - 1):
        with pytest.raises(IndexError):
            tokens[outside]


@given(ARRAYS, st.data())
def test_gather_takes_ids_from_places_and_padding_elsewhere(arrays, data):
    tokens = Tokens.of([np.array([7]), *arrays])
    places = data.draw(st.lists(st.integers(-1, len(tokens.ids) - 1), min_size=1, max_size=8))
    rows = tokens.gather(np.array([places]), pad_id=90_000)
    assert rows.dtype == torch.int64
    assert rows.tolist() == [[90_000 if place < 0 else int(tokens.ids[place]) for place in places]]


@given(ARRAYS)
def test_predicted_tokens_are_all_but_the_first_of_each_document(arrays):
    counts = Tokens.of(arrays).count_predicted(70_001)
    expected = np.bincount(np.concatenate([[], *(a[1:] for a in arrays)]).astype(int), minlength=70_001)
    assert np.array_equal(counts, expected)


def test_counting_block_by_block_is_counting(monkeypatch, tokenizer, documents):
    tokens = Tokens.of(tokenizer.encode_documents(documents))
    whole = tokens.count_predicted(tokenizer.vocab_size)
    monkeypatch.setattr(lmcore.tokens, "BLOCK", 7)
    assert np.array_equal(tokens.count_predicted(tokenizer.vocab_size), whole)
    assert whole.sum() == len(tokens.ids) - len(documents)


def test_a_file_holds_what_encode_documents_gives(tokenizer, documents, tmp_path, monkeypatch):
    monkeypatch.setattr("lmcore.tokenizer.CHARACTERS_AT_ONCE", 500)  # several groups
    log = []
    written = token_file(tokenizer, documents, ABOUT, tmp_path / "new" / "folder", log.append)
    expected = tokenizer.encode_documents(documents)
    assert same(written, expected)
    assert written.ids.dtype == np.uint16
    found = token_file(tokenizer, iter(()), ABOUT, tmp_path / "new" / "folder", log.append)
    assert same(found, expected)  # the texts were not looked at
    assert [line.rsplit("(")[1].split()[0] for line in log] == ["written", "found)"]
    assert log[0].startswith(f"token ids: {len(written.ids):,} in {tmp_path}")


def test_reading_goes_on_after_pages_are_given_back(char, documents, tmp_path):
    tokens = token_file(char, documents, ABOUT, tmp_path)
    expected = np.concatenate(char.encode_documents(documents))
    places = np.arange(len(expected))[:, None]
    for _ in range(2):  # many more rows than bring about a release
        assert tokens.gather(places, pad_id=0).flatten().tolist() == expected.tolist()
        tokens.release()
    assert np.array_equal(tokens.ids, expected)


@pytest.mark.parametrize(("characters", "dtype"), [(MANY, np.uint16), (70_000, np.uint32)])
def test_large_ids_survive(characters, dtype, tmp_path):
    text = "".join(map(chr, range(0x10000, 0x10000 + characters)))
    tokenizer = train_char([text])
    tokens = token_file(tokenizer, [text, "\U00010000"], ABOUT, tmp_path)
    assert tokens.ids.dtype == dtype
    assert same(tokens, tokenizer.encode_documents([text, "\U00010000"]))
    rows = tokens.gather(np.arange(len(tokens.ids))[None], pad_id=0)
    assert rows[0].tolist() == [2, *range(4, 4 + characters), 3, 2, 4, 3]


def test_another_corpus_or_tokenizer_makes_another_file(char, word, documents, tmp_path):
    token_file(char, documents, ABOUT, tmp_path)
    others = [(char, {**ABOUT, name: "other"}) for name in ABOUT]
    others += [(word, ABOUT), (replace(char, eos_id=4), ABOUT), (train_char(documents[:29]), ABOUT)]
    for number, (tokenizer, about) in enumerate(others, start=2):
        token_file(tokenizer, documents, about, tmp_path)
        assert len(files(tmp_path)) == number
    token_file(train_char(documents), documents, dict(ABOUT), tmp_path)  # equal, not the same objects
    assert len(files(tmp_path)) == len(others) + 1


def test_no_documents(char, tmp_path):
    tokens = token_file(char, [], ABOUT, tmp_path)
    assert len(tokens) == len(tokens.ids) == 0
    assert tokens.count_predicted(char.vocab_size).sum() == 0


@pytest.mark.parametrize("place", [HEADER_BYTES, HEADER_BYTES + 1001, -1])
def test_one_changed_byte_is_noticed(path, char, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    message = (
        rf"{path.name} has SHA-256 [0-9a-f]{{64}}, but [0-9a-f]{{64}} was written; delete it and run again"
    )
    with pytest.raises(InputError, match=message):
        token_file(char, [], ABOUT, path.parent)


@pytest.mark.parametrize("change", [-8, -1, 1])
def test_a_file_too_short_or_too_long_is_refused(path, char, change):
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + b"\0")
    expected = f"has {len(content) + change:,} bytes, but {len(content):,} were written; delete it"
    with pytest.raises(InputError, match=expected):
        token_file(char, [], ABOUT, path.parent)


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"{}", b"[]", b'{"key": 1}', b"\xff" * 9])
def test_a_foreign_file_is_refused(path, char, content):
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{path.name} is not a token file; delete it and run again"):
        token_file(char, [], ABOUT, path.parent)


def test_a_file_under_the_name_of_another_is_refused(path, char, word, documents):
    other = path.parent / "other"
    token_file(word, documents, ABOUT, other)
    (name,) = other.iterdir()
    shutil.copy(path, name)
    with pytest.raises(InputError, match=r"has key [0-9a-f]{64}, but [0-9a-f]{64} was expected; delete it"):
        token_file(word, documents, ABOUT, other)


@pytest.mark.parametrize("stop", [OSError, KeyboardInterrupt])
def test_an_interrupted_file_is_never_taken_for_a_whole_one(char, documents, tmp_path, monkeypatch, stop):
    monkeypatch.setattr("lmcore.tokenizer.CHARACTERS_AT_ONCE", 500)

    def interrupted():
        yield from documents[:20]
        raise stop

    with pytest.raises(stop):
        token_file(char, interrupted(), ABOUT, tmp_path)
    assert files(tmp_path) == []  # nor does anything lie around
    assert same(token_file(char, documents, ABOUT, tmp_path), char.encode_documents(documents))


def test_a_killed_process_leaves_nothing_that_is_read(char, documents, tmp_path, monkeypatch):
    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed)
        patch.setattr("os.unlink", killed)  # a killed process does not clear up
        with pytest.raises(SystemExit):
            token_file(char, documents, ABOUT, tmp_path)
    assert files(tmp_path) == [".part"]
    assert same(token_file(char, documents, ABOUT, tmp_path), char.encode_documents(documents))
    assert files(tmp_path) == [".part", ".tokens"]


def test_whoever_comes_second_reads_the_same(char, documents, tmp_path):
    """Another one prepares the same file, from start to end, while this one is in the middle of it."""
    inner = []

    def texts():
        yield documents[0]
        inner.append(token_file(char, documents, ABOUT, tmp_path))
        yield from documents[1:]

    outer = token_file(char, texts(), ABOUT, tmp_path)
    assert same(outer, char.encode_documents(documents))
    assert same(inner[0], char.encode_documents(documents))
    assert files(tmp_path) == [".tokens"]


def test_several_at_once(char, documents, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(token_file, char, documents, ABOUT, tmp_path) for _ in range(4)]
    expected = char.encode_documents(documents)
    assert all(same(job.result(), expected) for job in jobs)
    assert files(tmp_path) == [".tokens"]


def test_an_id_outside_the_vocabulary_is_refused(char, documents, tmp_path):
    with pytest.raises(InputError, match=f"token {char.vocab_size} is outside vocab_size {char.vocab_size}"):
        token_file(replace(char, eos_id=char.vocab_size), documents, ABOUT, tmp_path)
    assert files(tmp_path) == []


def test_the_header_says_what_is_in_the_file(path, char, documents):
    header = json.loads(path.read_bytes()[:HEADER_BYTES])
    assert header["about"] == ABOUT
    assert header["num_documents"] == len(documents)
    assert header["num_tokens"] == sum(map(len, documents)) + 2 * len(documents)
    assert header["key"].startswith(path.stem)


def test_ids_stay_on_the_host_without_cuda(path, char):
    tokens = token_file(char, [], ABOUT, path.parent)
    assert tokens.to(torch.device("cpu")) is tokens


def test_ids_that_do_not_fit_a_gpu_stay_on_the_host(path, char, monkeypatch):
    tokens = token_file(char, [], ABOUT, path.parent)
    free = 4 * tokens.ids.nbytes - 1
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10 * free))
    assert tokens.to(torch.device("cuda")) is tokens
