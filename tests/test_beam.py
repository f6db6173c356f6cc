"""Beam search finds what an exhaustive search finds, and stops when nothing better can come."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_models import any_model, each_model
from torch import nn

from lmcore.beam import BeamSearch, Hypothesis, beam_search, beam_search_ids
from lmcore.errors import InputError
from lmcore.generate import generate, generate_batch, generate_ids, stream
from lmcore.rnn import RecurrentLM, RNNConfig
from lmcore.sampling import Sampling

V, N, EOS = 4, 4, 3
NO_END = -1


class Memory(nn.Module):
    """Random logits that depend on the last two tokens and on how many were read: no two texts tie."""

    def __init__(self, seed: int, vocab_size: int = V, scale: float = 1.0):
        super().__init__()
        draws = torch.Generator().manual_seed(seed)
        self.table = scale * torch.randn(50, *[vocab_size] * 3, generator=draws, dtype=torch.float64)
        self.steps = 0

    def forward(self, tokens, state=None):
        self.steps += 1
        last, read = state or (tokens[:, :1], torch.zeros(len(tokens), 1, dtype=torch.int64))
        before, places = torch.cat([last, tokens[:, :-1]], dim=1), read + torch.arange(tokens.shape[1])
        return self.table[places, before, tokens], (tokens[:, -1:], places[:, -1:] + 1)


def log_prob_of(model: nn.Module, prompt: list[int], ids: list[int]) -> float:
    """Of these ids after the prompt, from one pass over all of them."""
    log_probs = model(torch.tensor([[*prompt, *ids]]))[0][0].double().log_softmax(dim=-1)
    places = range(len(prompt) - 1, len(prompt) + len(ids) - 1)
    return sum(log_probs[place, token].item() for place, token in zip(places, ids, strict=True))


def all_texts(model: nn.Module, prompt: list[int], search: BeamSearch, never: list[int]) -> list[Hypothesis]:
    """Every text that ends with EOS or is as long as allowed, best first."""
    tokens = [token for token in range(V) if token not in (EOS, *never)]
    found = []
    for length in range(1, search.max_new_tokens + 1):
        for head in itertools.product(tokens, repeat=length - 1):
            for last in [EOS, *tokens] if length == search.max_new_tokens else [EOS]:
                log_prob = log_prob_of(model, prompt, [*head, last])
                score = log_prob / length**search.length_penalty
                found.append(Hypothesis([*head, last], log_prob, score))
    return sorted(found, key=lambda text: -text.score)


def same(found: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [text.ids for text in found] == [text.ids for text in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-10)
        assert one.score == pytest.approx(other.score, abs=1e-10)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("never", [[], [1]])
def test_with_enough_beams_it_finds_the_best_of_all_texts(penalty, never):
    for seed in range(3):
        model, search = Memory(seed), BeamSearch(V**N, penalty, N)
        expected = all_texts(model, [2, 0], search, never)
        assert len(expected) == sum((V - 1 - len(never)) ** length for length in range(N + 1))
        same(beam_search_ids(model, [2, 0], search, EOS, never), expected)


def search_by_hand(
    model: nn.Module, prompt: list[int], search: BeamSearch, eos_id: int, vocab_size: int
) -> list[Hypothesis]:
    """Beam search to the end, every text read anew."""
    beams, finished = [([], 0.0)], []
    for length in range(1, search.max_new_tokens + 1):
        longer = [
            ([*ids, token], log_prob_of(model, prompt, [*ids, token]))
            for ids, _ in beams
            for token in range(vocab_size)
        ]
        longer.sort(key=lambda text: -text[1])
        ended = [text for text in longer[: search.beams] if text[0][-1] == eos_id]
        beams = [text for text in longer if text[0][-1] != eos_id][: search.beams]
        if length == search.max_new_tokens:
            ended += beams
        finished += [Hypothesis(*text, text[1] / length**search.length_penalty) for text in ended]
    return sorted(finished, key=lambda text: -text.score)[: search.beams]


@given(
    seed=st.integers(0, 10_000),
    beams=st.integers(1, 4),
    penalty=st.sampled_from([0.0, 0.7, 1.0, 1.5, -0.5]),
    steps=st.integers(1, 6),
    scale=st.sampled_from([0.5, 3.0]),
)
def test_stopping_early_loses_nothing(seed, beams, penalty, steps, scale):
    model, search = Memory(seed, V, scale), BeamSearch(beams, penalty, steps)
    expected = search_by_hand(model, [2], search, EOS, V)
    same(beam_search_ids(model, [2], search, EOS), expected)


def test_it_stops_when_no_beam_can_win():
    model = Memory(0)
    model.table[:] = torch.tensor([0.1, 0.05, 0.05, 0.8], dtype=torch.float64).log()
    found = beam_search_ids(model, [2], BeamSearch(1, 0.0, 40), EOS)
    same(found, [Hypothesis([EOS], math.log(0.8), math.log(0.8))])
    assert model.steps == 1
    # in the mean of 40 tokens, 0.1 once or even three times would be better than 0.8, four times is not
    model.steps = 0
    assert beam_search_ids(model, [2], BeamSearch(1, 1.0, 40), EOS)[0].ids == [EOS]
    assert model.steps == 4


@pytest.mark.parametrize("seed", range(5))
def test_one_beam_that_sums_up_is_greedy_choice(seed):
    model = Memory(seed, vocab_size=12)
    (found,) = beam_search_ids(model, [2, 5], BeamSearch(1, 0.0, 15), eos_id=7, never=[1])
    assert found.ids == generate_ids(model, [2, 5], Sampling(0.0, max_new_tokens=15), eos_id=7, never=(1,))


@each_model
def test_beams_of_every_model_have_the_probability_of_their_text(name):
    model, prompt = any_model(name), [2, 7, 5, 1, 4, 9]
    found = beam_search_ids(model, prompt, BeamSearch(4, 1.0, 8), eos_id=9, never=[3])
    assert 1 <= len({tuple(text.ids) for text in found}) == len(found) <= 4
    with torch.no_grad():
        for text in found:
            assert text.log_prob == pytest.approx(log_prob_of(model, prompt, text.ids), abs=1e-6)
            assert text.score == pytest.approx(text.log_prob / len(text.ids))
            assert 3 not in text.ids
            assert 9 not in text.ids[:-1]
    assert [text.score for text in found] == sorted((text.score for text in found), reverse=True)


def test_a_higher_penalty_prefers_longer_texts():
    model = Memory(3)
    lengths = [
        len(beam_search_ids(model, [2], BeamSearch(64, penalty, N), EOS)[0].ids) for penalty in (-3.0, 5.0)
    ]
    assert lengths == [1, N]


def test_texts_with_their_scores(char):
    torch.manual_seed(2)
    model = RecurrentLM(RNNConfig(char.vocab_size, emb_dim=8)).train()
    found = beam_search(model, char, "The", BeamSearch(3, 1.0, 6))
    prompt, never = char.encode_prompt("The"), [0, 1, 2]
    expected = beam_search_ids(model, prompt, BeamSearch(3, 1.0, 6), char.eos_id, never)
    assert found == [(char.decode(prompt + text.ids), text.score) for text in expected]
    assert all(text.startswith("The") for text, _ in found)
    assert model.training
    assert len(beam_search(model, char, "")) == 4


def by_log_prob(rows: list[tuple[str, str, float]], char) -> nn.Module:
    """Probabilities of one character after another; what is not named has next to none."""

    class Table(nn.Module):
        def forward(self, tokens, state=None):
            return table[tokens], None

    table = torch.full((char.vocab_size, char.vocab_size), -30.0, dtype=torch.float64)
    for before, after, p in rows:
        after_id = char.eos_id if after == "" else char.encode(after)[0]
        table[char.encode(before)[0], after_id] = math.log(p)
    return Table()


def test_a_search_is_one_of_the_ways_to_generate(char):
    torch.manual_seed(2)
    model = RecurrentLM(RNNConfig(char.vocab_size, emb_dim=8))
    search, prompts = BeamSearch(3, 1.0, 6), ["The", "", "A ship"]
    found = generate_batch(model, char, prompts, search, scores=True)
    never = [char.pad_id, char.unk_id, char.bos_id]
    for prompt, written in zip(prompts, found, strict=True):
        best = beam_search_ids(model, char.encode_prompt(prompt), search, char.eos_id, never)[0]
        assert written.text == beam_search(model, char, prompt, search)[0][0]
        assert written.text == generate(model, char, prompt, search)
        assert (written.ids, written.log_probs) == (best.ids, list(best.log_probs))
        assert len(written.log_probs) == len(written.ids)
        assert sum(written.log_probs) == pytest.approx(best.log_prob, abs=1e-10)
        each = [log_prob_of(model, char.encode_prompt(prompt), written.ids[:n]) for n in range(1, 4)]
        assert sum(written.log_probs[:3]) == pytest.approx(each[2], abs=1e-5)
        assert written.log_probs[1] == pytest.approx(each[1] - each[0], abs=1e-5)
        assert written.drawn_log_probs == []
        assert written.ended_by == ("eos" if best.ids[-1] == char.eos_id else "length")
    assert generate_batch(model, char, ["The"], search)[0].log_probs == []


def test_a_stop_string_over_several_tokens_finishes_a_beam(char):
    rows = [
        ("a", "b", 0.6),
        ("a", "c", 0.4),
        ("b", "d", 1.0),
        ("c", "e", 1.0),
        ("d", "d", 0.9),
        ("e", "", 0.9),
    ]
    model, search = by_log_prob(rows, char), BeamSearch(2, 0.0, 9)
    (cut,) = generate_batch(model, char, ["a"], search, stop="bd", scores=True)
    assert (cut.text, cut.ended_by, char.decode(cut.ids)) == ("a", "stop", "bd")
    assert sum(cut.log_probs) == pytest.approx(math.log(0.6), abs=1e-6)
    (cut,) = generate_batch(model, char, ["a"], search, stop=["dd", "no such"])
    assert (cut.text, cut.ended_by, char.decode(cut.ids)) == ("ab", "stop", "bdd")
    assert beam_search(model, char, "a", search, stop="bd") == [
        ("a", pytest.approx(math.log(0.6), abs=1e-6)),
        ("ace", pytest.approx(math.log(0.4), abs=1e-6)),
    ]
    (ended,) = generate_batch(model, char, ["c"], search, stop="c")  # the prompt is not looked at
    assert (ended.text, ended.ended_by) == ("ce", "eos")


def test_with_enough_beams_the_best_of_all_texts_is_cut_where_it_should(char):
    """All texts of at most 4 of three characters, ended by hand at a stop string, and ranked."""
    torch.manual_seed(5)
    letters = char.encode("abe")
    table = torch.full((char.vocab_size, char.vocab_size), -torch.inf, dtype=torch.float64)
    table[:, [*letters, char.eos_id]] = torch.randn(char.vocab_size, 4, dtype=torch.float64)
    model = by_log_prob([], char)
    model.forward = lambda tokens, state=None: (table[tokens], None)
    expected = {}
    for ids in itertools.product([*letters, char.eos_id], repeat=4):
        for end in range(1, 5):
            text = char.decode(ids[:end])
            if ids[end - 1] == char.eos_id or end == 4 or text.endswith(("ba", "d")):
                break
        expected[ids[:end]] = log_prob_of(model, [char.bos_id], list(ids[:end])) / end
    found = beam_search(model, char, "", BeamSearch(200, 1.0, 4), stop=["ba", "d"])
    assert [score for _, score in found] == pytest.approx(sorted(expected.values(), reverse=True), abs=1e-10)
    assert not any("ba" in text or "d" in text for text, _ in found)


def test_where_most_beams_would_end_the_others_go_on(char):
    """Every token but one completes a stop string: those that go on are not among the first."""
    table = torch.zeros(char.vocab_size, dtype=torch.float64)
    (only,) = char.encode("a")
    table[only] = -3
    model = by_log_prob([], char)
    model.forward = lambda tokens, state=None: (table.expand(*tokens.shape, -1), None)
    stops = [char.decode([i]) for i in range(4, char.vocab_size) if i != only]
    texts = [text for text, _ in beam_search(model, char, "", BeamSearch(2, -10.0, 3), stop=stops)]
    assert texts == ["", ""]
    longest = beam_search_ids(
        model, [2], BeamSearch(2, 10.0, 3), -1, [i for i in range(char.vocab_size) if i != only]
    )
    found = generate_batch(model, char, [""], BeamSearch(2, 10.0, 3), stop=stops)[0]
    assert found.ids[:2] == longest[0].ids[:2] == [only, only]


def test_a_search_is_not_streamed_and_bad_input_shows_before_any_work(char):
    model = Memory(0)
    with pytest.raises(
        InputError, match="a BeamSearch cannot be streamed: no text is sure before the search"
    ):
        stream(model, char, "The", BeamSearch())
    with pytest.raises(InputError, match="the prompt holds 'ß'"):
        generate_batch(model, char, ["The", "ß"], BeamSearch())
    with pytest.raises(InputError, match="a stop string has 0 characters"):
        generate(model, char, "The", BeamSearch(), stop="")
    assert model.steps == 0


def test_a_step_without_enough_texts_takes_what_there_is():
    model = Memory(1)
    model.table[..., 1:EOS] = -torch.inf  # only 0 and EOS can follow
    found = beam_search_ids(model, [0], BeamSearch(9, 1.0, 3), EOS)
    assert sorted(text.ids for text in found) == [[0, 0, 0], [0, 0, EOS], [0, EOS], [EOS]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beams": 0}, "beams is 0; it must be at least 1"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0; it must be at least 1"),
        ({"length_penalty": math.nan}, r"length_penalty is nan; it must be in \[-10, 10\]"),
        ({"length_penalty": 1000.0}, "length_penalty is 1000.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        BeamSearch(**settings)


def test_what_cannot_be_searched_is_refused(char):
    with pytest.raises(InputError, match="the prompt has 0 tokens; at least 1 is needed"):
        beam_search_ids(Memory(0), [], BeamSearch(), EOS)
    with pytest.raises(InputError, match="no text can follow the prompt"):
        beam_search_ids(Memory(0), [2], BeamSearch(), EOS, never=range(V))
    broken = Memory(0)
    broken.table[0, 2, 2, 1] = math.nan
    with pytest.raises(InputError, match="largest logit is nan"):
        beam_search_ids(broken, [2], BeamSearch(), EOS)
    with pytest.raises(InputError, match="the prompt holds 'ß'"):
        beam_search(RecurrentLM(RNNConfig(char.vocab_size, emb_dim=8)), char, "ß")
