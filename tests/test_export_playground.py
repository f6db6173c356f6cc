"""The command that makes the playground's files, at a tiny size."""

import importlib
import json
from pathlib import Path

import pytest

import lmcore

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("export_playground")


def test_the_command_trains_once_and_writes_page_and_records(script, quick_path, capsys):
    arguments = ["--quick", "--out", str(quick_path)]
    assert script.main(arguments) == 0
    record = json.loads((quick_path / "records" / "export.json").read_text(encoding="utf-8"))
    loaded = lmcore.load_playground(quick_path / "models")
    assert list(loaded) == list(record["models"]) == ["gru", "lstm", "elman", "ngram"]
    manifest = json.loads((quick_path / "models" / "manifest.json").read_text(encoding="utf-8"))
    for entry in manifest["models"]:
        measured = record["models"][entry["name"]]
        assert entry["about"] == {"bits_per_byte": measured["bits_per_byte"]}
        assert measured["bytes"] == entry["bytes"]
        assert abs(measured["bits_per_byte"] - measured["unrounded_bits_per_byte"]) < 0.01
        assert measured["largest_logit_change"] < 0.05
    assert record["bytes"] == sum(path.stat().st_size for path in (quick_path / "models").iterdir())
    assert record["compressed_bytes"] < record["bytes"]
    assert record["example"]["text"].startswith(script.PROMPT)
    for cell in script.CELLS:
        run = lmcore.load_record(quick_path / "records" / f"{cell}.json")
        assert run.settings["model"]["cell"] == cell
        assert run.validation
    files = {path.name: path.read_bytes() for path in (quick_path / "models").iterdir()}
    capsys.readouterr()
    assert script.main(arguments) == 0
    assert capsys.readouterr().out.count("has finished") == len(script.CELLS)
    assert files == {path.name: path.read_bytes() for path in (quick_path / "models").iterdir()}


def test_too_much_to_send_is_said(script, quick_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "LIMIT", 1000)
    monkeypatch.setattr(script, "CELLS", ("elman",))
    assert script.main(["--quick", "--out", str(quick_path)]) == 2
    assert "bytes compressed; 1,000 is the limit" in capsys.readouterr().err
