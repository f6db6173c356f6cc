"""The playground of the built book, with the models that are committed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from playground_models import random_strings
from playground_site import (
    COLUMNS,
    MODELS,
    READY,
    ask,
    differently_encoded,
    never_of,
    run_to_the_end,
    show,
    status,
)

import lmcore

BOOK = Path(__file__).resolve().parents[2] / "_build" / "html"
PAGE = "book/playground.html"
PROMPT = "The President"
NAMES = ["elman", "gru", "lstm", "ngram"]
SMALL = {  # by chapter: the models of its playground, how many lists of bars, sliders, pictures of a state
    "09_teacher_forcing": (["GRU"], 1, 0, 0),
    "10_generation": (["GRU"], 1, 3, 0),
    "15_vanishing_gradients": (["Elman", "LSTM"], 0, 2, 6),
}
LOADED = "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('.bin')).length"
CONTRAST = """selector => {
  const linear = (v) => (v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const ground = (node) => {
    const [r, g, b, alpha = 1] = parts(getComputedStyle(node).backgroundColor);
    if (alpha === 1 || !node.parentElement) return [r, g, b];
    return ground(node.parentElement).map((below, i) => alpha * [r, g, b][i] + (1 - alpha) * below);
  };
  return [...document.querySelectorAll(selector)].filter((node) => node.offsetWidth).map((node) => {
    const two = [light(parts(getComputedStyle(node).color).slice(0, 3)), light(ground(node))];
    return (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05);
  });
}"""


@pytest.fixture
def page(open_page, site):
    page = open_page(f"{site}/{PAGE}")
    yield page
    assert page.outside == page.errors == []


@pytest.fixture(scope="module")
def models():
    return lmcore.load_playground(BOOK / MODELS)


@pytest.fixture(scope="module")
def tokenizer():
    return lmcore.load_tokenizer(BOOK / MODELS / "tokenizer.json")


def test_ten_thousand_strings_get_the_same_tokens(page, tokenizer):
    assert differently_encoded(page, tokenizer, random_strings(10_000)) == []


@pytest.mark.parametrize("name", NAMES)
def test_logits_over_a_thousand_tokens_of_held_out_text(page, models, tokenizer, name):
    """Every logit after every token.

    Python, too, calculates with the exported, that is rounded, weights: a difference is one of arithmetic.
    What the rounding itself costs is measured at the export (``largest_logit_change`` in its record).
    """
    ids = tokenizer.encode_prompt(lmcore.builtin_corpus().validation[0])[:1000]
    with torch.inference_mode():
        expected = models[name](torch.tensor([ids]))[0][0].double().numpy()
    found = np.array(ask(page, "logits", name=name, ids=ids))
    assert found.shape == expected.shape == (1000, tokenizer.vocab_size)
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_greedy_text(page, models, tokenizer, name):
    prompt_ids = tokenizer.encode_prompt(PROMPT)
    sampling = lmcore.Sampling(temperature=0.0, max_new_tokens=200)
    expected = lmcore.generate_ids(models[name], prompt_ids, sampling, tokenizer.eos_id, never_of(tokenizer))
    greedy = {"temperature": 0, "topK": None, "topP": None}
    text = ask(page, "write", name=name, promptIds=prompt_ids[1:], count=200, sampling=greedy, seed=0)
    assert [token["id"] for token in text] == prompt_ids + expected


def test_after_loading_the_network_may_go(page):
    page.wait_for_function(f"{LOADED} === {len(NAMES)}")
    page.context.set_offline(True)
    count = len(page.fetched)
    show(page, "Elman", "LSTM", "4-gram")
    run_to_the_end(page)
    assert page.locator(COLUMNS).count() == len(NAMES)
    assert len(page.fetched) == count


def test_all_models_write_on_a_phone(open_page, site):
    page = open_page(f"{site}/{PAGE}", viewport={"width": 390, "height": 800})
    show(page, "Elman", "LSTM", "4-gram")
    run_to_the_end(page)
    assert page.locator(COLUMNS).count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(page, theme):
    page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
    run_to_the_end(page)
    for part in (
        ".pg-status",
        ".pg-detail",
        ".pg-token",
        ".pg-field label",
        ".pg-ui button:enabled",
        "figcaption",
    ):
        ratios = page.evaluate(CONTRAST, part)
        assert ratios, part
        assert min(ratios) >= 4.5, part


@pytest.mark.parametrize("chapter", SMALL)
def test_a_chapter_has_a_small_playground(open_page, site, chapter):
    titles, bars, sliders, pictures = SMALL[chapter]
    page = open_page(f"{site}/book/{chapter}.html")
    page.wait_for_selector(f"{COLUMNS}[aria-label='{titles[-1]}']")
    columns = page.locator(COLUMNS)
    assert [columns.nth(i).get_attribute("aria-label") for i in range(columns.count())] == titles
    parts = (".pg-bars", ".pg-ui input[type=range]", ".pg-ui canvas")
    assert [page.locator(part).count() for part in parts] == [bars, sliders, pictures]
    run_to_the_end(page)
    assert page.outside == page.errors == []


def test_no_javascript(open_page, site):
    page = open_page(f"{site}/{PAGE}", wait_for=None, java_script_enabled=False)
    assert "they need JavaScript" in page.inner_text(".pg-fallback")
    assert page.locator(".pg-fallback table").is_visible()


def test_the_page_is_ready_and_says_so(page):
    page.wait_for_function(READY)
    assert "The prompt has" in status(page)
