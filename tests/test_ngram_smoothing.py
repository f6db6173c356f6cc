"""n-gram models against their definitions, worked out slowly, and against NLTK."""

import math

import ngram_by_hand as hand
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ngram_by_hand import VOCAB_SIZE, arrays
from nltk.lm import KneserNeyInterpolated
from nltk.util import everygrams

import lmcore
from lmcore.errors import InputError
from lmcore.smoothing import FIXED_DISCOUNTS, estimate_discounts

orders = st.integers(1, 4)
contexts = st.lists(hand.tokens, min_size=1, max_size=6)


def probabilities(model, read):
    """The row after the tokens that were read, as probabilities."""
    logits, _ = model(torch.tensor([read]))
    return logits[0, -1].exp().numpy()


def expected_row(function, order, read):
    """``function`` of the context that the order allows, and each token in turn."""
    context = tuple(read[max(0, len(read) - order + 1) :])
    return np.array([function(context, token) for token in range(VOCAB_SIZE)])


def assert_row(model, order, read, function):
    np.testing.assert_allclose(
        probabilities(model, read), expected_row(function, order, read), rtol=0, atol=1e-12
    )


@settings(max_examples=40)  # going through all n-grams by hand is slow
@given(hand.texts | hand.bare_texts, orders, contexts)
def test_maximum_likelihood_is_a_share_of_counts(documents, order, read):
    order = min(order, max(map(len, documents)))
    model = lmcore.maximum_likelihood(arrays(documents), VOCAB_SIZE, order)
    assert_row(model, order, read, lambda *pair: hand.likelihood(documents, order, *pair))


@settings(max_examples=40)  # going through all n-grams by hand is slow
@given(hand.texts | hand.bare_texts, orders, contexts, st.sampled_from([0.01, 0.5, 1.0, 3.0]))
def test_laplace_adds_alpha_to_every_count(documents, order, read, alpha):
    order = min(order, max(map(len, documents)))
    model = lmcore.laplace(arrays(documents), VOCAB_SIZE, order, alpha)
    assert_row(model, order, read, lambda *pair: hand.add_alpha(documents, order, *pair, alpha))
    assert model.about == {"smoothing": "laplace", "alpha": alpha}


@settings(max_examples=40)  # going through all n-grams by hand is slow
@given(hand.texts | hand.bare_texts, orders, contexts)
def test_kneser_ney_follows_its_definition(documents, order, read):
    order = min(order, max(map(len, documents)))
    counts = hand.kneser_ney_counts(documents, order)
    discounts = [hand.chen_goodman(of_length) or FIXED_DISCOUNTS for of_length in counts]
    model = lmcore.kneser_ney(arrays(documents), VOCAB_SIZE, order)
    np.testing.assert_allclose(model.about["discounts"], discounts, atol=1e-12)
    assert_row(model, order, read, lambda *pair: hand.kneser_ney(counts, discounts, *pair))


def test_kneser_ney_with_estimated_discounts_follows_its_definition():
    documents = hand.long_text(seed=1)
    counts = hand.kneser_ney_counts(documents, 4)
    discounts = [hand.chen_goodman(of_length) or FIXED_DISCOUNTS for of_length in counts]
    model = lmcore.kneser_ney(arrays(documents), VOCAB_SIZE, 4)
    assert model.about["estimated"] == [hand.chen_goodman(of_length) is not None for of_length in counts]
    assert model.about["estimated"] == [False, True, True, True]
    for read in (documents[0][:9], documents[1][:2], [2], [8, 8, 8, 8], [7, 3, 2], [5, 0, 5]):
        assert_row(model, 4, read, lambda *pair: hand.kneser_ney(counts, discounts, *pair))


def test_discounts_by_hand():
    counts = np.array([1] * 10 + [2] * 4 + [3] * 3 + [4] * 2 + [9, 0, 0])
    y = 10 / 18
    expected = (1 - 2 * y * 4 / 10, 2 - 3 * y * 3 / 4, 3 - 4 * y * 2 / 3)
    assert estimate_discounts(counts) == pytest.approx(expected)
    assert estimate_discounts(counts[counts != 3]) is None  # nothing to divide by
    assert estimate_discounts(np.array([1] * 10 + [2] + [3] * 9 + [4])) is None  # the second is below 0


