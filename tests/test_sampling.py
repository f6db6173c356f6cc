"""The distribution that the next token is drawn from, filter by filter, and the draws from it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation import logits_process as published

from lmcore.errors import InputError
from lmcore.generate import generate_batch_ids
from lmcore.sampling import (
    Sampling,
    draw,
    draw_rows,
    filter_logits,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    keep_typical,
    next_token_probs,
    penalise_repeats,
)

NO_END = -1
shares = st.floats(0.01, 0.99)


@st.composite
def random_logits(draw_from, rows: int = 4) -> Tensor:
    """From nearly uniform to nearly certain, in float64: no two alike, no sum at a border by accident."""
    vocab_size, seed = draw_from(st.integers(2, 60)), draw_from(st.integers(0, 2**32))
    draws = torch.Generator().manual_seed(seed)
    scale = draw_from(st.sampled_from([0.1, 1.0, 4.0]))
    return scale * torch.randn(rows, vocab_size, generator=draws, dtype=torch.float64)


@st.composite
def texts_before(draw_from, logits: Tensor) -> Tensor:
    """Token ids (B, L) that the rows hold already."""
    rows, vocab_size = logits.shape
    ids = st.lists(st.integers(0, vocab_size - 1), min_size=3, max_size=3)
    return torch.tensor(draw_from(st.lists(ids, min_size=rows, max_size=rows)))


def marked(text: Tensor, like: Tensor) -> Tensor:
    return torch.zeros_like(like, dtype=torch.bool).scatter(1, text, True)


def kept(logits: Tensor) -> list[int]:
    return (logits > -torch.inf).nonzero().flatten().tolist()


@given(logits=random_logits(), share=shares, data=st.data())
def test_each_filter_is_that_of_transformers(logits, share, data):
    k = data.draw(st.integers(1, logits.shape[1]))
    text, penalty = data.draw(texts_before(logits)), data.draw(st.floats(0.5, 2.0))
    pairs = [
        (keep_top_k(logits, k), published.TopKLogitsWarper(k)),
        (keep_top_p(logits, share), published.TopPLogitsWarper(share)),
        (keep_min_p(logits, share), published.MinPLogitsWarper(share)),
        (keep_typical(logits, share), published.TypicalLogitsWarper(share)),
        (filter_logits(logits, Sampling(temperature=share)), published.TemperatureLogitsWarper(share)),
        (
            penalise_repeats(logits, marked(text, logits), penalty),
            published.RepetitionPenaltyLogitsProcessor(penalty),
        ),
    ]
    for found, expected in pairs:
        assert torch.equal(found, expected(text, logits)), type(expected).__name__


SETTINGS = {  # option: its values, and the published class, in the order in which they act
    "repetition_penalty": (st.floats(0.5, 2.0), published.RepetitionPenaltyLogitsProcessor),
    "temperature": (st.floats(0.3, 3.0), published.TemperatureLogitsWarper),
    "top_k": (st.integers(1, 60), published.TopKLogitsWarper),
    "top_p": (shares, published.TopPLogitsWarper),
    "min_p": (shares, published.MinPLogitsWarper),
    "typical_p": (shares, published.TypicalLogitsWarper),
}


def expected_probs(logits: Tensor, text: Tensor, options: dict) -> Tensor:
    """What `transformers` draws from; ``options`` as those of Sampling."""
    for name, (_, processor) in SETTINGS.items():
        if name in options:
            logits = processor(options[name])(text, logits)
    return logits.softmax(dim=-1)


@given(logits=random_logits(), data=st.data())
def test_together_they_act_in_the_order_of_transformers(logits, data):
    names = data.draw(st.lists(st.sampled_from(list(SETTINGS)), unique=True))
    options = {name: data.draw(SETTINGS[name][0]) for name in names}
    if "top_k" in options:
        options["top_k"] = min(options["top_k"], logits.shape[1])
    text = data.draw(texts_before(logits))
    found = next_token_probs(logits, Sampling(**options), marked(text, logits))
    torch.testing.assert_close(found, expected_probs(logits, text, options), atol=1e-12, rtol=0)


def test_top_p_keeps_the_token_that_crosses_p():
    logits = torch.tensor([0.05, 0.4, 0.25, 0.3]).log()
    for p, expected in [(1e-9, [1]), (0.39, [1]), (0.41, [1, 3]), (0.69, [1, 3]), (0.71, [1, 2, 3])]:
        assert kept(keep_top_p(logits, p)) == expected
    assert kept(keep_top_p(logits, 0.96)) == kept(keep_top_p(logits, 1.0)) == [0, 1, 2, 3]
    assert torch.equal(keep_top_p(logits, 0.5)[[1, 3]], logits[[1, 3]])


def test_top_k_keeps_the_k_largest():
    logits = torch.tensor([0.1, 3.0, -2.0, 1.0])
    assert [kept(keep_top_k(logits, k)) for k in (1, 2, 3, 4)] == [[1], [1, 3], [0, 1, 3], [0, 1, 2, 3]]
    assert kept(keep_top_k(torch.tensor([1.0, 2.0, 1.0, 0.0]), 2)) == [0, 1, 2]  # a tie at the last place


def test_min_p_is_a_share_of_the_likeliest():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    for p, expected in [(1.0, [0]), (0.61, [0]), (0.59, [0, 1]), (0.29, [0, 1, 2]), (0.01, [0, 1, 2, 3])]:
        assert kept(keep_min_p(logits, p)) == expected


def test_of_equally_likely_tokens_those_with_lower_ids_stay():
    alike = torch.zeros(2, 5)
    for keep in (keep_top_p, keep_typical):
        assert [kept(row) for row in keep(alike, 0.5)] == [[0, 1, 2]] * 2
    assert kept(keep_min_p(torch.tensor([1.0, 0.0, 1.0]), 1.0)) == [0, 2]  # at this border all stay


def test_at_p_1_everything_stays_however_sums_are_rounded():
    logits = torch.linspace(0, -60, 5000)
    for keep in (keep_top_p, keep_typical):
        assert torch.equal(keep(logits, 1.0), logits)
    assert torch.equal(filter_logits(logits, Sampling(top_p=1.0, typical_p=1.0)), logits)


def test_typical_may_drop_the_likeliest_token():
    # surprises of 0.4 and 3.0 nats; the entropy, 1.1, is closer to the first ...
    probs = torch.tensor([0.7, *[0.05] * 6])
    assert kept(keep_typical(probs.log(), 0.5)) == [0]
    # ... of 0.8, 3.0 and 4.4 nats; the entropy, 2.7, is closest to the second
    probs = torch.tensor([0.45, 0.05, *[0.0125] * 40])
    assert kept(keep_typical(probs.log(), 0.04)) == [1]


def test_a_token_without_probability_stays_out():
    logits = torch.tensor([[0.5, -torch.inf, 0.0, -torch.inf, -1.0]])
    seen = torch.tensor([[True, True, False, False, False]])
    options = {"top_p": 0.999, "min_p": 1e-6, "typical_p": 0.999, "top_k": 5, "repetition_penalty": 1.5}
    found = next_token_probs(logits, Sampling(**options), seen)
    assert (found[0] > 0).tolist() == [True, False, True, False, True]
    assert found.sum().item() == pytest.approx(1)


@given(logits=random_logits(), data=st.data())
def test_something_always_stays(logits, data):
    tiny = st.floats(1e-12, 1.0)
    options = {name: data.draw(tiny) for name in ("top_p", "min_p", "typical_p")}
    left = filter_logits(logits, Sampling(temperature=0.7, **options))
    assert not left.isneginf().all(dim=-1).any()


def test_temperature_divides_the_logits_before_the_filters():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    torch.testing.assert_close(
        next_token_probs(logits, Sampling(temperature=0.5)), (2 * logits).softmax(dim=-1)
    )
    hot = next_token_probs(logits, Sampling(temperature=10.0, top_p=0.8))
    assert kept(hot.log()) == [0, 1, 2, 3]  # nearly uniform: all four are needed to reach 0.8
    cold = next_token_probs(logits, Sampling(temperature=0.5, top_p=0.8))
    assert kept(cold.log()) == [0]
    both = next_token_probs(logits, Sampling(top_k=3, top_p=0.9))
    torch.testing.assert_close(both, torch.tensor([2.0, 1, -torch.inf, -torch.inf]).softmax(dim=-1))


@pytest.mark.parametrize("temperature", [0.0, 1e-40, 1e-320])
def test_temperature_zero_is_greedy(temperature):
    logits = torch.randn(5, 9)
    probs = next_token_probs(logits, Sampling(temperature=temperature, top_k=2, top_p=0.5))
    assert torch.equal(probs.argmax(dim=-1), logits.argmax(dim=-1))
    assert torch.equal(probs.sum(dim=-1), torch.ones(5))
    assert torch.equal(probs.amax(dim=-1), torch.ones(5))


def test_greedy_choice_knows_the_penalty():
    logits, seen = torch.tensor([[2.0, 1.9, -1.0]]), torch.tensor([[True, False, False]])
    greedy = Sampling(temperature=0.0, repetition_penalty=1.2)
    assert next_token_probs(logits, greedy, seen).tolist() == [[0.0, 1.0, 0.0]]
    assert next_token_probs(logits, greedy).tolist() == [[1.0, 0.0, 0.0]]


def p_value(counts: Tensor, probs: Tensor) -> float:
    """How often samples from ``probs`` are at least as far from them as these counts (Pearson's test)."""
    assert not counts[probs == 0].any()
    counts, probs = counts[probs > 0].double(), probs[probs > 0].double()
    expected = counts.sum() * probs
    assert expected.min() >= 5  # below, the statistic does not follow its distribution
    statistic = ((counts - expected) ** 2 / expected).sum()
    half = torch.tensor((len(probs) - 1) / 2, dtype=torch.float64)
    return torch.special.gammaincc(half, statistic / 2).item()


class Fixed(torch.nn.Module):
    """The same logits after whatever text."""

    def __init__(self, row: Tensor):
        super().__init__()
        self.register_buffer("row", row)

    def forward(self, tokens, state=None):
        return self.row.expand(*tokens.shape, -1), None


ROW = torch.tensor([1.5, 1.2, 1.0, 0.4, 0.3, 0.0, -0.2, -0.5, -1.0, -1.6])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.6},
        {"temperature": 1.7, "top_k": 7},
        {"top_p": 0.8},
        {"temperature": 1.3, "min_p": 0.3},
        {"typical_p": 0.7},
        {"temperature": 0.9, "top_k": 8, "top_p": 0.95, "min_p": 0.05, "typical_p": 0.9},
    ],
    ids=str,
)
def test_draws_follow_the_filtered_distribution(options):
    sampling = Sampling(max_new_tokens=40, seed=3, **options)
    written = generate_batch_ids(Fixed(ROW), [[2]] * 500, sampling, NO_END)
    counts = torch.bincount(torch.tensor(written).flatten(), minlength=len(ROW))
    expected = expected_probs(ROW[None], torch.tensor([[2]]), options)[0]
    assert counts.sum() == 20_000
    assert p_value(counts, expected) > 0.001


