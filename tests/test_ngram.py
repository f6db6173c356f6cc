"""The unigram model against counting by hand."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from lmcore.data import DocumentBatches
from lmcore.errors import InputError
from lmcore.metrics import evaluate
from lmcore.ngram import UnigramLM


def test_rows_sum_to_one(tokenizer, documents):
    unigram = UnigramLM(tokenizer.encode_documents(documents), tokenizer.vocab_size)
    logits, state = unigram(torch.tensor([[2, 5, 9], [1, 4, 4]]))
    assert logits.shape == (2, 3, tokenizer.vocab_size)
    torch.testing.assert_close(logits.exp().sum(dim=-1), torch.ones(2, 3))
    torch.testing.assert_close(logits.logsumexp(dim=-1), torch.zeros(2, 3), atol=1e-6, rtol=0)
    assert state is None


def test_one_more_than_the_count_of_each_predicted_token():
    unigram = UnigramLM([np.array([2, 5, 5, 6, 3]), np.array([2, 5, 3])], vocab_size=8)
    # predicted: 5, 5, 6, 3, 5, 3; the first token of a document never is
    counts = torch.tensor([1, 1, 1, 3, 1, 4, 2, 1])
    torch.testing.assert_close(unigram.log_probs.exp(), counts / counts.sum())


def test_held_out_loss_equals_a_direct_computation(char, documents):
    train, held_out = char.encode_documents(documents[:20]), char.encode_documents(documents[20:])
    result = evaluate(
        UnigramLM(train, char.vocab_size), DocumentBatches(held_out, char.pad_id, 3, 50), char.pad_id
    )
    counts = Counter(int(token) for document in train for token in document[1:])
    total = sum(counts.values()) + char.vocab_size
    predicted = [int(token) for document in held_out for token in document[1:]]
    nats = -sum(math.log((counts[token] + 1) / total) for token in predicted)
    assert result.num_tokens == len(predicted)
    assert result.total_nats == pytest.approx(nats, rel=1e-6)


def test_a_token_outside_the_vocabulary_is_refused():
    with pytest.raises(InputError, match="token 8 is outside vocab_size 8"):
        UnigramLM([np.array([2, 8])], vocab_size=8)


def test_an_empty_document_counts_nothing():
    unigram = UnigramLM([np.array([], dtype=np.int32), np.array([2])], vocab_size=4)
    torch.testing.assert_close(unigram.log_probs.exp(), torch.full((4,), 0.25))
