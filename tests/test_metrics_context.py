"""What the model has read before a token: state carried or reset, loss by position, several processes."""

import math
from collections import Counter
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lmcore.data import Batch, DocumentBatches
from lmcore.distributed import World
from lmcore.errors import InputError
from lmcore.metrics import Evaluation, PositionBin, count_words, evaluate
from lmcore.ngram import UnigramLM
from lmcore.rnn import RecurrentLM, RNNConfig
from lmcore.smoothing import kneser_ney

PAD, VOCAB = 0, 6
SURE = 0.9


class RunningSum(nn.Module):
    """Says "1 + the sum of all tokens read, modulo 5" with probability 0.9: exact memory and nothing else."""

    def forward(self, tokens, state=None):
        sums = tokens.cumsum(dim=1) + (0 if state is None else state[:, None])  # padding adds 0
        probs = torch.full((*tokens.shape, VOCAB), (1 - SURE) / (VOCAB - 1), dtype=torch.float64)
        probs.scatter_(2, 1 + sums[:, :, None] % (VOCAB - 1), SURE)
        return probs.log(), sums[:, -1]


class ScoresTargets(RunningSum):
    """The same model, offering what counting models offer."""

    def target_nats(self, inputs, targets, state=None):
        logits, state = super().forward(inputs, state)
        return -logits.gather(2, targets[:, :, None]).squeeze(2), state

    def forward(self, tokens, state=None):
        raise AssertionError("rows of V were made although only the targets' were needed")


@cache
def models() -> dict[str, nn.Module]:
    torch.manual_seed(3)
    recurrent = RecurrentLM(RNNConfig(vocab_size=VOCAB, emb_dim=8)).double().eval()
    with torch.no_grad():
        for parameter in recurrent.parameters():
            parameter.mul_(3)  # far enough from its start that what it has read matters
    texts = documents([30, 20])
    return {
        "recurrent": recurrent,
        "unigram": UnigramLM(texts, VOCAB),
        "kneser-ney": kneser_ney(texts, VOCAB, order=4),
        "logits": RunningSum(),
        "target nats": ScoresTargets(),
    }


def documents(lengths: list[int]) -> list[np.ndarray]:
    random = np.random.default_rng(len(lengths))
    return [random.integers(1, VOCAB, size=length) for length in lengths]


def obedient(lengths: list[int]) -> list[np.ndarray]:
    """Documents that follow the rule of `RunningSum`."""
    rows = []
    for number, length in enumerate(lengths):
        row = [1 + number % (VOCAB - 1)]
        while len(row) < length:
            row.append(1 + sum(row) % (VOCAB - 1))
        rows.append(np.array(row))
    return rows


def token_by_token(model: nn.Module, texts: list[np.ndarray], reset_every: int | None) -> dict[int, list]:
    """Position -> nats of each token predicted there."""
    nats = {}
    for text in texts:
        position, state = 0, None
        for token, following in pairwise(text):
            if position == reset_every:
                position, state = 0, None
            position += 1
            with torch.no_grad():
                logits, state = model(torch.tensor([[token]]), state)
            loss = -logits[0, 0].double().log_softmax(dim=0)[int(following)].item()
            nats.setdefault(position, []).append(loss)
    return nats


