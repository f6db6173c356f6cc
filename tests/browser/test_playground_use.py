"""The playground in Chromium as readers press and type: what the status says, and where the text stands."""

import pytest
from playground_site import COLUMNS, TOKENS, press, status, text_of, wait_for_status

SLOW, PAUSE_MS = "4 tokens a second", 250
LONGEST = 1000  # characters of a prompt that are read
PLACE = """() => {
  const { scrollTop, scrollHeight, clientHeight } = document.querySelector(".pg-text");
  return [scrollTop, scrollHeight - clientHeight];
}"""


def run_slowly(page) -> None:
    """Begin a run, and come back when it has written two tokens."""
    page.get_by_label("Speed").select_option(SLOW)
    before = len(text_of(page))
    press(page, "Run")
    page.wait_for_function(f"document.querySelectorAll('{TOKENS}').length === {before + 2}")


def wait_for_the_runs_next_token(page) -> None:
    """A timer as long as the run's, set after it, fires after it: a run that was ended has noticed it."""
    page.evaluate("ms => new Promise((done) => setTimeout(() => setTimeout(done), ms))", PAUSE_MS)


@pytest.mark.parametrize("button", ["Step", "Run"])
def test_without_a_model_nothing_is_written_and_the_status_says_why(full, button):
    full.get_by_role("checkbox", name="GRU", exact=True).uncheck()
    assert full.locator(COLUMNS).count() == 0
    press(full, button)
    assert status(full) == "Choose a model."
    assert full.get_by_role("button", name="Run", exact=True).is_visible()
    full.get_by_role("checkbox", name="GRU", exact=True).check()
    wait_for_status(full, "Ready")
    press(full, "Step")
    assert status(full).startswith("GRU: “")


def test_a_step_ends_a_run_and_its_own_words_stay(full):
    run_slowly(full)
    press(full, "Step")
    said, written = status(full), text_of(full)
    assert said.startswith("GRU: “")
    wait_for_the_runs_next_token(full)
    assert status(full) == said
    assert text_of(full) == written
    assert full.get_by_role("button", name="Run", exact=True).is_visible()


def test_a_stopped_run_says_at_once_what_it_wrote_and_a_step_after_it_what_that_wrote(full):
    run_slowly(full)
    before = len(text_of(full))
    press(full, "Stop")
    assert status(full).startswith(f"{len(text_of(full)) - before + 2} tokens written in ")
    press(full, "Step")
    said = status(full)
    assert said.startswith("GRU: “")
    wait_for_the_runs_next_token(full)
    assert status(full) == said


def test_a_seed_that_is_none_ends_a_run_and_the_message_stays(full):
    run_slowly(full)
    full.get_by_label("Seed", exact=True).fill("-1")
    full.get_by_label("Seed", exact=True).press("Enter")
    wait_for_the_runs_next_token(full)
    assert status(full).startswith("The seed must be a whole number")


def test_of_a_long_prompt_the_beginning_is_read_and_the_rest_is_not_lost(full, bpe):
    typed = "We must go on. "
    full.get_by_label("Prompt").fill(typed)
    wait_for_status(full, f"has {len(bpe.encode(typed))} tokens")
    full.get_by_label("Prompt").press("Control+End")
    pasted = "👍🏽 the people " * 80
    full.keyboard.insert_text(pasted)  # as a paste: at once
    whole = typed + pasted
    beginning = whole[:LONGEST]
    wait_for_status(full, f"The prompt has {len(whole):,} characters; only the first {LONGEST:,} were read")
    assert f"were read, {len(bpe.encode(beginning))} tokens. Ready" in status(full)
    assert full.get_by_label("Prompt").input_value() == whole
    assert "".join(full.locator(f"{TOKENS}:not(.pg-name)").all_text_contents()) == beginning
    full.get_by_label("Prompt").fill(beginning)
    wait_for_status(full, f"The prompt has {len(bpe.encode(beginning))} tokens")


def test_a_slider_leaves_the_text_where_the_reader_has_scrolled_it(full):
    full.set_viewport_size({"width": 390, "height": 800})
    full.get_by_label("Prompt").fill("We must go on. " * 60)
    full.wait_for_function(f"document.querySelectorAll('{TOKENS}').length > 100")
    place, end = full.evaluate(PLACE)
    assert end > 100
    assert place == pytest.approx(end, abs=1)
    full.evaluate("document.querySelector('.pg-text').scrollTop = 40")
    bars = full.locator(".pg-bar-value").all_text_contents()
    full.get_by_label("Temperature").press("Home")
    assert full.locator(".pg-bar-value").all_text_contents() != bars
    assert full.evaluate(PLACE)[0] == 40
    press(full, "Step")
    place, end = full.evaluate(PLACE)
    assert place == pytest.approx(end, abs=1)
