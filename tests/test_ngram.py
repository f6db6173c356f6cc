"""Counting models of any order: what they promise to callers. (Their numbers: test_ngram_smoothing.py.)"""

import functools
import math
from collections import Counter

import ngram_by_hand as hand
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ngram_by_hand import VOCAB_SIZE, arrays
from safetensors.torch import save_file

import lmcore
from lmcore.data import DocumentBatches
from lmcore.errors import InputError
from lmcore.metrics import evaluate
from lmcore.ngram import NGramLM, NGramTable, UnigramLM

# --- one token -------------------------------------------------------------------------------------


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
    targets = torch.tensor([[5, 0]])
    nats, state = unigram.target_nats(torch.tensor([[2, 5]]), targets)
    torch.testing.assert_close(nats, -unigram(targets)[0][0, 0, targets])
    assert (state, unigram.vocab_size) == (None, 8)


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


# --- any order: properties that all of them have ---------------------------------------------------

MAKERS = {
    "maximum likelihood": lmcore.maximum_likelihood,
    "laplace": lmcore.laplace,
    "kneser-ney": lmcore.kneser_ney,
}
orders = st.integers(1, 5)
rows = st.integers(1, 3).flatmap(
    lambda B: st.integers(1, 12).flatmap(
        lambda T: st.lists(st.lists(hand.tokens, min_size=T, max_size=T), min_size=B, max_size=B)
    )
)


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


@functools.cache
def trained(make, order):
    return make(arrays(hand.long_text(seed=3, size=400)), VOCAB_SIZE, order)


@pytest.fixture
def trigram(make):
    return trained(make, 3)


@pytest.mark.parametrize("name", MAKERS)
@given(order=orders, tokens=rows)
def test_every_row_sums_to_one(name, order, tokens):
    """Contexts at random: of some every token was seen, of most none."""
    logits, _ = trained(MAKERS[name], order)(torch.tensor(tokens))
    assert logits.shape == (len(tokens), len(tokens[0]), VOCAB_SIZE)
    torch.testing.assert_close(logits.exp().sum(dim=-1), torch.ones_like(logits[..., 0]), rtol=0, atol=1e-12)
    if name != "maximum likelihood":
        assert logits.isfinite().all()


@pytest.mark.parametrize("name", MAKERS)
@given(order=orders, tokens=rows, shift=st.integers(1, VOCAB_SIZE - 1))
def test_targets_are_scored_as_the_rows_say(name, order, tokens, shift):
    model, inputs = trained(MAKERS[name], order), torch.tensor(tokens)
    targets = (inputs + shift) % VOCAB_SIZE
    logits, state = model(inputs)
    nats, same_state = model.target_nats(inputs, targets)
    wanted = -logits.gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(nats, wanted, rtol=0, atol=1e-12)
    assert torch.equal(state, same_state)


@pytest.mark.parametrize("name", MAKERS)
@given(order=orders, tokens=rows, data=st.data())
def test_a_text_may_be_cut_anywhere(name, order, tokens, data):
    model, inputs = trained(MAKERS[name], order), torch.tensor(tokens)
    cut = data.draw(st.integers(0, inputs.shape[1]))
    whole, state = model(inputs)
    first, carried = model(inputs[:, :cut])
    second, last = model(inputs[:, cut:], carried)
    assert torch.equal(torch.cat([first, second], dim=1), whole)
    assert torch.equal(last, state)
    assert carried.shape == (len(tokens), min(cut, order - 1))


def test_no_token_is_seen_before_it_is_read(trigram):
    inputs = torch.tensor([[2, 8, 8, 7, 4]])
    changed = torch.tensor([[2, 8, 8, 5, 4]])
    before, after = trigram(inputs)[0], trigram(changed)[0]
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3], after[:, 3])


def test_only_the_last_tokens_count(trigram):
    logits, _ = trigram(torch.tensor([[2, 4, 8, 7], [8, 3, 8, 7]]))
    assert torch.equal(logits[0, -1], logits[1, -1])


@pytest.mark.parametrize("name", ["maximum likelihood", "kneser-ney"])
def test_a_state_from_the_document_before_does_no_harm(name):
    model, document = trained(MAKERS[name], 4), torch.tensor([[2, 8, 8, 7]])
    _, state = model(torch.tensor([[2, 8, 7, 3]]))
    carried, _ = model(document, state)
    assert torch.equal(carried, model(document)[0])


def test_laplace_knows_nothing_after_a_context_that_it_never_saw():
    logits, _ = trained(lmcore.laplace, 3)(torch.tensor([[3, 2]]))
    torch.testing.assert_close(logits[0, 1], torch.full((VOCAB_SIZE,), -math.log(VOCAB_SIZE)).double())


def test_maximum_likelihood_holds_what_it_never_saw_impossible():
    model = lmcore.maximum_likelihood([np.array([2, 5, 6, 5, 3])], VOCAB_SIZE, 2)
    logits, _ = model(torch.tensor([[5]]))
    assert (logits[0, 0] == -math.inf).sum() == VOCAB_SIZE - 2
    nats, _ = model.target_nats(torch.tensor([[5, 5]]), torch.tensor([[6, 7]]))
    assert nats.tolist() == [[pytest.approx(math.log(2)), math.inf]]


