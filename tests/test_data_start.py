"""An epoch that begins in its middle gives what was left of it, and makes nothing before."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_data import PAD, numbered, same

from lmcore.data import SentenceBatches, StreamBatches


@given(batch_size=st.integers(1, 5), number=st.integers(0, 3), block=st.integers(1, 12))
def test_sentences_from_any_batch_on(batch_size, number, block):
    batches = SentenceBatches(numbered(), batch_size, seq_len=8, pad_id=PAD, seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lmcore.data.SENTENCES_SHUFFLED", block)
        whole = list(batches.epoch(number))
        for start in range(len(batches) + 1):
            assert same(batches.epoch(number, start), whole[start:])


@given(batch_size=st.integers(1, 5), seq_len=st.integers(1, 9), number=st.integers(0, 3))
def test_streams_from_any_window_on(batch_size, seq_len, number):
    batches = StreamBatches(numbered(), batch_size, seq_len, seed=3)
    whole = list(batches.epoch(number))
    for start in range(len(batches) + 1):
        found = list(batches.epoch(number, start))
        assert same(found, whole[start:])
        assert [batch.carries_state for batch in found] == [start + k > 0 for k in range(len(found))]


@pytest.mark.parametrize("kind", [SentenceBatches, StreamBatches])
def test_no_batch_is_made_before_the_start(kind, monkeypatch):
    """A run that goes on late in a large epoch would read all of it again."""
    more = {"pad_id": PAD} if kind is SentenceBatches else {}
    batches = kind(numbered(), batch_size=2, seq_len=4, **more)
    made = []

    def gather(places: np.ndarray, pad_id: int) -> torch.Tensor:
        made.append(places)
        return torch.from_numpy(places)

    tokens = batches.sentences if kind is SentenceBatches else batches.documents
    monkeypatch.setattr(tokens, "gather", gather)
    found = list(batches.epoch(0, len(batches) - 1))
    assert len(found) == len(made) == 1