def in_bins(nats: dict[int, list]) -> dict[tuple[int, int], list]:
    """Positions 1, 2, 3-4, 5-8, ... put together."""
    bins = {}
    for position, values in nats.items():
        last = 1
        while last < position:
            last *= 2
        bins.setdefault((last // 2 + 1, last), []).extend(values)
    return bins


@pytest.mark.parametrize("name", ["recurrent", "unigram", "kneser-ney", "logits", "target nats"])
@given(
    lengths=st.lists(st.integers(1, 14), min_size=1, max_size=6).filter(lambda n: max(n) > 1),
    batch_size=st.integers(1, 4),
    seq_len=st.integers(1, 15),
    reset_every=st.none() | st.integers(1, 16),
    by_position=st.booleans(),
)
@settings(max_examples=40)
def test_no_cut_of_a_text_changes_a_sum(name, lengths, batch_size, seq_len, reset_every, by_position):
    texts, model = documents(lengths), models()[name]
    batches = DocumentBatches(texts, PAD, batch_size, seq_len, reset_every)
    result = evaluate(model, batches, PAD, by_position=by_position)
    in_one = evaluate(model, DocumentBatches(texts, PAD, 1, 100, reset_every), PAD)
    assert result.total_nats == pytest.approx(in_one.total_nats, abs=1e-9)
    plain = models()["logits"] if name == "target nats" else model
    expected = token_by_token(plain, texts, reset_every)
    assert result.num_tokens == sum(lengths) - len(lengths)
    # the unigram model's rows are float32
    close = {"abs": 1e-9} if name != "unigram" else {"rel": 1e-6}
    assert result.total_nats == pytest.approx(sum(map(sum, expected.values())), **close)
    bins = {(found.first, found.last): found for found in result.by_position}
    assert list(bins) == (sorted(in_bins(expected)) if by_position else [])
    for edges, found in bins.items():
        values = in_bins(expected)[edges]
        assert found.num_tokens == len(values)
        assert found.total_nats == pytest.approx(sum(values), **close)


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6).filter(lambda n: max(n) > 1),
    batch_size=st.integers(1, 4),
    seq_len=st.integers(1, 13),
    reset_every=st.integers(1, 13),
)
def test_every_token_is_predicted_once_and_no_window_is_longer_than_asked(
    lengths, batch_size, seq_len, reset_every
):
    ends = np.cumsum(lengths)
    unique = [np.arange(end - n, end) + 1 for end, n in zip(ends, lengths, strict=True)]
    before = {int(b): int(a) for text in unique for a, b in pairwise(text)}
    scored, read = Counter(), 0
    for batch in DocumentBatches(unique, PAD, batch_size, seq_len, reset_every):
        read = batch.inputs.shape[1] + (read if batch.carries_state else 0)
        assert read <= reset_every
        real = batch.targets != PAD
        assert batch.lengths.tolist() == real.sum(dim=1).tolist()
        for given_, target in zip(batch.inputs[real].tolist(), batch.targets[real].tolist(), strict=True):
            assert before[target] == given_
            scored[target] += 1
    assert scored == Counter(list(before))


def test_losing_the_state_costs_a_model_that_needs_it():
    texts = obedient([40, 25, 33])
    carried = evaluate(RunningSum(), DocumentBatches(texts, PAD), PAD)
    assert carried.nats_per_token == pytest.approx(-math.log(SURE), abs=1e-12)
    for reset_every in (1, 4, 16):
        batches = DocumentBatches(texts, PAD, reset_every=reset_every)
        assert evaluate(RunningSum(), batches, PAD).nats_per_token > carried.nats_per_token + 0.5
    whole = DocumentBatches(texts, PAD, reset_every=39)
    assert evaluate(RunningSum(), whole, PAD).total_nats == pytest.approx(carried.total_nats, abs=1e-12)


def test_bins_show_how_far_a_model_looks_back():
    """The first two predictions of each document are the obedient ones."""
    texts = [np.concatenate([text[:3], text[3:] % (VOCAB - 1) + 1]) for text in obedient([9, 20, 14])]
    result = evaluate(RunningSum(), DocumentBatches(texts, PAD, 2, 5), PAD, by_position=True)
    edges = [(found.first, found.last) for found in result.by_position]
    assert edges == [(1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32)]
    assert [found.num_tokens for found in result.by_position] == [3, 3, 6, 12, 8 + 5, 3]
    for found in result.by_position[:2]:
        assert found.nats_per_token == pytest.approx(-math.log(SURE), abs=1e-12)
    assert min(found.nats_per_token for found in result.by_position[2:]) > 1
    assert str(result.by_position[2]).startswith("      3 to       4 tokens read: ")
    assert str(result.by_position[2]).endswith(" nats/token over         6 tokens")


def test_the_result_says_what_became_of_the_state():
    texts = documents([9, 12])
    carried = DocumentBatches(texts, PAD, seq_len=100)  # in one window, and carried through it
    assert not any(batch.carries_state for batch in carried)
    assert evaluate(RunningSum(), carried, PAD).state == "carried"
    reset = evaluate(RunningSum(), DocumentBatches(texts, PAD, reset_every=4), PAD)
    assert reset.state == "reset every 4 tokens"
    assert str(reset).endswith("over 19 tokens, state reset every 4 tokens")
    pieces = list(DocumentBatches(texts, PAD, seq_len=5))
    assert evaluate(RunningSum(), pieces, PAD).state == "carried"
    assert evaluate(RunningSum(), [pieces[0]], PAD).state == "reset"


def test_words_are_what_white_space_separates():
    assert count_words(["It's the sea,  the\n\nsea.", "", " — "]) == 6
    result = Evaluation(total_nats=6 * math.log(8), num_tokens=9, num_bytes=None, num_words=3)
    assert result.word_perplexity == pytest.approx(64)
    assert "unknown bits/byte, word perplexity 64.0 over 9 tokens" in str(result)
    assert Evaluation(1.0, 1, None).word_perplexity is None
    assert Evaluation(1e6, 1, None, num_words=1).word_perplexity == math.inf


