"""A run record survives the way to a file and back; what is not one is refused."""

import json

import pytest
import torch

from lmcore import record
from lmcore.errors import InputError
from lmcore.record import Run, committed, environment, load_record


@pytest.fixture
def run() -> Run:
    return Run(
        settings={"train": {"max_steps": 2, "betas": [0.9, 0.99]}, "corpus": "naïve"},
        environment={"device": "cpu", "commit": None},
        steps=[
            {"step": 1, "loss": 2.5, "tokens": 10, "seconds": 1.0},
            {"step": 2, "loss": 2.0, "tokens": 30, "seconds": 1.5},
        ],
        validation=[],
        samples=[{"step": 2, "prompt": "Þ", "text": 'a "quoted"\nline'}],
    )


def test_save_and_load(run, tmp_path):
    run.save(tmp_path / "new" / "record.json")
    assert load_record(tmp_path / "new" / "record.json") == run
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["record.json"]


def test_the_file_has_one_event_per_line(run, tmp_path):
    run.save(tmp_path / "record.json")
    text = (tmp_path / "record.json").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert sum(line.strip().startswith('{"step": ') for line in lines) == 3
    assert ' "validation": [],' in lines
    assert "naïve" in text
    assert json.loads(text)["steps"] == run.steps


def test_tokens_per_second(run):
    assert run.tokens_per_second == 20


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"colour": 1}', "7", b"\xff"])
def test_a_damaged_record_is_refused(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"record\.json is not a run record"):
        load_record(path)


def test_a_missing_record_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no run record at"):
        load_record(tmp_path / "record.json")
    with pytest.raises(InputError, match=r"there is no committed record 'no/such\.json'"):
        committed("no/such.json")


def test_environment_names_device_versions_and_commit():
    found = environment(torch.device("cpu"))
    assert found["device"] == "cpu"
    assert found["libraries"]["torch"] == torch.__version__
    assert set(found["libraries"]) == {"torch", "tokenizers", "numpy"}
    assert json.loads(json.dumps(found)) == found


def test_without_git_the_commit_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(record, "ROOT", tmp_path)
    assert record._commit() is None  # installed from a wheel
    (tmp_path / ".git").mkdir()
    assert record._commit() is None  # not a repository after all
    monkeypatch.setenv("PATH", "")
    assert record._commit() is None  # no git