def test_draws_at_another_temperature_would_be_noticed():
    written = generate_batch_ids(Fixed(ROW), [[2]] * 500, Sampling(max_new_tokens=40, seed=3), NO_END)
    counts = torch.bincount(torch.tensor(written).flatten(), minlength=len(ROW))
    assert p_value(counts, (ROW / 1.1).softmax(dim=-1)) < 1e-6


@pytest.mark.parametrize("penalty", [0.7, 1.5])
def test_draws_follow_the_penalised_distribution(penalty):
    prompt, options = [0, 9, 9, 4], {"repetition_penalty": penalty, "top_p": 0.9}
    sampling = Sampling(max_new_tokens=1, seed=8, **options)
    written = generate_batch_ids(Fixed(ROW), [prompt] * 8000, sampling, NO_END)
    counts = torch.bincount(torch.tensor(written).flatten(), minlength=len(ROW))
    assert p_value(counts, expected_probs(ROW[None], torch.tensor([prompt]), options)[0]) > 0.001


def test_what_was_written_counts_as_repeated():
    logits = torch.tensor([3.0, 2.9, 2.8, 0.0])
    greedy = Sampling(temperature=0.0, repetition_penalty=2.0, max_new_tokens=4)
    assert generate_batch_ids(Fixed(logits), [[3], [0]], greedy, NO_END) == [[0, 1, 2, 0], [1, 2, 0, 0]]


