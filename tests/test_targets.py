"""What the committed records of the book, its pages, its playground and of batches have to reach.

Speed is measured by benchmarks/, once, on a machine without other work; here only its records are read.
"""

import json
from statistics import median

import pytest

import lmcore


def record(name: str) -> dict:
    return json.loads(lmcore.committed(f"benchmarks/{name}.json").read_text(encoding="utf-8"))


CHAPTERS = record("book")["notebooks"]
PAGES = record("pages")["pages"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_runs_in_two_minutes(name):
    assert CHAPTERS[name]["seconds"] <= 120


def test_the_whole_book_runs_in_twenty_five_minutes():
    assert len(CHAPTERS) == 25
    assert sum(chapter["seconds"] for chapter in CHAPTERS.values()) <= 25 * 60


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_light_and_paints_soon_on_a_slow_line(name):
    if name != "book/playground.html":  # its purpose is to fetch models
        assert PAGES[name]["bytes"] <= 600_000
    assert median(load["first_paint_ms"] for load in PAGES[name]["loads"]) <= 1500


@pytest.mark.parametrize("name", record("playground")["models"])
def test_the_playground_is_ready_and_writes_soon(name):
    rounds = record("playground")["models"][name]["rounds"]
    assert median(entry["ready_seconds"] for entry in rounds) <= 2
    assert median(entry["seconds"] for entry in rounds if entry["tokens"] == 200) <= 1


@pytest.mark.parametrize(
    "entry", record("batch")["models"], ids=lambda entry: f"{entry['model']}, {entry['way']}"
)
def test_a_batch_of_sixty_four_writes_ten_times_as_fast(entry):
    settings = record("batch")["settings"]
    assert (settings["prompts"], settings["new_tokens"]) == (64, 256)
    seconds = {way: median(times) for way, times in entry["seconds"].items()}
    assert settings["prompts"] / seconds["together"] >= 10 * settings["alone"] / seconds["alone"]
