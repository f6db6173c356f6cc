"""Generation: the right distribution, the right stop, one token at a time, the same every time."""

import pytest
import torch
from torch import nn

from lmcore.errors import InputError
from lmcore.generate import Sampling, draw, generate, generate_ids, next_token_probs
from lmcore.ngram import UnigramLM
from lmcore.rnn import RecurrentLM, RNNConfig

PAD, UNK, BOS, EOS = range(4)
NO_END = -1


class Chain(nn.Module):
    """Logits depend on the last token only; counts how many tokens it is given."""

    def __init__(self, table: torch.Tensor):
        super().__init__()
        self.table = nn.Parameter(table)
        self.lengths: list[int] = []

    def forward(self, tokens, state=None):
        assert not torch.is_grad_enabled()
        self.lengths.append(tokens.shape[1])
        return self.table[tokens], None


def always(token: int, vocab_size: int = 8) -> Chain:
    """A model that puts all its mass on one token."""
    table = torch.zeros(vocab_size, vocab_size)
    table[:, token] = 50.0
    return Chain(table)


@pytest.fixture
def lively(model) -> RecurrentLM:
    """The tiny model with weights large enough that what it has read matters."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0, max_new_tokens=30),
        Sampling(temperature=0.0, max_new_tokens=0),
        Sampling(max_new_tokens=30, seed=4),
        Sampling(temperature=0.7, top_k=5, top_p=0.9, max_new_tokens=30, seed=5),
    ],
)
def test_carrying_the_state_equals_reading_everything_again(lively, sampling):
    prompt, never = [2, 7, 5], (PAD, UNK, BOS)
    draws = torch.Generator().manual_seed(sampling.seed)
    ids = list(prompt)
    for _ in range(sampling.max_new_tokens):
        logits = lively(torch.tensor([ids]))[0][0, -1].detach().float()
        logits[list(never)] = -torch.inf
        ids.append(draw(next_token_probs(logits, sampling), draws))
        if ids[-1] == EOS:
            break
    assert generate_ids(lively, prompt, sampling, EOS, never) == ids[3:]


def test_each_step_feeds_one_token():
    chain = always(5)
    assert generate_ids(chain, [2, 4, 4], Sampling(max_new_tokens=4), EOS) == [5] * 4
    assert chain.lengths[0] == 3
    assert set(chain.lengths[1:]) == {1}
    assert len(chain.lengths) <= 5


def test_greedy_takes_the_likeliest_token_whatever_the_seed(lively):
    found = [generate_ids(lively, [2], Sampling(temperature=0.0, seed=seed), EOS) for seed in (0, 1)]
    assert found[0] == found[1]
    assert found[0][0] == lively(torch.tensor([[2]]))[0][0, -1].argmax()


def test_same_seed_same_ids_and_another_seed_other_ids(lively):
    def ids(seed: int) -> list[int]:
        return generate_ids(lively, [2], Sampling(max_new_tokens=40, seed=seed), eos_id=-1)

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)
    assert len(ids(1)) == 40


def test_global_random_state_is_neither_read_nor_changed(lively):
    before = torch.get_rng_state()
    first = generate_ids(lively, [2], Sampling(), EOS)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert generate_ids(lively, [2], Sampling(), EOS) == first


def test_stops_at_the_end_token():
    table = torch.zeros(8, 8)
    for token, following in ((2, 6), (6, 5), (5, EOS), (EOS, 6)):
        table[token, following] = 50.0
    assert generate_ids(Chain(table), [2], Sampling(max_new_tokens=20), EOS) == [6, 5, EOS]


def test_text_ends_where_the_model_ends_it(char):
    assert generate(always(char.eos_id, char.vocab_size), char, "The") == "The"


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_tokens_without_text_are_never_drawn(kind, temperature, request):
    tokenizer = request.getfixturevalue(kind)
    table = torch.zeros(tokenizer.vocab_size, tokenizer.vocab_size)
    table[:, :3] = 30.0  # <pad>, <unk>, <bos>
    table[:, 7] = 20.0
    expected = tokenizer.decode([7] * 12)
    sampling = Sampling(temperature=temperature, max_new_tokens=12)
    assert generate(Chain(table), tokenizer, "A", sampling) == "A" + expected


def test_prompt_that_the_tokenizer_does_not_know_is_refused(char):
    with pytest.raises(InputError, match="the prompt holds 'ß'"):
        generate(always(5, char.vocab_size), char, "ß")


def test_a_counting_model_writes_too_and_stays_as_it_was():
    unigram = UnigramLM([torch.tensor([2, 5, 5, 5, 6, 3]).numpy()] * 50, vocab_size=8)
    before = unigram.log_probs.clone()
    ids = generate_ids(unigram, [2], Sampling(max_new_tokens=30), eos_id=-1, never=(PAD, UNK, BOS, 3))
    assert {5, 6} <= set(ids) <= {4, 5, 6, 7}
    assert torch.equal(unigram.log_probs, before)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_is_restored(training):
    model = RecurrentLM(RNNConfig(vocab_size=20, emb_dim=8, dropout=0.5)).train(training)
    found = [generate_ids(model, [2], Sampling(temperature=0.0), EOS) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    assert model.training is training


def test_draws_follow_the_probabilities():
    row = torch.tensor([-torch.inf, -torch.inf, -torch.inf, -torch.inf, 0.0, 0.5, 1.0, 1.5])
    sampling = Sampling(temperature=1.3, max_new_tokens=4000, seed=6)
    ids = generate_ids(Chain(row.repeat(8, 1)), [2], sampling, eos_id=-1)
    expected = 4000 * next_token_probs(row, sampling)[4:]
    counts = torch.bincount(torch.tensor(ids), minlength=8)[4:]
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 11.34  # 99% of samples from these probabilities, 3 degrees of freedom


def test_a_draw_is_the_interval_in_which_the_point_falls(monkeypatch):
    probs = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    points = {0.0: 1, 0.2499: 1, 0.25: 3, 0.7499: 3, 0.75: 4, 0.9999: 4}
    for point, expected in points.items():
        monkeypatch.setattr(torch, "rand", lambda *_, point=point, **__: torch.tensor([point]).double())
        assert draw(probs, torch.Generator()) == expected


def test_probabilities_that_do_not_sum_to_one_exactly_are_drawn_in_proportion():
    draws = torch.Generator().manual_seed(1)
    counts = torch.bincount(torch.tensor([draw(torch.tensor([3.0, 0.0, 1.0]), draws) for _ in range(4000)]))
    assert counts[1] == 0
    assert abs(counts[0] / 4000 - 0.75) < 0.03


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(("value", "shown"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_a_model_whose_weights_are_no_numbers_is_refused(temperature, value, shown):
    chain = always(5)
    with torch.no_grad():
        chain.table[3, 4] = value
    with pytest.raises(InputError, match=f"largest logit is {shown}"):
        generate_ids(chain, [3], Sampling(temperature=temperature), EOS)


def test_nothing_to_draw_from_is_an_error():
    for probs in (torch.zeros(3), torch.full((3,), float("nan")), torch.tensor([0.5, float("inf")])):
        with pytest.raises(InputError, match="nothing to draw"):
            draw(probs, torch.Generator())


@pytest.mark.parametrize(("new_tokens", "strides"), [(15, (8, 1)), (16, (1, 20))])
def test_a_long_text_is_written_with_the_matrix_laid_out_by_columns(model, new_tokens, strides):
    seen = []
    model.output.register_forward_hook(lambda layer, *_: seen.append(layer.weight.stride()))
    generate_ids(model, [2], Sampling(max_new_tokens=new_tokens), NO_END)
    assert set(seen) == {strides}
    assert model.output.weight.stride() == (8, 1)
