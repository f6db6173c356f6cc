"""Uses of a model: a score is the sum over the tokens, and small cases come out as they do on paper."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lively_models import NAMES, lively

import lmcore
from lmcore.applications import (
    QueryLikelihood,
    complete,
    complete_word,
    correct_word,
    misspellings,
    prefers_first,
    rank_documents,
    rescore,
    text_log_probs,
)
from lmcore.data import DocumentBatches
from lmcore.errors import InputError
from lmcore.metrics import evaluate

# after "the": " cat" 3 of 4 times, " dog" once; after " cat": " sat" 2 of 3 times, " ran" once
LINES = ["the cat sat", "the dog sat", "the cat ran", "the cat sat"]
CANDIDATES = ["the cat sat", "the cat ran", "the dog sat", "the dog ran", "the cat", "the"]
short_words = st.text("abyz", min_size=1, max_size=6)


def counted(make, lines, *options):
    """A counting model of whole words, and its tokenizer; a word owns the blank before it."""
    words = lmcore.train_word(lines)
    return make(words.encode_documents(lines), words.vocab_size, *options), words


@pytest.fixture(scope="module")
def bigram():
    return counted(lmcore.maximum_likelihood, LINES, 2)


@pytest.fixture(scope="module")
def unigram():
    return counted(lmcore.UnigramLM, LINES)


@pytest.fixture(params=[*NAMES, "unigram", "kneser-ney", "mixture"])
def model(request, char, documents):
    """Any model over characters."""
    encoded = char.encode_documents(documents)
    if request.param in NAMES:
        return lively(request.param, char)
    if request.param == "unigram":
        return lmcore.UnigramLM(encoded, char.vocab_size)
    kneser_ney = lmcore.kneser_ney(encoded, char.vocab_size, 4)
    if request.param == "kneser-ney":
        return kneser_ney
    return lmcore.InterpolatedLM([kneser_ney, lively("gru", char)], [0.25, 0.75])


# --- scores ----------------------------------------------------------------------------------------


def test_probabilities_known_by_hand(bigram):
    found = text_log_probs(*bigram, ["the cat sat", "the cat ran", "the dog ran", "the dog"])
    torch.testing.assert_close(found.exp(), torch.tensor([1 / 2, 1 / 4, 0, 1 / 4], dtype=torch.float64))
    after_cat = text_log_probs(*bigram, [" sat", " ran"], context="the cat")
    torch.testing.assert_close(after_cat.exp(), torch.tensor([2 / 3, 1 / 3], dtype=torch.float64))


def test_a_score_is_what_the_evaluator_finds(model, char, documents):
    texts = [document[: 1 + 5 * i] for i, document in enumerate(documents[:7])]
    for text, score in zip(texts, text_log_probs(model, char, texts, batch_size=3).tolist(), strict=True):
        batches = DocumentBatches([np.array(char.encode_prompt(text))], char.pad_id)
        assert score == pytest.approx(-evaluate(model, batches, char.pad_id).total_nats, abs=1e-8)


def test_a_context_counts_as_read(model, char, documents):
    context, texts = documents[0][:40], [documents[0][40:60], documents[1][:3]]
    after = text_log_probs(model, char, texts, context)
    whole = text_log_probs(model, char, [context + text for text in texts])
    torch.testing.assert_close(after, whole - text_log_probs(model, char, [context]), atol=1e-8, rtol=0)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_batches_change_nothing(model, char, documents, batch_size):
    texts = [document[:length] for document, length in zip(documents, (30, 1, 12, 12, 55), strict=False)]
    alone = torch.cat([text_log_probs(model, char, [text], "A") for text in texts])
    together = text_log_probs(model, char, texts, "A", batch_size)
    torch.testing.assert_close(together, alone, atol=1e-8, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_comes_back(char, training):
    model = lmcore.RecurrentLM(lmcore.RNNConfig(char.vocab_size, emb_dim=8, dropout=0.5)).train(training)
    first, second = (text_log_probs(model, char, ["The ferry", "left"], "A ") for _ in range(2))
    assert torch.equal(first, second)
    assert model.training is training


def test_what_cannot_be_scored_is_refused(bigram):
    model, words = bigram
    for texts, message in (
        ([], "there are 0 texts to score; at least 1 is needed"),
        (["the", ""], "text 1 of 2 .from 0. has 0 tokens"),
        (["the cow"], "the prompt holds ' cow', which is not among the 9 tokens"),
    ):
        with pytest.raises(InputError, match=message):
            text_log_probs(model, words, texts)
    with pytest.raises(InputError, match="' cow', which is not among"):
        text_log_probs(model, words, ["the"], context="the cow")
    with pytest.raises(InputError, match="batch_size is 0; it must be at least 1"):
        text_log_probs(model, words, ["the"], batch_size=0)


# --- choosing --------------------------------------------------------------------------------------


def test_what_the_sound_says_is_added(bigram):
    candidates = {"the cat sat": 0.0, "the dog sat": 0.0, "the dog ran": 0.0}
    ranked = rescore(*bigram, candidates)
    assert [text for text, _ in ranked] == list(candidates)
    assert [score for _, score in ranked] == pytest.approx([math.log(1 / 2), math.log(1 / 4), -math.inf])
    assert rescore(*bigram, {**candidates, "the dog sat": math.log(3)})[0] == (
        "the dog sat",
        pytest.approx(math.log(3 / 4)),
    )


@given(order=st.permutations(CANDIDATES))
def test_the_order_of_candidates_changes_nothing(bigram, order):
    expected = rescore(*bigram, dict.fromkeys(CANDIDATES, 0.0))
    assert rescore(*bigram, dict.fromkeys(order, 0.0)) == expected


@pytest.mark.parametrize("order", [["the ran", "the dog"], ["the dog", "the ran"]])
def test_ties_go_by_the_alphabet(unigram, order):
    ranked = rescore(*unigram, dict.fromkeys(order, 0.0))
    assert ranked[0][1] == ranked[1][1]  # both words came once
    assert [text for text, _ in ranked] == ["the dog", "the ran"]


def test_a_context_decides(bigram):
    assert rescore(*bigram, {" sat": 0.0, " ran": 0.0}, context="the cat")[0][0] == " sat"
    assert rescore(*bigram, {" cat": 0.0, " dog": 0.0}, context="the")[0] == (
        " cat",
        pytest.approx(math.log(3 / 4)),
    )


def test_no_candidates_are_refused(bigram):
    with pytest.raises(InputError, match="there are 0 texts"):
        rescore(*bigram, {})


def test_the_likelier_of_a_pair_is_preferred(bigram, unigram):
    pairs = [("the cat sat", "the cat ran"), ("the dog ran", "the dog sat"), ("the", "the dog")]
    assert prefers_first(*bigram, pairs).tolist() == [True, False, True]
    ties = [("the dog", "the ran"), ("the ran", "the dog")]
    assert prefers_first(*unigram, ties).tolist() == [False, False]


# --- words -----------------------------------------------------------------------------------------


def test_the_likeliest_words_that_fit_are_offered():
    log_probs, words = torch.tensor([0.1, 0.4, 0.3, 0.2]).log(), {"the": 3, "any": 2, "and": 1, "an": 0}
    assert complete_word(log_probs, words, "an", k=2) == ["and", "any"]
    assert complete_word(log_probs, words, "") == ["and", "any", "the"]
    assert complete_word(log_probs, words, "the") == ["the"]
    assert complete_word(log_probs, words, "x") == []
    assert complete_word(torch.zeros(4), words, "a") == ["an", "and", "any"]  # ties: the alphabet
    with pytest.raises(InputError, match="k is 0; it must be at least 1"):
        complete_word(log_probs, words, "an", k=0)


def test_words_are_offered_after_a_text(bigram):
    model, tokenizer = bigram
    words = {name: tokenizer.encode(" " + name)[0] for name in ("cat", "dog", "sat", "ran")}
    assert complete(model, tokenizer, "the", "", words, k=2) == ["cat", "dog"]
    assert complete(model, tokenizer, "the", "d", words) == ["dog"]
    assert complete(model, tokenizer, "the cat", "", words, k=2) == ["sat", "ran"]
    with pytest.raises(InputError, match="' cow', which is not among"):
        complete(model, tokenizer, "the cow", "", words)
    with pytest.raises(InputError, match="k is 0; it must be at least 1"):
        complete(model, tokenizer, "the", "", words, k=0)


@pytest.mark.parametrize("training", [True, False])
def test_completing_reads_the_whole_text_without_dropout(char, training):
    model = lmcore.RecurrentLM(lmcore.RNNConfig(char.vocab_size, emb_dim=8, dropout=0.5)).train(training)
    words = {letter: char.encode(letter)[0] for letter in "abcdehinorst"}
    found = [complete(model, char, "The ferry left", "", words, k=9) for _ in range(3)]
    assert model.training is training
    with torch.no_grad():
        logits, _ = model.eval()(torch.tensor([char.encode_prompt("The ferry left")]))
    assert found == 3 * [complete_word(logits[0, -1], words, "", k=9)]


def test_the_four_kinds_of_typing_errors():
    found = misspellings("cat")
    assert {"cart", "ct", "cot", "act", "cta", "cats", "scat", "caat"} <= found
    assert not {"cat", "tac", "cast is", "c", "carts", "Cat"} & found
    # n left out, 25 n wrong, 25 n + 26 too many, n - 1 exchanged, where no letter stands beside its like
    assert len(misspellings("something")) == 52 * 9 + 25
    assert "boko" in misspellings("book")
    assert misspellings("") == set("abcdefghijklmnopqrstuvwxyz")


@given(word=short_words, data=st.data())
def test_an_error_can_be_taken_back_by_one(word, data):
    typo = data.draw(st.sampled_from(sorted(misspellings(word))))
    assert word in misspellings(typo)


def test_sentence_and_channel_both_count():
    lines = ["the cat sat", "the cat sat", "the cot stood"]
    model, tokenizer = counted(lmcore.maximum_likelihood, lines, 2)
    known = {"cat", "cot", "sat", "the"}
    ranked = correct_word(model, tokenizer, "the ", "ct", " sat", known)
    assert ranked == [("cat", pytest.approx(math.log(2 / 3 / len(misspellings("cat"))))), ("cot", -math.inf)]
    assert correct_word(model, tokenizer, "the ", "ct", " stood", known)[0][0] == "cot"
    assert correct_word(model, tokenizer, "the ", "ct", "", known)[0][0] == "cat"
    assert correct_word(model, tokenizer, "the ", "xyzzy", " sat", known) == []


def test_a_longer_word_has_more_misspellings_and_each_is_rarer():
    model, tokenizer = counted(lmcore.UnigramLM, ["the a", "the cat"])
    (first, high), (second, low) = correct_word(model, tokenizer, "the ", "at", "", ["cat", "a"])
    assert (first, second) == ("a", "cat")
    assert high - low == pytest.approx(math.log((52 * 3 + 25) / (52 + 25)))


# --- documents -------------------------------------------------------------------------------------


def test_documents_are_mixed_with_all_of_them():
    documents = [["a", "b"], ["a", "a"], ["c"]]
    ranker = QueryLikelihood(documents, mu=2.0)
    probs = {word: ranker.log_probs([word]).exp() for word in "abc"}
    torch.testing.assert_close(probs["a"], torch.tensor([2.2 / 4, 3.2 / 4, 1.2 / 3], dtype=torch.float64))
    torch.testing.assert_close(sum(probs.values()), torch.ones(3, dtype=torch.float64))
    both = ranker.log_probs(["b", "a"])
    torch.testing.assert_close(both.exp(), probs["a"] * probs["b"])
    torch.testing.assert_close(ranker.log_probs(["b", "z", "a"]), both)  # "z" is nowhere
    torch.testing.assert_close(ranker.log_probs(["a", "b"]), both)
    assert QueryLikelihood([[], ["a"]], mu=1.0).log_probs(["a"]).tolist() == pytest.approx([0, 0])


def test_documents_are_ranked_by_the_query_that_follows_them(bigram):
    documents = ["the dog", "the cat", "the", "the cat"]
    ranked = rank_documents(*bigram, "ran", documents)
    third = pytest.approx(math.log(1 / 3))
    assert ranked == [(1, third), (3, third), (0, -math.inf), (2, -math.inf)]
    best, score = rank_documents(*bigram, "cat sat", documents)[0]
    assert (best, score) == (2, pytest.approx(math.log(3 / 4 * 2 / 3)))
    with pytest.raises(InputError, match="there are 0 documents to rank; at least 1 is needed"):
        rank_documents(*bigram, "cat", [])


def test_ranking_is_scoring_after_each_document(model, char, documents):
    scores = [text_log_probs(model, char, [" The"], document).item() for document in documents[:4]]
    ranked = rank_documents(model, char, "The", documents[:4])
    assert [scores[i] for i, _ in ranked] == sorted(scores, reverse=True)
    assert [score for _, score in ranked] == sorted(scores, reverse=True)


def test_documents_and_queries_without_words_are_refused():
    for mu in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(InputError, match=f"mu is {mu}; it must be above 0"):
            QueryLikelihood([["a"]], mu)
    with pytest.raises(InputError, match="2 documents hold 0 words"):
        QueryLikelihood([[], []], 1.0)
    ranker = QueryLikelihood([["a"], ["b"]], 1.0)
    for query, number in ((["z", "y"], 2), ([], 0)):
        with pytest.raises(InputError, match=f"0 of {number} words of the query are in a document"):
            ranker.log_probs(query)