def test_a_draw_is_the_interval_in_which_the_point_falls(monkeypatch):
    probs = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    points = {0.0: 1, 0.2499: 1, 0.25: 3, 0.7499: 3, 0.75: 4, 0.9999: 4, math.nextafter(1, 0): 4}
    for point, expected in points.items():
        monkeypatch.setattr(torch, "rand", lambda *_, point=point, **__: torch.tensor([point]).double())
        assert draw(probs, torch.Generator()) == expected
    rows = draw_rows(probs.expand(len(points), -1), torch.tensor(list(points), dtype=torch.float64))
    assert rows.tolist() == list(points.values())


def test_the_end_of_the_line_belongs_to_the_last_token_that_can_be_drawn():
    probs = torch.tensor([[0.3, 0.7, 0.0], [3.0, 0.0, 0.0]])
    assert draw_rows(probs, torch.ones(2, dtype=torch.float64)).tolist() == [1, 0]


def test_probabilities_that_do_not_sum_to_one_exactly_are_drawn_in_proportion():
    draws = torch.Generator().manual_seed(1)
    counts = torch.bincount(torch.tensor([draw(torch.tensor([3.0, 0.0, 1.0]), draws) for _ in range(1000)]))
    assert p_value(counts, torch.tensor([0.75, 0.0, 0.25])) > 0.001