def test_few_counts_leave_the_fixed_discounts_and_the_model_says_so():
    model = lmcore.kneser_ney([np.array([2, 5, 6, 3])], VOCAB_SIZE, 2)
    assert model.about["discounts"] == [[0.5, 1.0, 1.5]] * 2
    assert model.about["estimated"] == [False, False]
    given_ = [(0.1, 0.2, 0.3), (0.4, 0.5, 0.6)]
    model = lmcore.kneser_ney([np.array([2, 5, 6, 3])], VOCAB_SIZE, 2, given_)
    assert model.about["discounts"] == [list(taken) for taken in given_]
    assert "0.4" in repr(model)


def nltk_model(documents, order, discount):
    """NLTK's model of the same n-grams: nothing padded, the first token of a document never predicted."""
    model = KneserNeyInterpolated(order, discount)
    words = [[str(token) for token in document] for document in documents]
    grams = [[gram for gram in everygrams(text, max_len=order) if gram != ("2",)] for text in words]
    model.fit(grams, vocabulary_text=map(str, range(VOCAB_SIZE)))
    return model


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("discount", [0.1, 0.75])
def test_nltk_gives_the_same_probabilities(order, discount):
    """NLTK has one discount, and none for single tokens.

    Left out are short contexts that begin with ``<bos>``: no token is before them, and NLTK divides by 0.
    """
    documents = hand.long_text(seed=2, size=250)
    discounts = [(0.0, 0.0, 0.0), *[(discount,) * 3] * (order - 1)]
    ours = lmcore.kneser_ney(arrays(documents), VOCAB_SIZE, order, discounts)
    theirs = nltk_model(documents, order, discount)
    reads = [document[1:stop] for document in documents[:2] for stop in range(2, 20)]
    reads += [document[: order - 1] for document in documents]  # the longest context begins with <bos>
    reads += [[8, 8, 7, 8], [6, 8], [7, 8, 8, 8], [3, 3], [0]]
    for read in reads:
        context = [str(token) for token in read[-(order - 1) :]]
        wanted = [theirs.score(str(token), context) for token in range(VOCAB_SIZE)]
        np.testing.assert_allclose(probabilities(ours, read), wanted, rtol=0, atol=1e-12)


def test_kneser_ney_knows_that_a_frequent_word_may_need_its_neighbour():
    """5 comes often, but only ever after 4; 6 comes less often, after many others."""
    text = [2, *[4, 5] * 6, 7, 6, 8, 6, 4, 6, 3]
    model = lmcore.kneser_ney([np.array(text)], VOCAB_SIZE, 2)
    after_nothing_seen = probabilities(model, [0])
    assert after_nothing_seen[6] > after_nothing_seen[5]
    assert lmcore.maximum_likelihood([np.array(text)], VOCAB_SIZE, 1).tables[0].share[5] > 0.3


@pytest.mark.parametrize("make", [lmcore.maximum_likelihood, lmcore.laplace, lmcore.kneser_ney])
@pytest.mark.parametrize(
    ("documents", "order", "message"),
    [
        ([[2, 5, 3]], 0, "order is 0; it must be at least 1"),
        ([[2, 5, 3], [2, 3]], 4, "order is 4, but the longest document has 3 tokens"),
        ([[2, 5, 9, 3]], 2, "token 9 is outside vocab_size 9"),
        ([[2, 5, -1, 3]], 2, "token -1 is outside vocab_size 9"),
        ([[2, 5, 3], []], 2, "document 1 has 0 tokens"),
        ([], 2, "there are 0 documents"),
        ([[2]], 1, "the longest document has 1 token"),
    ],
)
def test_what_cannot_be_counted_is_refused(make, documents, order, message):
    with pytest.raises(InputError, match=message):
        make(arrays(documents), VOCAB_SIZE, order)


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan, math.inf])
def test_an_alpha_that_is_not_above_zero_is_refused(alpha):
    with pytest.raises(InputError, match=f"alpha is {alpha}; it must be above 0"):
        lmcore.laplace([np.array([2, 5, 3])], VOCAB_SIZE, 2, alpha)


@pytest.mark.parametrize(
    ("discounts", "message"),
    [
        ([(0.5, 0.5, 0.5)], "discounts for 1 lengths, but the order is 2"),
        ([(0.5, 0.5, 0.5), (0.5, 2.5, 0.5)], r"count 2 is 2.5; it must be in \[0, 2\]"),
        ([(-0.5, 0.5, 0.5), (0.5, 0.5, 0.5)], r"count 1 is -0.5; it must be in \[0, 1\]"),
    ],
)
def test_discounts_that_cannot_be_are_refused(discounts, message):
    with pytest.raises(InputError, match=message):
        lmcore.kneser_ney([np.array([2, 5, 3])], VOCAB_SIZE, 2, discounts)
