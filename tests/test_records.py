"""Committed records: what the folder holds must be what its run record says."""

import json
import sys
from pathlib import Path

import pytest

import lmcore

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measure, summary

MODELS = sorted((measure.ROOT / "book" / "records").rglob("model.safetensors"))


def test_the_committed_model_scores_what_its_record_says():
    record = lmcore.load_record(lmcore.committed("elman_2x256/record.json"))
    corpus = lmcore.builtin_corpus()
    assert record.settings["corpus_sha256"] == corpus.sha256
    model, tokenizer = lmcore.load_checkpoint(lmcore.committed("elman_2x256"))
    batches = lmcore.DocumentBatches(tokenizer.encode_documents(corpus.validation), tokenizer.pad_id)
    result = lmcore.evaluate(model, batches, tokenizer.pad_id, tokenizer.token_bytes())
    last = record.validation[-1]
    assert abs(result.nats_per_token - last["nats_per_token"]) < 1e-3
    assert abs(result.bits_per_byte - last["bits_per_byte"]) < 1e-3


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parent.name)
def test_a_committed_model_has_checksums(path):
    """An older folder gets them by lmcore.sign_checkpoint(folder)."""
    assert "sha256" in json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
    lmcore.load_checkpoint(path.parent)


def test_the_committed_tokenizer_is_the_one_trained_on_the_corpus():
    _, tokenizer = lmcore.load_checkpoint(lmcore.committed("elman_2x256"))
    again = lmcore.train_bpe(lmcore.builtin_corpus().train, tokenizer.vocab_size)
    assert again.backend.to_str() == tokenizer.backend.to_str()


def test_the_readme_has_the_figures_of_the_records():
    readme = (measure.ROOT / "README.md").read_text(encoding="utf-8")
    assert summary.markdown() in readme


@pytest.mark.parametrize("path", sorted(summary.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_benchmark_record_is_in_earnest_and_says_where_it_was_made(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["benchmark"] == path.stem
    assert not record["quick"]
    assert not record["environment"]["commit"].endswith("dirty")
    assert record.get("finished", True)