def test_nothing_to_draw_from_is_an_error():
    for probs in (torch.zeros(3), torch.full((3,), float("nan")), torch.tensor([0.5, float("inf")])):
        with pytest.raises(InputError, match="nothing to draw"):
            draw(probs, torch.Generator())
    with pytest.raises(InputError, match="add up to 0, and should to 1"):
        draw_rows(torch.tensor([[0.5, 0.5], [0.0, 0.0]]), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.5}, r"temperature is -0.5; it must be 0 \(greedy\) or above"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"top_k": 0}, "top_k is 0; it must be at least 1"),
        ({"top_p": 0.0}, r"top_p is 0.0; it must be in \(0, 1\]"),
        ({"top_p": 1.01}, "top_p is 1.01"),
        ({"top_p": math.nan}, "top_p is nan"),
        ({"min_p": 0.0}, r"min_p is 0.0; it must be in \(0, 1\]"),
        ({"min_p": 1.5}, "min_p is 1.5"),
        ({"typical_p": 0.0}, r"typical_p is 0.0; it must be in \(0, 1\]"),
        ({"typical_p": -1.0}, "typical_p is -1.0"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0; it must be above 0"),
        ({"repetition_penalty": math.inf}, "repetition_penalty is inf"),
        ({"max_new_tokens": -1}, "max_new_tokens is -1; it must be 0 or above"),
        ({"seed": -1}, r"seed is -1; it must be in \[0, 2\*\*63\)"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Sampling(**settings)


@pytest.mark.parametrize("k", [0, 5, 99])
def test_a_k_that_the_vocabulary_has_not_is_refused(k):
    with pytest.raises(InputError, match=rf"top_k is {k}; it must be in \[1, 4\], the number of tokens"):
        keep_top_k(torch.zeros(2, 4), k)


def test_filters_refuse_p_0():
    for keep in (keep_top_p, keep_min_p, keep_typical):
        with pytest.raises(InputError, match=r"_p is 0.0; it must be in \(0, 1\]"):
            keep(torch.zeros(2, 4), 0.0)
