"""Another text for the whole course: one setting, the shape that the chapters need, a model of its own."""

import json
from pathlib import Path

import pytest
from conftest import DOCUMENTS
from train_course_model import train

import lmcore
from lmcore.course import DOCUMENT, MAX_CHARACTERS, SETTING, run_folder
from lmcore.errors import InputError

LINE = "line {:08} of a text\n"  # 24 characters
ENOUGH = 41_667  # lines: 1,000,008 characters


def lines(first: int, number: int) -> str:
    return "".join(LINE.format(n) for n in range(first, first + number))


def in_order(corpus: lmcore.Corpus) -> str:
    """The text as it was before it was split: its lines are numbered. Joining adds blank lines."""
    return "".join(sorted(corpus.part("all"))).replace("\n\n", "\n")


@pytest.fixture
def course(monkeypatch, tmp_path):
    """Set the course's text to a file or folder; returns its corpus."""

    def course(path: Path) -> lmcore.Corpus:
        monkeypatch.setenv(SETTING, str(path))
        return lmcore.course_corpus()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return course


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_setting_it_is_the_built_in_text_and_the_committed_model(monkeypatch, value):
    monkeypatch.delenv(SETTING, raising=False)
    if value is not None:
        monkeypatch.setenv(SETTING, value)
    assert lmcore.course_corpus().sha256 == lmcore.builtin_corpus().sha256
    assert lmcore.course_run() == lmcore.committed("elman_2x256")


def one_file(folder: Path) -> Path:
    (folder / "text.txt").write_text(lines(0, ENOUGH), encoding="utf-8")
    return folder / "text.txt"


def many_json_lines(folder: Path) -> Path:
    """Of 12 lines of text each: far more than documents are wanted."""
    texts = [lines(n, min(12, ENOUGH - n)) for n in range(0, ENOUGH, 12)]
    content = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (folder / "text.jsonl").write_text(content, encoding="utf-8")
    return folder / "text.jsonl"


def long_files(folder: Path) -> Path:
    """So few that `open_corpus` cuts each by position."""
    parts = ENOUGH // 9 + 1
    for n in range(0, ENOUGH, parts):
        (folder / f"{n:05}.txt").write_text(lines(n, min(parts, ENOUGH - n)), encoding="utf-8")
    return folder


@pytest.mark.parametrize("make", [one_file, many_json_lines, long_files])
def test_any_text_gets_the_shape_that_the_chapters_need(course, tmp_path, make):
    folder = tmp_path / "text"
    folder.mkdir()
    corpus = course(make(folder))
    texts = corpus.part("all")
    assert 90 <= len(texts) <= 100
    assert (len(corpus.validation), len(corpus.test)) == (4, 5)
    assert all(DOCUMENT <= len(text) < 2 * DOCUMENT for text in texts)
    assert in_order(corpus) == lines(0, ENOUGH)  # nothing lost, nothing twice, neighbours joined


def test_documents_of_a_good_size_stay_whole(course, tmp_path):
    for n in range(60):
        (tmp_path / f"{n:02}.txt").write_text(lines(1_000 * n, 700 + n), encoding="utf-8")
    assert set(course(tmp_path).part("all")) == {lines(1_000 * n, 700 + n) for n in range(60)}


def test_a_long_text_is_read_up_to_a_limit_in_as_many_documents_as_the_built_in_one_has(course, tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.txt").write_text(lines(300_000 * n, 260_000), encoding="utf-8")
    corpus = course(tmp_path)  # 18 million characters in three files
    sizes = [len(text) for text in corpus.part("all")]
    assert MAX_CHARACTERS <= sum(sizes) < MAX_CHARACTERS + 300_000
    assert 200 < len(sizes) <= 240
    assert max(sizes) < 2 * min(sizes)


def test_a_text_that_is_too_short_or_cannot_be_cut_is_refused(course, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(lines(0, ENOUGH - 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"needs 1,000,000 characters of text; .*text.txt has 999,984"):
        course(path)
    path.write_text("no line end " * 100_000, encoding="utf-8")
    with pytest.raises(InputError, match=r"into 3 documents of 10,000 characters; the course needs 50"):
        course(path)


def test_a_text_has_a_model_of_its_own_once_it_was_trained_to_the_end(course, tmp_path):
    corpus = course(one_file(tmp_path))
    folder = tmp_path / "cache" / "lmcore" / "course" / corpus.sha256[:16]
    folder.mkdir(parents=True)  # training has begun
    with pytest.raises(InputError, match=r"text.txt yet; run: make model CORPUS="):
        lmcore.course_run()
    (folder / "record.json").write_text("{}", encoding="utf-8")
    assert lmcore.course_run() == folder


@pytest.fixture
def settings() -> dict:
    """As the committed record has them, but small."""
    settings = lmcore.load_record(lmcore.committed("elman_2x256/record.json")).settings
    settings["model"] |= {"vocab_size": 300, "emb_dim": 8, "num_layers": 1}
    settings["options"] |= {"batch_size": 8, "seq_len": 16}
    return settings


@pytest.fixture
def small_corpus() -> lmcore.Corpus:
    return lmcore.split_documents("small", DOCUMENTS)


def test_the_model_is_trained_as_the_committed_one_was_for_four_passes(course, small_corpus, settings):
    run = train(small_corpus, settings)
    model, tokenizer = lmcore.load_checkpoint(run_folder(small_corpus))
    assert (model.config.emb_dim, model.config.tie_weights, tokenizer.vocab_size) == (8, True, 300)
    tokens = sum(map(len, tokenizer.encode_documents(small_corpus.train)))
    assert len(run.steps) == 4 * ((tokens - 1) // 8 // 16)
    assert 9 <= len(run.validation) <= 11  # at the start, eight times on the way, and at the end
    assert run.settings["train"]["learning_rate"] == settings["train"]["learning_rate"]
    assert run.settings["corpus_sha256"] == small_corpus.sha256
    assert {"step": 0, "prompt": "The President"}.items() <= run.samples[0].items()  # chapter 1 shows it


def test_a_text_of_too_few_words_is_refused(course, small_corpus, settings):
    settings["model"]["vocab_size"] = 8192
    with pytest.raises(InputError, match=r"small gives a vocabulary of .* tokens; the course needs 8,192"):
        train(small_corpus, settings)
