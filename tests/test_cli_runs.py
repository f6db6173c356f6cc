"""The command line and the folder of a run: the same command goes on, another one is refused."""

import pytest

import lmcore
from lmcore import __main__ as command_line
from lmcore.runs import folder as run_folder
from lmcore.runs.history import History


@pytest.fixture
def command(text_file, tmp_path) -> list:
    sizes = ["--emb-dim", "8", "--batch-size", "2", "--seq-len", "12", "--max-steps", "6"]
    paths = ["--corpus", text_file, "--cache", tmp_path / "ids", "--out", tmp_path / "m"]
    return ["train", "--tokenizer", "bpe", "--vocab-size", "300", *paths, *sizes]


@pytest.fixture
def stopped(run, command, monkeypatch):
    """A command whose run was stopped after step 2."""
    trainers: list = []
    make, add = command_line.Trainer, History.add

    def add_and_stop(self, kind, event):
        add(self, kind, event)
        if (kind, event["step"]) == ("step", 2):
            trainers[0].stop()

    with monkeypatch.context() as patch:
        patch.setattr(command_line, "Trainer", lambda *a, **k: trainers.append(make(*a, **k)) or trainers[0])
        patch.setattr(History, "add", add_and_stop)
        assert run(*command)[0] == 0
    return command


def test_a_changed_option_shows_before_any_work(run, stopped, tmp_path):
    status, printed, errors = run(*stopped, "--learning-rate", "0.01", "--tie-weights")
    assert (status, printed) == (2, "")
    assert errors == (
        f"lmcore: {tmp_path / 'm'} holds a run with other settings: options.learning_rate: 0.003 -> 0.01; "
        "options.tie_weights: False -> True. With the old ones it goes on; for new ones choose another "
        "folder\n"
    )


def test_a_changed_text_is_refused(run, stopped, text_file):
    text_file.write_text(text_file.read_text(encoding="utf-8").replace("the", "this"), encoding="utf-8")
    status, _, errors = run(*stopped)
    assert status == 2
    assert "holds a run with other settings: " in errors
    assert "corpus_sha256: " in errors


def test_where_and_how_often_to_save_may_change(run, stopped, tmp_path):
    (tmp_path / "m").rename(tmp_path / "moved")
    moved = [tmp_path / "moved" if part == tmp_path / "m" else part for part in stopped]
    status, printed, errors = run(*moved, "--save-every", "1", "--cache", tmp_path / "more")
    assert (status, errors) == (0, "")
    assert "is at step 2 and goes on" in printed
    assert len(lmcore.load_record(tmp_path / "moved" / "record.json").steps) == 6


def test_the_tokenizer_is_that_of_the_folder(run, stopped, tmp_path, monkeypatch):
    """Training it again might give another one."""
    monkeypatch.setattr(command_line, "make_tokenizer", lambda *_: pytest.fail("a second tokenizer"))
    assert run(*stopped)[0] == 0
    path = tmp_path / "m" / "tokenizer.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"kind": "bpe"', '"kind": "BPE"'), encoding="utf-8"
    )
    status, _, errors = run(*stopped)
    assert (status, errors.count("\n")) == (2, 1)
    assert "tokenizer_sha256: " in errors


def test_a_folder_in_use_shows_before_any_work(run, stopped, tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "LOCK_SECONDS", 0.0)
    with lmcore.RunFolder(tmp_path / "m").locked():
        status, printed, errors = run(*stopped)
    assert (status, printed) == (2, "")
    assert "is in use by process " in errors


def test_a_folder_of_something_else_shows_before_any_work(run, command, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.txt").write_text("mine")
    status, printed, errors = run(*command)
    assert (status, printed) == (2, "")
    assert "holds thesis.txt, but no run" in errors


def test_a_stopped_run_can_be_used(run, stopped, tmp_path):
    """Its model is that of the step at which it was stopped."""
    assert run("generate", "--checkpoint", tmp_path / "m", "--prompt", "The")[0] == 0
    assert len(lmcore.load_record(tmp_path / "m" / "record.json").steps) == 2
    lines = run("runs", tmp_path)[1].splitlines()
    assert lines[1].split()[:5] == ["m", "stopped", "2", "of", "6"]
