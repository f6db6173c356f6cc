"""Numbers quoted from records: in the book, in the notebooks, and refused where no record bears them out."""

import json
import sys
from pathlib import Path

import pytest
from sphinx.errors import ExtensionError
from sphinx.testing.util import SphinxTestApp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "_ext"))

import record_numbers
from record_numbers import Quotation, RecordError, fill_in

RECORD = {
    "model": {"name": "elman", "class": "RecurrentLM", "ok": True},
    "seconds": {"slow way": [4.0, 6.0, 5.0], "fast": [2.0, 2.5, 100.0]},
    "runs": [{"times": 1, "bytes": 1500}, {"times": 8, "bytes": 3000}, {"times": 8, "bytes": 2500}],
    "nan": float("nan"),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "run.json").write_text(json.dumps(RECORD), encoding="utf-8")
    (tmp_path / "other.json").write_text('{"seconds": [10.0]}', encoding="utf-8")
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("deep/run.json; runs[-1].bytes", "2500"),
        ("deep/run.json; runs[0].bytes; ,d", "1,500"),
        ("deep/run.json; model.name", "elman"),
        ('deep/run.json; model["class"]', "RecurrentLM"),
        ('deep/run.json; median(seconds["slow way"]) / median(seconds.fast); .1f', "2.0"),
        ("deep/run.json; min(runs.bytes) / 1e3; .2f", "1.50"),
        ("deep/run.json; one(runs, times=1).bytes", "1500"),
        ("deep/run.json; max(where(runs, times=8).bytes) - len(runs); d", "2997"),
        ('deep/run.json; file("other.json").seconds[0] / seconds.fast[0]; .0%', "500%"),
    ],
)
def test_a_value_is_found_computed_and_formatted(folder, source, text):
    assert Quotation(source, folder).text == text


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("none.json; seconds", "there is no record 'none.json' in "),
        ("broken.json; seconds", "Expecting property name"),
        ("deep/run.json", "has 1 parts between semicolons"),
        ("deep/run.json; model.nme", "there is no 'nme' among name, class, ok"),
        ("deep/run.json; runs[3].bytes", "there is no entry 3 among 3"),
        ("deep/run.json; model.name.first", "'first' is asked of 'elman'"),
        ("deep/run.json; one(runs, times=8).bytes", "2 of 3 entries have {'times': 8}"),
        ("deep/run.json; where(runs, times=2).bytes", "0 of 3 entries have {'times': 2}"),
        ("deep/run.json; median(seconds.fast)", "is 2.5; a fraction needs a format"),
        ("deep/run.json; nan; .1f", "is nan; a fraction needs a format, and has to be finite"),
        ("deep/run.json; runs.bytes", "is a list and not one number"),
        ("deep/run.json; model.ok", "is a bool and not one number"),
        ("deep/run.json; model.name; .1f", "Unknown format code 'f'"),
        ("deep/run.json; model.class", "invalid syntax"),
        ("deep/run.json; mode(runs.bytes)", "there is no function 'mode'"),
        ("deep/run.json; [b for b in runs]", "is not understood"),
        ("deep/run.json; 1 / 0", "division by zero"),
        ("deep/run.json; where().bytes", "not enough values"),
    ],
)
def test_what_no_record_bears_out_is_refused(folder, source, reason):
    with pytest.raises(RecordError, match=r"^\{record\}`" + source[:10]) as caught:
        Quotation(source, folder)
    assert reason in str(caught.value)


def test_a_text_is_filled_in_and_says_what_it_read(folder):
    text = "{record}`deep/run.json; runs[0].bytes; ,d` to {record}`other.json; seconds[0]; .0f` s, `code`."
    assert fill_in(text, folder) == "1,500 to 10 s, `code`."
    quotation = Quotation('other.json; seconds[0] / file("deep/run.json").runs[0].times; .0f', folder)
    assert quotation.files == [folder / "other.json", folder / "deep" / "run.json"]


@pytest.fixture
def build(tmp_path, folder, monkeypatch):
    """Build a book of one page with Sphinx; returns the page's HTML."""
    monkeypatch.setattr(record_numbers, "RECORDS", folder)
    source = tmp_path / "book"
    source.mkdir()

    def build(page: str) -> str:
        (source / "index.md").write_text(f"# Page\n\n{page}\n", encoding="utf-8")
        settings = {"extensions": ["myst_parser", "record_numbers"], "html_theme": "basic"}
        (source / "conf.py").write_text("", encoding="utf-8")
        app = SphinxTestApp(srcdir=source, confoverrides=settings)
        try:
            app.build()
            return (Path(app.outdir) / "index.html").read_text(encoding="utf-8")
        finally:
            app.cleanup()

    return build


def test_the_book_shows_the_number(build):
    html = build('A table:\n\n| x |\n|--|\n| {record}`deep/run.json; seconds["slow way"][0]; .1f` s |')
    assert "<td><p>4.0 s</p></td>" in html


def test_a_wrong_role_ends_the_build(build):
    with pytest.raises(ExtensionError, match=r"index.md:3: .*there is no 'nme'"):
        build("It took {record}`deep/run.json; model.nme`.")