def test_the_evaluator_finds_the_sum_of_the_targets(trigram):
    documents = arrays(hand.long_text(seed=4, size=200))
    if trigram.about["smoothing"] == "maximum likelihood":
        documents = arrays(hand.long_text(seed=3, size=400))  # the training text: nothing is impossible
    total = sum(
        float(trigram.target_nats(ids[None, :-1], ids[None, 1:])[0].sum())
        for ids in (torch.from_numpy(document).long() for document in documents)
    )
    for batch_size, seq_len in ((1, 3), (4, 1), (7, 1000)):
        result = evaluate(trigram, DocumentBatches(documents, 0, batch_size, seq_len), pad_id=0)
        assert result.total_nats == pytest.approx(total, rel=1e-12)
        assert result.num_tokens == sum(len(document) - 1 for document in documents)


def test_training_text_gets_likelier_with_the_order_until_it_is_known_by_heart():
    documents = arrays(hand.long_text(seed=3, size=400))
    batches = DocumentBatches(documents, pad_id=0)
    nats = [evaluate(trained(lmcore.maximum_likelihood, n), batches, 0).total_nats for n in range(1, 6)]
    assert nats == sorted(nats, reverse=True)


def test_a_length_without_ngrams_leaves_everything_to_the_shorter_contexts():
    def nothing(num_contexts: int) -> NGramTable:
        keys = torch.empty(0, dtype=torch.int64)
        return NGramTable(keys, torch.zeros(1).double(), torch.ones(num_contexts + 1).double())

    assert nothing(3).find(torch.tensor([[0, 7], [-8, 3]])).tolist() == [[-1, -1], [-1, -1]]
    short = trained(lmcore.kneser_ney, 1)
    tables = [*short.tables, nothing(VOCAB_SIZE), nothing(0)]
    long = NGramLM(VOCAB_SIZE, tables, to_all=False, about={})
    inputs, targets = torch.tensor([[2, 8, 7, 4]]), torch.tensor([[8, 7, 4, 3]])
    assert torch.equal(long(inputs)[0], short(inputs)[0])
    assert torch.equal(long.target_nats(inputs, targets)[0], short.target_nats(inputs, targets)[0])


def test_generation_writes_only_what_maximum_likelihood_has_seen():
    document = [2, 4, 5, 6, 4, 5, 7, 3]
    model = lmcore.maximum_likelihood([np.array(document)], VOCAB_SIZE, 3)
    seen = {tuple(document[i : i + 3]) for i in range(len(document) - 2)}
    for seed in range(5):
        sampling = lmcore.Sampling(max_new_tokens=30, seed=seed)
        written = [2, *lmcore.generate_ids(model, [2], sampling, eos_id=3)]
        assert written[-1] == 3 or len(written) == 31
        assert {tuple(written[i : i + 3]) for i in range(len(written) - 2)} <= seen


def test_ids_from_a_token_file_count_the_same(bpe, documents, tmp_path):
    in_memory = bpe.encode_documents(documents)
    in_a_file = lmcore.token_file(bpe, documents, {"text": "tiny"}, tmp_path)
    assert in_a_file.ids.dtype == np.uint16
    probe = torch.from_numpy(in_memory[0]).long()[None]
    models = [lmcore.kneser_ney(ids, bpe.vocab_size, 3) for ids in (in_memory, in_a_file)]
    assert torch.equal(models[0](probe)[0], models[1](probe)[0])


def test_sizes_are_told(trigram):
    documents = hand.long_text(seed=3, size=400)
    kept = [len(hand.plain_counts(documents, length)) for length in (2, 3)]
    assert trigram.num_ngrams == [VOCAB_SIZE, *kept]
    assert trigram.order == 3
    assert trigram.about["smoothing"] in repr(trigram)


@pytest.mark.parametrize("bad", [-1, VOCAB_SIZE])
def test_ids_outside_the_vocabulary_are_refused_and_not_taken_for_others(trigram, bad):
    good, wrong = torch.tensor([[2, 8]]), torch.tensor([[8, bad]])
    message = f"token {bad} is outside vocab_size {VOCAB_SIZE}"
    with pytest.raises(InputError, match=message):
        trigram(wrong)
    with pytest.raises(InputError, match=message):
        trigram.target_nats(good, wrong)


def test_a_batch_without_rows_has_no_nats(trigram):
    none = torch.empty(0, 4, dtype=torch.int64)
    nats, state = trigram.target_nats(none, none)
    assert nats.shape == (0, 4)
    assert trigram(none, state)[0].shape == (0, 4, VOCAB_SIZE)


# --- files -----------------------------------------------------------------------------------------


def test_a_saved_model_comes_back_as_it_was(trigram, tmp_path):
    trigram.save(tmp_path / "model.safetensors")
    found = NGramLM.load(tmp_path / "model.safetensors")
    probe = torch.tensor([[2, 8, 8, 0, 5, 7]])
    assert torch.equal(found(probe)[0], trigram(probe)[0])
    assert (found.about, found.order, found.vocab_size) == (trigram.about, 3, VOCAB_SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_what_is_no_saved_model_is_refused(tmp_path, trigram):
    path = tmp_path / "model.safetensors"
    with pytest.raises(InputError, match="there is no n-gram model at"):
        NGramLM.load(path)
    trigram.save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="is not an n-gram model"):
        NGramLM.load(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="is not an n-gram model"):
        NGramLM.load(path)
