"""No result of ours is written into the prose by hand: it would stay when the result changes.

A number that carries a unit or a measure of results is read from a record (the role {record}), said by an
executed cell, in a sentence that cites its source, or in allowed_numbers.txt with a reason.
"""

from pathlib import Path

import pytest
from hand_written import Allowed, code, read_allowed, unbacked

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]
ALLOWED = Path(__file__).with_name("allowed_numbers.txt")
CHAPTER = "---\njupytext: {}\n---\n\n"  # how a page with cells begins


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_no_result_is_written_by_hand(page):
    allowed = read_allowed(ALLOWED.read_text(encoding="utf-8"))
    found = unbacked(page.stem, page.read_text(encoding="utf-8"), allowed)
    assert not found, (
        "read these numbers from a record ({record}`...`), let an executed cell say them, "
        f"or allow them in {ALLOWED.name}:\n" + "\n".join(found)
    )


def test_every_allowed_number_is_needed_and_checked_where_it_says_so():
    allowed = read_allowed(ALLOWED.read_text(encoding="utf-8"))
    sources = {page.stem: page.read_text(encoding="utf-8") for page in PAGES}
    for entry in allowed:
        others = [other for other in allowed if other != entry]
        assert unbacked(entry.page, sources[entry.page], others), f"not needed any more: {entry}"
        assert entry.code in code(sources[entry.page]), f"no cell holds {entry.code!r} any more: {entry}"


@pytest.mark.parametrize(
    ("piece", "hit"),
    [
        ("The LSTM reaches 1.31 bits per byte.", "1.31 bits per byte"),
        ("After an epoch its perplexity was about 86, no more.", "perplexity was about 86"),
        ("It trains 5,200 tokens per second here.", "5,200 tokens per second"),
        ("It is three times as fast, and needs 40 MB.", "three times as"),
        ("The fast way took ten or twenty minutes.", "ten or twenty minutes"),
        ("A tenth of the tokens, 12%, were right.", "12%"),
        ("A speed-up of 4 is not much.", "speed-up of 4"),
        ("The loss fell to 3 within an hour.", "loss fell to 3"),
        ("| model | loss |\n|---|--:|\n| GRU | 4.1 |", "4.1"),
        ("| model | tokens/s |\n|---|--:|\n| GRU | 9,214 |", "9,214"),
        ("It has 6.3 M parameters (`tied`) $x = 2$.", "6.3 M parameters"),
        (
            CHAPTER + "```{code-cell}\n---\nmystnb:\n  figure:\n    caption: Down to 7 nats.\n---\n1\n```",
            "7 nats",
        ),
    ],
)
def test_a_result_written_by_hand_is_found(piece, hit):
    assert [claim for claim in unbacked("page", piece, []) if claim.startswith(repr(hit))]
    assert not unbacked("page", piece, [Allowed("page", words, "") for words in (piece, "Down to 7 nats.")])


def test_a_link_to_the_glossary_hides_no_result():
    piece = "Its {term}`perplexity` was about 86 {term}`nats <nat>`."
    assert unbacked("page", piece, [])[0].startswith("'perplexity was about 86'")
    assert unbacked("page", piece, [Allowed("page", "perplexity was about 86 nats", "")]) == []


@pytest.mark.parametrize(
    "piece",
    [
        "It reaches {record}`a/record.json; validation[-1].bits_per_byte; .2f` bits per byte.",
        "{cite:t}`mikolov2010` report a perplexity of 124.",
        "Where $p = 0.25$ the loss is $1.39$ nats:\n\n$$\n-\\ln 0.25 = 1.39\n$$\n",
        "Use `--max-seconds 60`, or\n\n```bash\npython -m lmcore train --max-seconds 60\n# 60 seconds\n```\n",
        "| rows | value |\n|---|---|\n| 8 | {record}`a/record.json; loss; .2f` |",
        "Three sentences of 12 tokens, two layers, chapter 7.",
        CHAPTER + "```{code-cell}\nprint('0.31 bits per byte')\n```\n\nThe loss falls.",
    ],
)
def test_other_numbers_pass(piece):
    assert unbacked("page", piece, []) == []
