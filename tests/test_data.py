"""Batches: shifted by exactly one, nothing skipped, nothing read twice, an order that can be repeated."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lmcore.data import (
    Batch,
    DocumentBatches,
    SentenceBatches,
    StreamBatches,
    corpus_tokens,
    shift,
    split_sentences,
)
from lmcore.errors import InputError

PAD = 0
LENGTHS = [3, 9, 2, 14, 6, 6, 11, 5, 8, 2]
SOME_BATCHES = given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=9),
    batch_size=st.integers(1, 4),
    seq_len=st.integers(1, 13),
    number=st.integers(0, 3),
)


def numbered(lengths=LENGTHS) -> list[np.ndarray]:
    """Documents whose every token is unique, so that a batch shows where each came from."""
    ends = np.cumsum(lengths)
    return [np.arange(end - n, end, dtype=np.int32) + 1 for end, n in zip(ends, lengths, strict=True)]


def same(one, other) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets) for a, b in pairs)


def test_targets_are_inputs_shifted_by_exactly_one():
    batch = shift(np.array([[7, 8, 9, 10], [1, 2, 3, 4]], dtype=np.int32), carries_state=True)
    assert batch.inputs.tolist() == [[7, 8, 9], [1, 2, 3]]
    assert batch.targets.tolist() == [[8, 9, 10], [2, 3, 4]]
    assert batch.inputs.dtype == batch.targets.dtype == torch.int64
    assert batch.carries_state


@pytest.mark.parametrize(("batch_size", "seq_len"), [(1, 1), (1, 10), (3, 4), (4, 16), (6, 10)])
def test_stream_windows_follow_without_gap_or_overlap(batch_size, seq_len):
    documents = numbered()
    stream = StreamBatches(documents, batch_size, seq_len, seed=5)
    batches = list(stream.epoch(0))
    assert len(batches) == len(stream) == (sum(LENGTHS) - 1) // batch_size // seq_len
    assert [batch.carries_state for batch in batches] == [False] + [True] * (len(batches) - 1)
    assert all(batch.inputs.shape == batch.targets.shape == (batch_size, seq_len) for batch in batches)
    inputs = torch.cat([batch.inputs for batch in batches], dim=1)
    targets = torch.cat([batch.targets for batch in batches], dim=1)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])  # each window takes up where the last one ended
    assert torch.equal(inputs[1:, 0], targets[:-1, -1])  # and each row where the row above ends
    line = [*inputs.flatten().tolist(), targets[-1, -1].item()]
    assert len(set(line)) == len(line)
    first_tokens = {int(document[0]): document.tolist() for document in documents}
    while line:  # whole documents, one after the other
        document = first_tokens.pop(line[0])
        assert line[: len(document)] == document[: len(line)]
        line = line[len(document) :]


def test_stream_order_depends_on_seed_and_epoch_only():
    stream, twin = (StreamBatches(numbered(), 2, 5, seed=1) for _ in range(2))
    list(stream.epoch(4))
    assert same(stream.epoch(0), twin.epoch(0))
    assert same(stream.epoch(3), twin.epoch(3))
    assert not same(stream.epoch(0), stream.epoch(1))
    assert not same(stream.epoch(0), StreamBatches(numbered(), 2, 5, seed=2).epoch(0))


@SOME_BATCHES
def test_stream_batches_are_those_of_the_concatenated_documents(lengths, batch_size, seq_len, number):
    documents = numbered(lengths)
    steps = (sum(lengths) - 1) // batch_size // seq_len * seq_len
    assume(steps)
    order = np.random.default_rng([7, number]).permutation(len(documents))
    line = np.concatenate([documents[i] for i in order])
    rows = np.stack([line[b * steps : (b + 1) * steps + 1] for b in range(batch_size)])
    expected = [shift(rows[:, k : k + seq_len + 1], k > 0) for k in range(0, steps, seq_len)]
    stream = StreamBatches(documents, batch_size, seq_len, seed=7)
    assert same(stream.epoch(number), expected)
    assert all(batch.lengths.tolist() == [seq_len] * batch_size for batch in stream.epoch(number))


def padded(rows: list[np.ndarray], width: int) -> np.ndarray:
    """Rows cut or filled up to a width, one by one."""
    return np.array([[*row[:width], *[PAD] * (width - len(row))] for row in rows], dtype=np.int32)


@SOME_BATCHES
def test_sentence_batches_are_padded_rows_in_random_order(lengths, batch_size, seq_len, number):
    sentences = numbered(lengths)
    order = np.random.default_rng([7, number]).permutation(len(sentences))
    found = list(SentenceBatches(sentences, batch_size, seq_len + 1, PAD, seed=7).epoch(number))
    for batch, start in zip(found, range(0, len(order), batch_size), strict=True):
        rows = [sentences[i][: seq_len + 1] for i in order[start : start + batch_size]]
        expected = shift(padded(rows, max(map(len, rows))), carries_state=False)
        assert same([batch], [expected])
        assert batch.lengths.tolist() == [len(row) - 1 for row in rows]


@SOME_BATCHES
def test_document_batches_are_sorted_rows_in_windows(lengths, batch_size, seq_len, number):
    documents = sorted(numbered(lengths), key=len)
    assume(len(documents[-1]) > 1)
    expected = []
    for start in range(0, len(documents), batch_size):
        group = documents[start : start + batch_size]
        rows = padded(group, len(group[-1]))
        for left in range(0, rows.shape[1] - 1, seq_len):
            expected.append(shift(rows[:, left : left + seq_len + 1], left > 0))
    found = list(DocumentBatches(numbered(lengths), PAD, batch_size, seq_len))
    assert same(found, expected)
    for batch in found:
        assert batch.lengths.tolist() == (batch.targets != PAD).sum(dim=1).tolist()


def test_many_sentences_are_shuffled_in_blocks(monkeypatch):
    monkeypatch.setattr("lmcore.data.SENTENCES_SHUFFLED", 8)
    sentences = numbered([2] * 29)
    batches = SentenceBatches(sentences, batch_size=3, seq_len=4, pad_id=PAD, seed=1)
    orders = []
    for number in (2, 2, 3):
        epoch = list(batches.epoch(number))
        assert [len(batch.inputs) for batch in epoch] == [3] * 9 + [2]
        orders.append([int(first) // 2 for batch in epoch for first in batch.inputs[:, 0]])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(29))
    blocks = [i // 8 for i in orders[0]]
    runs = [block for block, before in zip(blocks, [None, *blocks], strict=False) if block != before]
    assert sorted(runs) == [0, 1, 2, 3]  # each block is read in one go
    assert runs != sorted(runs)
    assert any(a > b for a, b in pairwise(i for i in orders[0] if i < 8))  # and out of order within


@pytest.mark.parametrize("characters", [300, 3_000, 10**9])
@pytest.mark.parametrize("unit", ["documents", "sentences"])
def test_batches_of_a_token_file_are_those_of_the_arrays(char, corpus, tmp_path, unit, characters):
    tokens = corpus_tokens(corpus, "train", unit, char, tmp_path, characters)
    step = -(-sum(map(len, corpus.train)) // characters)
    texts = corpus.train[::step]
    if unit == "sentences":
        texts = [sentence for text in texts for sentence in split_sentences(text)]
    arrays = char.encode_documents(texts)
    for make in (
        lambda ids: StreamBatches(ids, 2, 5, seed=3).epoch(1),
        lambda ids: SentenceBatches(ids, 3, 20, char.pad_id, seed=3).epoch(1),
        lambda ids: DocumentBatches(ids, char.pad_id, 3, 50),
    ):
        assert same(make(tokens), make(arrays))


def test_parts_and_units_of_a_corpus_have_files_of_their_own(char, corpus, tmp_path):
    sizes = {
        (part, unit): len(corpus_tokens(corpus, part, unit, char, tmp_path))
        for part in ("train", "validation", "test", "all")
        for unit in ("documents", "sentences")
    }
    assert len(list(tmp_path.iterdir())) == len(sizes)
    assert [sizes[part, "documents"] for part in ("train", "validation", "test", "all")] == [27, 1, 2, 30]
    with pytest.raises(InputError, match="the number of characters is 0; it must be at least 1"):
        corpus_tokens(corpus, "train", "documents", char, tmp_path, characters=0)


@given(rows=st.integers(0, 12), parts=st.integers(1, 15), counted=st.booleans())
def test_a_batch_splits_by_rows_as_evenly_as_possible(rows, parts, counted):
    inputs = torch.arange(rows * 3).view(rows, 3)
    lengths = np.arange(rows) if counted else None
    pieces = Batch(inputs, inputs + 1, True, lengths).split(parts)
    assert len(pieces) == parts
    assert torch.equal(torch.cat([piece.inputs for piece in pieces]), inputs)
    assert torch.equal(torch.cat([piece.targets for piece in pieces]), inputs + 1)
    assert all(piece.carries_state for piece in pieces)
    sizes = [len(piece.inputs) for piece in pieces]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)
    if counted:
        assert [piece.lengths.tolist() for piece in pieces] == [
            p.inputs[:, 0].div(3).tolist() for p in pieces
        ]
    else:
        assert all(piece.lengths is None for piece in pieces)


def test_a_batch_in_no_parts_is_refused():
    with pytest.raises(InputError, match="cannot be split into 0 parts; at least 1"):
        shift(np.zeros((2, 3)), carries_state=False).split(0)


def test_batches_stay_on_the_host_without_cuda():
    for source in (
        StreamBatches(numbered(), 2, 5),
        SentenceBatches(numbered(), 2, 5, PAD),
        DocumentBatches(numbered(), PAD),
    ):
        assert source.to(torch.device("cpu")) is source
        batch = next(iter(source if isinstance(source, DocumentBatches) else source.epoch(0)))
        assert batch.inputs.device.type == batch.targets.device.type == "cpu"


def test_batches_on_a_gpu_are_those_of_the_host_and_nobody_waits(cuda, corpus, char, tmp_path):
    tokens = corpus_tokens(corpus, "train", "documents", char, tmp_path)
    for make in (
        lambda: StreamBatches(tokens, 2, 5),
        lambda: SentenceBatches(tokens, 2, 50, PAD),
        lambda: DocumentBatches(tokens, PAD, 4, 30),
    ):
        host, device = make(), make().to(torch.device(cuda))
        host, device = (s if isinstance(s, DocumentBatches) else s.epoch(0) for s in (host, device))
        torch.cuda.set_sync_debug_mode("error")
        try:
            found = list(device)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert all(batch.inputs.is_cuda and batch.targets.is_cuda for batch in found)
        assert same([Batch(b.inputs.cpu(), b.targets.cpu(), b.carries_state) for b in found], host)


def test_stream_shorter_than_one_window_is_refused():
    documents = numbered([5, 6])
    assert len(StreamBatches(documents, 2, 5)) == 1
    with pytest.raises(InputError, match=r"11 tokens, but one window of 3 rows by 4 steps needs 13"):
        StreamBatches(documents, 3, 4)


@pytest.mark.parametrize("seq_len", [8, 50])
def test_each_sentence_comes_once_per_epoch_padded_on_the_right_only(seq_len):
    sentences = numbered()
    batches = list(SentenceBatches(sentences, batch_size=3, seq_len=seq_len, pad_id=PAD).epoch(0))
    assert [len(batch.inputs) for batch in batches] == [3, 3, 3, 1]
    found = []
    for batch in batches:
        assert not batch.carries_state
        assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
        assert (batch.targets != PAD).any(dim=0).all()  # no column of padding only
        for inputs, targets in zip(*batch[:2], strict=True):
            row = [int(inputs[0]), *targets.tolist()]
            length = sum(token != PAD for token in row)
            assert PAD not in row[:length]
            found.append(row[:length])
    assert sorted(found) == sorted(sentence[:seq_len].tolist() for sentence in sentences)


def test_sentence_order_depends_on_seed_and_epoch_only():
    batches, twin = (SentenceBatches(numbered(), 4, 20, PAD, seed=1) for _ in range(2))
    list(batches.epoch(4))
    assert len(batches) == 3
    assert same(batches.epoch(0), twin.epoch(0))
    assert same(batches.epoch(3), twin.epoch(3))

    def order(source, epoch):
        return [int(first) for batch in source.epoch(epoch) for first in batch.inputs[:, 0]]

    assert order(batches, 0) != order(batches, 1)
    assert order(batches, 0) != order(SentenceBatches(numbered(), 4, 20, PAD, seed=2), 0)


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=9).filter(lambda n: max(n) > 1),
    batch_size=st.integers(1, 5),
    seq_len=st.integers(1, 13),
)
@settings(max_examples=60, deadline=None)
def test_documents_are_scored_once_from_start_to_end(lengths, batch_size, seq_len):
    documents = numbered(lengths)
    read, scored = [], Counter()
    for batch in DocumentBatches(documents, PAD, batch_size, seq_len):
        assert 1 <= batch.inputs.shape[1] <= seq_len
        assert len(batch.inputs) <= batch_size
        if not batch.carries_state:
            read.extend([] for _ in batch.inputs)
        group = read[-len(batch.inputs) :]
        for row, inputs, targets in zip(group, *batch[:2], strict=True):
            row.extend(inputs.tolist())
            scored.update(targets[targets != PAD].tolist())
    assert scored == Counter(int(token) for document in documents for token in document[1:])
    by_first = {int(document[0]): document.tolist() for document in documents}
    for row in (row for row in read if row):  # what a row read before a token is that document's start
        document = by_first[row[0]]
        kept = [token for token in row if token != PAD]
        assert kept == row[: len(kept)]
        assert kept in (document[:-1], document)  # the last token is read only in a row with padding


def test_documents_with_nothing_to_predict_are_refused():
    with pytest.raises(InputError, match="2 documents hold 0 predictions"):
        DocumentBatches(numbered([1, 1]), PAD)
    with pytest.raises(InputError, match="0 documents"):
        DocumentBatches([], PAD)
    with pytest.raises(InputError, match="0 sentences"):
        SentenceBatches([], 4, 8, PAD)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda docs: StreamBatches(docs, 0, 8), "batch_size is 0"),
        (lambda docs: StreamBatches(docs, 2, 0), "0 predictions per row"),
        (lambda docs: StreamBatches(docs, 2, 4, seed=-1), "seed is -1"),
        (lambda docs: SentenceBatches(docs, 0, 8, PAD), "batch_size is 0"),
        (lambda docs: SentenceBatches(docs, 2, 1, PAD), "0 predictions per row"),
        (lambda docs: SentenceBatches(docs, 2, 8, PAD, seed=2**63), "seed is 9223372036854775808"),
        (lambda docs: DocumentBatches(docs, PAD, 0), "batch_size is 0"),
        (lambda docs: DocumentBatches(docs, PAD, 2, 0), "0 predictions per row"),
    ],
)
def test_sizes_and_seeds_out_of_range_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make(numbered())


def test_sentences():
    text = 'It rained. "Go in!" he said. Was it 9.5 km?\nYes\n\n  (No.) The end'
    assert split_sentences(text) == [
        "It rained.",
        '"Go in!" he said.',  # "he" has no capital: the sentence goes on
        "Was it 9.5 km?",
        "Yes",
        "(No.)",
        "The end",
    ]
    assert split_sentences(" \n ") == []


def test_sentences_lose_nothing_but_blanks(documents):
    text = "\n".join(documents) + ' "(So he said.)" "Why?" Because [of that.] 7 more.'
    sentences = split_sentences(text)
    assert len(sentences) > 3 * len(documents)
    assert "".join("".join(sentences).split()) == "".join(text.split())
