"""Generation: the right distribution, the right stop, one token at a time, the same every time."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from lmcore.errors import InputError
from lmcore.generate import generate, generate_batch, generate_ids
from lmcore.ngram import UnigramLM
from lmcore.rnn import RecurrentLM, RNNConfig
from lmcore.sampling import Sampling, draw, next_token_probs

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


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(("value", "shown"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_a_model_whose_weights_are_no_numbers_is_refused(temperature, value, shown):
    chain = always(5)
    with torch.no_grad():
        chain.table[3, 4] = value
    with pytest.raises(InputError, match=f"largest logit is {shown}"):
        generate_ids(chain, [3], Sampling(temperature=temperature), EOS)


@pytest.mark.parametrize(("new_tokens", "strides"), [(15, (8, 1)), (16, (1, 20))])
def test_a_long_text_is_written_with_the_matrix_laid_out_by_columns(model, new_tokens, strides):
    seen = []
    model.output.register_forward_hook(lambda layer, *_: seen.append(layer.weight.stride()))
    generate_ids(model, [2], Sampling(max_new_tokens=new_tokens), NO_END)
    assert set(seen) == {strides}
    assert model.output.weight.stride() == (8, 1)


@pytest.mark.parametrize("stop", [(), ["e", " t"]])
def test_a_batch_is_what_each_prompt_gives_alone(tokenizer, stop):
    model = RecurrentLM(RNNConfig(tokenizer.vocab_size, emb_dim=8)).double()
    prompts = ["", "The captain asked for a chart", "The", "The"]
    sampling = Sampling(temperature=1.2, top_p=0.95, max_new_tokens=30, seed=5)
    together = generate_batch(model, tokenizer, prompts, sampling, stop)
    alone = [replace(sampling, seed=5 + row) for row in range(len(prompts))]
    expected = [generate(model, tokenizer, *pair, stop) for pair in zip(prompts, alone, strict=True)]
    assert [written.text for written in together] == expected
    assert len(set(expected)) == len(prompts)


def test_a_batch_says_how_each_text_ended(char):
    table = torch.zeros(char.vocab_size, char.vocab_size)
    for before, following in ("aa", "bc", "de"):
        (first,), (then,) = char.encode(before), char.encode(following)
        table[first, then] = 50.0
    table[char.encode("c"), char.eos_id] = table[char.encode("e"), char.encode("d")] = 50.0
    found = generate_batch(Chain(table), char, ["a", "b", "d"], Sampling(max_new_tokens=4), stop="ede")
    assert [(written.text, written.ended_by) for written in found] == [
        ("aaaaa", "length"), ("bc", "eos"), ("d", "stop"),
    ]  # fmt: skip
    assert found[1].ids == [*char.encode("c"), char.eos_id]
    assert char.decode(found[2].ids) == "ede"
    assert found[0].log_probs == found[0].drawn_log_probs == []


def test_scores_of_a_text(char):
    model = RecurrentLM(RNNConfig(char.vocab_size, emb_dim=8))
    sampling = Sampling(temperature=0.5, max_new_tokens=9, seed=1)
    (written,) = generate_batch(model, char, ["The"], sampling, scores=True)
    ids = torch.tensor([[*char.encode_prompt("The"), *written.ids]])
    new = slice(len(ids[0]) - len(written.ids) - 1, -1)
    logits = model(ids)[0][0, new].detach()
    chosen = torch.tensor(written.ids)[:, None]
    expected = logits.log_softmax(dim=-1).gather(1, chosen).squeeze(1)
    torch.testing.assert_close(torch.tensor(written.log_probs), expected)
    logits[:, [char.pad_id, char.unk_id, char.bos_id]] = -torch.inf
    expected = (logits / 0.5).log_softmax(dim=-1).gather(1, chosen).squeeze(1)
    torch.testing.assert_close(torch.tensor(written.drawn_log_probs), expected)
