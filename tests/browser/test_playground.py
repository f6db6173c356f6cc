"""The playground in Chromium, with small random models: what it calculates, and how it is used."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from playground_models import random_strings
from playground_site import (
    BARS,
    COLUMNS,
    MODELS,
    STATUS,
    SUB_PATH,
    TOKENS,
    ask,
    assert_bars,
    differently_encoded,
    never_of,
    press,
    probs_after,
    probs_of,
    run_to_the_end,
    show,
    status,
    text_of,
    wait_for_status,
)

import lmcore

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import playground as benchmark

PROMPT = "The President"
NAMES = ["elman", "gru", "lstm", "untied", "ngram"]
FOCUSED = "document.activeElement"
FIRST_STOPS = """Prompt, Elman, GRU, LSTM, 3-gram, Step, Run, Reset, Speed, Temperature, Top-k, Top-p, Seed,
    Another seed, GRU: the text so far, token by token"""
LAST_STOPS = ["Part", "Unit (0 to 15)", "Value", "Set to 0", "Forget everything"]


@pytest.fixture(scope="module")
def models(playground_folder):
    return lmcore.load_playground(playground_folder / SUB_PATH / MODELS)


@pytest.mark.parametrize("name", NAMES)
def test_logits_over_a_thousand_tokens(full, models, bpe, documents, name):
    ids = [bpe.bos_id, *bpe.encode(" ".join(documents))][:1000]
    with torch.inference_mode():
        expected = models[name](torch.tensor([ids]))[0][0].double().numpy()
    found = np.array(ask(full, "logits", name=name, ids=ids))
    assert found.shape == expected.shape == (1000, bpe.vocab_size)
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_greedy_text(full, models, bpe, name):
    prompt_ids = bpe.encode_prompt(PROMPT)
    sampling = lmcore.Sampling(temperature=0.0, max_new_tokens=100)
    expected = lmcore.generate_ids(models[name], prompt_ids, sampling, bpe.eos_id, never_of(bpe))
    greedy = {"temperature": 0, "topK": None, "topP": None}
    text = ask(full, "write", name=name, promptIds=prompt_ids[1:], count=100, sampling=greedy, seed=0)
    assert [token["id"] for token in text] == prompt_ids + expected


def test_ten_thousand_strings_get_the_same_tokens(full, bpe):
    assert differently_encoded(full, bpe, random_strings(10_000)) == []


def test_the_prompt_is_read_and_the_bars_are_the_models_own(full, models, bpe):
    ids = bpe.encode_prompt(PROMPT)
    assert text_of(full) == bpe.tokens(ids)
    assert f"The prompt has {len(ids) - 1} tokens" in status(full)
    assert "the seed is 0" in status(full)
    assert_bars(full, probs_after(models["gru"], bpe, ids))
    assert full.locator(".pg-fallback").is_hidden()


def test_the_bars_follow_the_sliders_by_keyboard(full, models, bpe):
    gru, ids = models["gru"], bpe.encode_prompt(PROMPT)
    full.get_by_label("Temperature").focus()
    for _ in range(10):
        full.keyboard.press("ArrowLeft")
    assert full.get_by_label("Temperature").get_attribute("aria-valuetext") == "0.50"
    assert_bars(full, probs_after(gru, bpe, ids, temperature=0.5))
    full.get_by_label("Top-k").focus()
    full.keyboard.press("Home")
    for _ in range(3):
        full.keyboard.press("ArrowRight")
    assert_bars(full, probs_after(gru, bpe, ids, temperature=0.5, top_k=5))
    assert full.locator(".pg-out").count() == 5
    assert f"5 of {bpe.vocab_size} tokens can come" in full.inner_text(".pg-bars + .pg-detail")
    full.get_by_label("Top-p").focus()
    full.keyboard.press("Home")
    assert_bars(full, probs_after(gru, bpe, ids, temperature=0.5, top_k=5, top_p=0.05))


def test_tab_visits_everything_in_order_and_everything_has_a_name(full):
    full.get_by_label("Prompt").focus()
    name_of = f"(e => e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.textContent)({FOCUSED})"
    names = []
    while full.evaluate(f"{FOCUSED}.closest('.pg-ui') !== null"):
        names.append(full.evaluate(name_of).strip())
        full.keyboard.press("Tab")
    first = " ".join(FIRST_STOPS.split()).split(", ", 14)
    assert names[: len(first)] == first
    assert names[-len(LAST_STOPS) :] == LAST_STOPS
    assert len(names) == len(first) + 10 + len(LAST_STOPS)  # between them the bars
    assert all(names)


def test_a_step_and_the_surprise_of_a_token_by_keyboard(full, models, bpe):
    ids = bpe.encode_prompt(PROMPT)
    full.get_by_role("button", name="Step", exact=True).focus()
    full.keyboard.press("Enter")
    assert len(text_of(full)) == len(ids) + 1
    assert status(full).startswith("GRU: “")
    full.get_by_role("listbox").focus()
    full.keyboard.press("Home")
    assert "nobody predicts it" in full.inner_text(".pg-text + .pg-detail")
    full.keyboard.press("ArrowRight")
    with torch.inference_mode():
        log_probs = models["gru"](torch.tensor([ids[:1]]))[0][0, -1].double().log_softmax(0)
    bits = f"{-float(log_probs[ids[1]]) / np.log(2):.1f} bits"
    rank = int((log_probs > log_probs[ids[1]]).sum()) + 1
    detail = full.inner_text(".pg-text + .pg-detail")
    assert f"given to the model: {bits} of surprise" in detail
    assert f"place {rank})" in detail
    chosen = full.locator("#" + full.get_by_role("listbox").get_attribute("aria-activedescendant"))
    assert chosen.get_attribute("aria-selected") == "true"
    assert bits in chosen.get_attribute("aria-label")


def test_a_run_can_be_stopped_and_a_reset_repeats_it(full):
    run_to_the_end(full)
    first = text_of(full)
    press(full, "Reset")
    run_to_the_end(full)
    assert text_of(full) == first
    press(full, "Another seed")
    run_to_the_end(full)
    assert text_of(full) != first
    full.get_by_label("Speed").select_option("4 tokens a second")
    press(full, "Reset")
    before = len(text_of(full))
    press(full, "Run")
    full.wait_for_function(f"document.querySelectorAll('{TOKENS}').length === {before + 2}")
    press(full, "Stop")
    wait_for_status(full, "tokens written")
    assert 2 <= int(status(full).split()[0]) < 100
    assert full.get_by_role("button", name="Run", exact=True).is_visible()


def test_the_status_does_not_speak_for_every_token(full):
    count = """selector => {
      window.changes = 0;
      const note = () => window.changes++;
      new MutationObserver(note).observe(document.querySelector(selector), { childList: true });
    }"""
    full.evaluate(count, STATUS)
    full.get_by_label("Speed").select_option("20 tokens a second")
    press(full, "Run")
    full.wait_for_function(f"document.querySelectorAll('{TOKENS}').length > 12")
    assert full.evaluate("window.changes") == 0
    press(full, "Stop")
    full.wait_for_function("window.changes === 1")


def test_a_press_on_a_bar_writes_that_token(full, models, bpe):
    ids = bpe.encode_prompt(PROMPT)
    third = int(probs_after(models["gru"], bpe, ids).argsort(descending=True)[2])
    full.locator(BARS).nth(2).press("Enter")
    assert len(text_of(full)) == len(ids) + 1
    assert_bars(full, probs_after(models["gru"], bpe, [*ids, third]))


def test_the_state_can_be_changed_and_forgotten(full, models, bpe):
    gru, ids = models["gru"], bpe.encode_prompt(PROMPT)
    with torch.no_grad():
        _, state = gru(torch.tensor([ids]))
        state[1][0, 3] = 1.0
        changed = gru.output(state[1])[0]
    full.get_by_label("Part", exact=True).select_option("layer 2, h")
    full.get_by_label("Unit (0 to 15)").fill("3")
    full.get_by_label("Value", exact=True).focus()
    full.keyboard.press("End")
    assert_bars(full, probs_of(changed, bpe))
    full.locator(".pg-grid canvas").nth(1).click(position={"x": 3, "y": 3})
    assert full.get_by_label("Unit (0 to 15)").input_value() == "0"
    press(full, "Forget everything")
    assert_bars(full, probs_of(gru.output.bias, bpe))
    captions = [f"layer {layer}, h, root mean square 0.00" for layer in (1, 2)]
    assert full.locator(".pg-grid figcaption").all_text_contents() == captions


def test_models_side_by_side(full):
    show(full, "Elman", "LSTM", "3-gram")
    columns = full.locator(COLUMNS)
    labels = [columns.nth(i).get_attribute("aria-label") for i in range(columns.count())]
    assert labels == ["Elman", "GRU", "LSTM", "3-gram"]
    assert columns.nth(2).locator("canvas").count() == 4  # h and c of two layers
    assert "remembers" in columns.nth(3).inner_text()
    run_to_the_end(full)
    texts = [columns.nth(i).locator(TOKENS).all_text_contents() for i in range(4)]
    assert len({tuple(text) for text in texts}) == 4
    full.get_by_role("checkbox", name="GRU", exact=True).uncheck()
    assert columns.count() == 3


def test_a_model_may_leave_while_the_others_write(full):
    show(full, "LSTM")
    full.get_by_label("Speed").select_option("20 tokens a second")
    press(full, "Run")
    full.wait_for_function(f"document.querySelectorAll('{TOKENS}').length > 12")
    full.get_by_role("checkbox", name="GRU", exact=True).uncheck()
    press(full, "Stop")
    wait_for_status(full, "tokens written")
    assert full.locator(COLUMNS).count() == 1


def test_a_typed_prompt_is_read(full, bpe):
    prompt = "A 👩‍👩‍👧‍👦, e\u0301 and\n“quotes”."
    full.get_by_label("Prompt").fill(prompt)
    wait_for_status(full, f"has {len(bpe.encode(prompt))} tokens")
    assert "\ufffd" not in "".join(text_of(full))
    full.get_by_label("Prompt").fill("")
    wait_for_status(full, "has 0 tokens")
    assert text_of(full) == ["<bos>"]
    run_to_the_end(full)


def test_a_seed_that_is_none_is_refused_in_words(full):
    full.get_by_label("Seed", exact=True).fill("-1")
    full.get_by_label("Seed", exact=True).press("Enter")
    assert status(full) == "The seed must be a whole number from 0 to 4294967295."
    full.get_by_label("Seed", exact=True).fill("7")
    press(full, "Reset")
    assert "the seed is 7" in status(full)


def test_with_less_motion_the_text_appears_at_once(open_page, serve, playground_folder):
    page = open_page(f"{serve(playground_folder)}/book/full.html", reduced_motion="reduce")
    page.evaluate("""() => {
      window.batches = [];
      const note = (records) => records.forEach((record) => window.batches.push(record.addedNodes.length));
      new MutationObserver(note).observe(document.querySelector(".pg-text"), { childList: true });
    }""")
    run_to_the_end(page)
    assert page.evaluate("window.batches") == [int(status(page).split()[0])]


def test_small_playgrounds_share_their_files(open_page, serve, playground_folder):
    page = open_page(f"{serve(playground_folder)}/book/small.html")
    said = f"[...document.querySelectorAll('{STATUS}')]"
    page.wait_for_function(f"{said}.every((status) => status.textContent.includes('Ready'))")
    first, second = page.locator(".playground").nth(0), page.locator(".playground").nth(1)
    assert first.get_by_label("Prompt").input_value() == "We must"
    assert first.get_by_label("Temperature").input_value() == "0.5"
    assert first.locator("canvas, input[type=checkbox]").count() == 0
    assert second.locator(COLUMNS).count() == 2
    assert second.locator(".pg-bars, input[type=range]").count() == 0
    files = [url.rsplit("/", 1)[1] for url in page.fetched if "/models/" in url]
    assert sorted(files) == ["elman.bin", "gru.bin", "lstm.bin", "manifest.json", "tokenizer.json"]
    assert page.outside == page.errors == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_page(open_page, serve, playground_folder, width):
    address = serve(playground_folder)
    page = open_page(f"{address}/book/full.html", viewport={"width": width, "height": 800})
    show(page, "Elman", "LSTM", "3-gram")
    run_to_the_end(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    buttons = "[...document.querySelectorAll('.pg-ui button:not([hidden])')]"
    assert min(page.evaluate(f"{buttons}.map((b) => b.getBoundingClientRect().height)")) >= 24  # for fingers


def test_after_loading_the_network_may_go(full):
    fetched = "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('.bin'))"
    full.wait_for_function(f"{fetched}.length === 4")
    full.context.set_offline(True)
    count = len(full.fetched)
    show(full, "Elman", "LSTM", "3-gram")
    run_to_the_end(full)
    assert len(full.fetched) == count


def test_without_javascript_there_is_a_text_and_a_table(open_page, serve, playground_folder):
    address = serve(playground_folder)
    page = open_page(f"{address}/book/full.html", wait_for=None, java_script_enabled=False)
    assert page.locator(".pg-ui").count() == 0
    assert "they need JavaScript" in page.inner_text(".pg-fallback")
    assert page.locator(".pg-fallback table").is_visible()


def test_the_benchmark_sees_the_page_get_ready_and_write(browser, playground_folder):
    found = benchmark.measure(browser, playground_folder / SUB_PATH / "_static", rounds=1)
    assert list(found) == NAMES
    for own in found.values():
        (once,) = own["rounds"]
        assert 0 < once["tokens"] <= 200
        assert once["ready_seconds"] > 0
        assert once["seconds"] > 0
    assert all(name in benchmark.table({"models": found}) for name in NAMES)
