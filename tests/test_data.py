"""Batches: shifted by exactly one, nothing skipped, nothing read twice, an order that can be repeated."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.data import DocumentBatches, SentenceBatches, StreamBatches, shift, split_sentences
from lmcore.errors import InputError

PAD = 0
LENGTHS = [3, 9, 2, 14, 6, 6, 11, 5, 8, 2]


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
