"""Committed records say where they come from, and the first steps of a training run happen again.

A run is rebuilt from its record alone: corpus, tokenizer, seed, model, optimizer. Runs on another kind of
device, or on a text that is not in the repository, are skipped.
"""

import json
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import lmcore
from lmcore.checkpoint import MODELS
from lmcore.data import Batch

FOLDER = Path(__file__).resolve().parents[1] / "book" / "records"
NO_RECORDS = ("config.json", "tokenizer.json")  # parts of a saved model
STEPS = 3
LOSS_TOLERANCE = 2e-4  # nats; processors add up in different orders, which shows in the sixth digit
NORM_TOLERANCE = 2e-3  # relative
DROPPED = "110111001000010000110101"  # by dropout from seed 0 where the records were made

RECORDS = {
    path.relative_to(FOLDER).as_posix(): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.rglob("*.json"))
    if path.name not in NO_RECORDS
}
RUNS = [name for name, record in RECORDS.items() if "train" in record.get("settings", {})]
FIRST_SEEDS = [name for name in RUNS if RECORDS[name]["settings"]["train"]["seed"] == 0]  # others: same code


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_says_where_it_comes_from(name):
    record = RECORDS[name]
    where = record["environment"]
    assert where["commit"]
    assert not where["commit"].endswith("-dirty"), "made from code that is in no commit"
    assert all(where[name] for name in ("device", "device_name", "threads", "python"))
    assert where["libraries"]["torch"]
    assert not record.get("quick"), "a trial of the benchmark, not its result"


@pytest.mark.parametrize("name", RUNS)
def test_a_training_run_says_what_it_takes_to_repeat_it(name):
    settings = RECORDS[name]["settings"]
    assert isinstance(settings["train"]["seed"], int)
    assert len(settings["corpus_sha256"]) == 64
    assert settings["model"]["class"] in CLASSES
    sizes(settings)


class Enough(Exception):
    """The first steps are done."""


class FirstSteps(lmcore.StreamBatches):
    """Streams that end a run after ``count`` steps."""

    count: int

    def epoch(self, number: int) -> Iterator[Batch]:
        yield from islice(super().epoch(number), self.count)
        raise Enough


CLASSES = {model.__name__: (model, config) for model, config in MODELS.values()}


def sizes(settings: dict[str, Any]) -> dict[str, int]:
    """Of the batches, from the trainer's note, the options of the command line or the ladder's choice."""
    chosen = next(settings[name] for name in ("batches", "options", "spec") if name in settings)
    assert chosen.get("class", "StreamBatches") == "StreamBatches"
    assert chosen.get("batches", "streams") == "streams"
    return {"batch_size": chosen["batch_size"], "seq_len": chosen["seq_len"]}


@cache
def encoded(vocab_size: int) -> tuple[lmcore.Tokenizer, list]:
    texts = lmcore.builtin_corpus().train
    tokenizer = lmcore.train_bpe(texts, vocab_size)
    return tokenizer, tokenizer.encode_documents(texts)


def first_steps(settings: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The first steps of a run, done again on this machine."""
    tokenizer, train = encoded(settings["model"]["vocab_size"])
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in settings["train"].items()}
    config = lmcore.TrainConfig(**{**options, "prompts": ()})  # samples take long and change nothing
    model_class, config_class = CLASSES[settings["model"]["class"]]
    torch.manual_seed(config.seed)
    model = model_class(config_class(**{n: v for n, v in settings["model"].items() if n != "class"}))
    model.start_from_frequencies(lmcore.UnigramLM(train, tokenizer.vocab_size).log_probs)
    batches = FirstSteps(train, **sizes(settings), seed=config.seed)
    batches.count = count
    trainer = lmcore.Trainer(model, batches, tokenizer, config, log=[].append)
    with pytest.raises(Enough):
        trainer.fit()
    return trainer.run.steps


def differences(steps: list[dict[str, Any]], recorded: list[dict[str, Any]]) -> list[str]:
    found = []
    for now, then in zip(steps, recorded, strict=True):
        gaps = {
            "tokens": abs(now["tokens"] - then["tokens"]),
            "learning_rate": abs(now["learning_rate"] - then["learning_rate"]) - 2e-7,  # rounded there
            "loss": abs(now["loss"] - then["loss"]) - LOSS_TOLERANCE,
            "grad_norm": abs(now["grad_norm"] / then["grad_norm"] - 1) - NORM_TOLERANCE,
        }
        found += [
            f"step {now['step']}: {what} is {now[what]}, but {then[what]} in the record"
            for what, gap in gaps.items()
            if gap > 0
        ]
    return found


def dropped_here() -> str:
    """What dropout takes away from seed 0: PyTorch draws it in its own way on some processors."""
    torch.manual_seed(0)
    return "".join("1" if kept == 0 else "0" for kept in F.dropout(torch.ones(len(DROPPED)), 0.5))


@pytest.mark.parametrize("name", FIRST_SEEDS)
def test_the_first_steps_of_a_recorded_run_happen_again(name, monkeypatch):
    record = RECORDS[name]
    settings, recorded = record["settings"], record["steps"][:STEPS]
    if record["environment"]["device"] != "cpu":
        pytest.skip(f"{name} was made on {record['environment']['device']}")
    if settings["corpus_sha256"] != lmcore.builtin_corpus().sha256:
        pytest.skip(f"{name}: the text of {settings['corpus']} is not in the repository")
    if settings["model"]["dropout"] and dropped_here() != DROPPED:
        pytest.skip(f"{name}: this processor draws dropout in another way")
    if settings["train"]["max_seconds"]:  # the schedule followed the clock: take it as it was
        rates = iter([step["learning_rate"] for step in record["steps"]])
        monkeypatch.setattr("lmcore.trainer.learning_rate_at", lambda progress, config: next(rates))
    steps = first_steps(settings, recorded[-1]["step"])  # a record may keep every tenth step only
    kept = {step["step"] for step in recorded}
    assert differences([step for step in steps if step["step"] in kept], recorded) == []


@pytest.mark.parametrize(
    ("what", "value"), [("loss", 6.6630), ("grad_norm", 0.1707), ("tokens", 1023), ("learning_rate", 1.17e-5)]
)
def test_a_step_that_went_another_way_is_noticed(what, value):
    then = {"step": 1, "loss": 6.66257, "learning_rate": 1.14e-05, "grad_norm": 0.1702, "tokens": 1024}
    assert differences([dict(then)], [then]) == []
    assert differences([{**then, what: value}], [then]) == [
        f"step 1: {what} is {value}, but {then[what]} in the record"
    ]