def test_word_perplexity_needs_the_words_and_no_unknown_target():
    batches = DocumentBatches([np.array([1, 2, 3, 4])], PAD)
    result = evaluate(RunningSum(), batches, PAD, num_words=2)
    assert result.word_perplexity == pytest.approx(math.exp(result.total_nats / 2))
    assert evaluate(RunningSum(), batches, PAD, unk_id=5, num_words=2).num_words == 2
    assert evaluate(RunningSum(), batches, PAD, unk_id=4, num_words=2).num_words is None
    assert evaluate(RunningSum(), batches, PAD).num_words is None


class OneOf(World):
    """A process that keeps its own sums, so that a test can add them up."""

    def sum(self, values):
        return list(values)


@pytest.mark.parametrize("name", ["recurrent", "target nats"])
@pytest.mark.parametrize("size", [2, 3])
def test_processes_add_up_to_one(name, size):
    texts, model = documents([14, 3, 9, 9, 11, 2, 7]), models()[name]
    batches = DocumentBatches(texts, PAD, batch_size=4, seq_len=5)
    text = {"token_bytes": np.arange(VOCAB), "unk_id": None, "by_position": True}
    alone = evaluate(model, batches, PAD, **text)
    shares = [evaluate(model, batches, PAD, world=OneOf(rank, size), **text) for rank in range(size)]
    for name_ in ("total_nats", "num_tokens", "num_bytes"):
        found = sum(getattr(share, name_) for share in shares)
        assert found == pytest.approx(getattr(alone, name_), abs=1e-9)
    together = Counter()
    for found in (found for share in shares for found in share.by_position):
        together[found.first, found.last, "nats"] += found.total_nats
        together[found.first, found.last, "tokens"] += found.num_tokens
    for found in alone.by_position:
        assert together[found.first, found.last, "nats"] == pytest.approx(found.total_nats, abs=1e-9)
        assert together[found.first, found.last, "tokens"] == found.num_tokens


def test_a_token_outside_the_vocabulary_is_named(model):
    def score(ids, **more):
        return evaluate(model, DocumentBatches([np.array(ids)], PAD), PAD, **more)

    assert score([19, 1, 19]).num_tokens == 2
    for ids, wrong in (([1, 2, 20], 20), ([25, 2, 3], 25), ([1, -3, 2], -3)):
        with pytest.raises(InputError, match=f"token {wrong} is outside vocab_size 20"):
            score(ids)
    model.train()
    with pytest.raises(InputError, match="token 19 is outside vocab_size 15"):  # another tokenizer's bytes
        score([1, 19], token_bytes=np.ones(15, dtype=np.int64))
    assert model.training


def test_weights_that_are_no_numbers_are_named(model):
    batches = DocumentBatches([np.array([1, 2, 3])], PAD)
    with torch.no_grad():
        model.layers[1].U[2, :3] = math.nan
    with pytest.raises(InputError, match=r"^the loss is nan: layers\.1\.U holds 3 values that are nan"):
        evaluate(model, batches, PAD)


def test_a_loss_that_is_no_number_is_not_returned():
    class NoNumber(RunningSum):
        def forward(self, tokens, state=None):
            return torch.full((*tokens.shape, VOCAB), math.nan), None

    with pytest.raises(InputError, match="the loss is nan, although every parameter"):
        evaluate(NoNumber(), DocumentBatches([np.array([1, 2, 3])], PAD), PAD)


def test_an_impossible_token_makes_the_loss_infinite():
    class Certain(RunningSum):
        def forward(self, tokens, state=None):
            logits = torch.full((*tokens.shape, VOCAB), -math.inf)
            logits[:, :, 1] = 0.0
            return logits, None

    assert evaluate(Certain(), DocumentBatches([np.array([2, 1, 3])], PAD), PAD).perplexity == math.inf
    assert evaluate(Certain(), DocumentBatches([np.array([2, 1, 1])], PAD), PAD).perplexity == 1


@pytest.mark.parametrize(
    "batches", [[], [Batch(torch.ones(2, 3).long(), torch.full((2, 3), PAD), carries_state=False)]]
)
def test_nothing_to_predict_is_refused(batches):
    with pytest.raises(InputError, match="the text to score holds 0 predictions; at least 1 is needed"):
        evaluate(RunningSum(), batches, PAD)


def test_empty_documents_and_windows_are_refused():
    empty = [np.array([1, 2]), np.array([], dtype=np.int64)]
    with pytest.raises(InputError, match=r"document 1 of 2 \(from 0\) has 0 tokens"):
        DocumentBatches(empty, PAD)
    with pytest.raises(InputError, match="reset_every is 0; it must be at least 1"):
        DocumentBatches([np.array([1, 2])], PAD, reset_every=0)


def test_a_bin_divides_its_own_sums():
    assert PositionBin(first=3, last=4, total_nats=6.0, num_tokens=4).nats_per_token == 1.5
