"""The training loop: repeatable, limited as asked, and honest about what it did."""

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

from lmcore.errors import InputError
from lmcore.record import Run
from lmcore.runs import ledger
from lmcore.train_config import TrainConfig, choose_device, learning_rate_at


class FakeClock:
    """Moves on by one second every time it is read."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1.0
        assert self.now < 1000, "the run does not end"
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Each training step takes one second: the clock is read before and after it."""
    monkeypatch.setattr(ledger, "time", FakeClock())


def without_time(run: Run) -> list[dict]:
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in run.steps]


def test_same_seed_same_run_to_the_bit(make_trainer, char):
    one, other = (make_trainer(char, seed=3, dropout=0.2) for _ in range(2))
    runs = [one.fit(), other.fit()]
    assert without_time(runs[0]) == without_time(runs[1])
    assert runs[0].samples == runs[1].samples
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_seed_of_the_configuration_decides_dropout(make_trainer, char):
    def losses(config_seed: int) -> list[float]:
        made = make_trainer(char, dropout=0.5)  # same model, same batches
        made.config = dataclasses.replace(made.config, seed=config_seed)
        return [entry["loss"] for entry in made.fit().steps]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_the_loss_goes_down(make_trainer, bpe):
    run = make_trainer(bpe, max_steps=150, learning_rate=0.01).fit()
    losses = [entry["loss"] for entry in run.steps]
    assert all(map(math.isfinite, losses))
    assert losses[0] == pytest.approx(math.log(bpe.vocab_size), abs=0.1)
    assert sum(losses[-10:]) / 10 < losses[0] - 1.0
    assert run.validation[-1]["nats_per_token"] < run.validation[0]["nats_per_token"] - 0.5


def test_max_steps_is_exact_and_the_record_counts(make_trainer, char):
    run = make_trainer(char, max_steps=7).fit()
    assert [entry["step"] for entry in run.steps] == [1, 2, 3, 4, 5, 6, 7]
    assert [entry["tokens"] for entry in run.steps] == [32 * n for n in range(1, 8)]
    seconds = [entry["seconds"] for entry in run.steps]
    assert seconds == sorted(seconds)
    assert run.steps[-1]["learning_rate"] == pytest.approx(0.02 * 3e-3)


def test_a_time_budget_ends_the_run_and_the_schedule_with_it(make_trainer, clock, char):
    config = {"max_steps": None, "max_seconds": 50.0, "warmup": 0.1, "learning_rate": 1.0}
    run = make_trainer(char, **config).fit()
    assert [entry["seconds"] for entry in run.steps] == [float(n) for n in range(1, 51)]
    rates = [entry["learning_rate"] for entry in run.steps]
    assert rates[0] == 0
    assert max(rates) == rates[5] == 1.0
    assert rates[-1] == pytest.approx(0.02, abs=0.005)
    assert run.tokens_per_second == 32


@pytest.mark.parametrize(("max_steps", "max_seconds", "expected"), [(5, 50.0, 5), (50, 5.0, 5)])
def test_whichever_limit_comes_first_ends_the_run(
    make_trainer, clock, char, max_steps, max_seconds, expected
):
    run = make_trainer(char, max_steps=max_steps, max_seconds=max_seconds).fit()
    assert len(run.steps) == expected
    assert run.steps[-1]["learning_rate"] < 3e-3 / 2


def test_learning_rate_at():
    config = TrainConfig(max_steps=1, learning_rate=2.0, warmup=0.2, final_learning_rate=0.1)
    expected = {0.0: 0.0, 0.05: 0.5, 0.1: 1.0, 0.2: 2.0, 0.6: 2 * 0.55, 1.0: 0.2, 1.5: 0.2}
    for progress, rate in expected.items():
        assert learning_rate_at(progress, config) == pytest.approx(rate)
    flat = TrainConfig(max_steps=1, learning_rate=2.0, warmup=0.0, final_learning_rate=1.0)
    assert [learning_rate_at(progress, flat) for progress in (0.0, 0.5, 1.0)] == [2.0] * 3
    all_warmup = dataclasses.replace(config, warmup=1.0)
    assert learning_rate_at(0.5, all_warmup) == pytest.approx(1.0)


def test_validation_and_samples_come_when_they_are_due(make_trainer, char):
    settings = {"eval_every": 4, "sample_steps": (3, 8), "prompts": ("The", "A")}
    made = make_trainer(char, max_steps=10, **settings)
    run = made.fit()
    assert [entry["step"] for entry in run.validation] == [0, 4, 8, 10]
    assert [(entry["step"], entry["prompt"]) for entry in run.samples] == [
        (step, prompt) for step in (3, 8, 10) for prompt in ("The", "A")
    ]
    assert all(entry["text"].startswith(entry["prompt"]) for entry in run.samples)
    for entry in run.validation:
        assert entry["perplexity"] == pytest.approx(math.exp(entry["nats_per_token"]))
        assert 0 < entry["bits_per_byte"] < 10
    log = made.log.__self__
    assert log[0].startswith(f"RecurrentLM, {made.model.num_parameters:,} parameters, on cpu (CUDA ")
    assert sum("validation:" in line for line in log) == 4
    assert made.model.training


def test_validation_and_samples_do_not_change_the_training(make_trainer, char):
    plain = make_trainer(char, dropout=0.2).fit()
    looked = make_trainer(char, dropout=0.2, eval_every=1, sample_steps=(2, 5), prompts=("The",)).fit()
    assert without_time(plain) == without_time(looked)


def test_without_validation_or_prompts(make_trainer, char):
    made = make_trainer(char)
    made.validation = None
    run = made.fit()
    assert run.validation == run.samples == []


@pytest.fixture
def devices(monkeypatch):
    """Pretend that a machine has these devices."""

    def pretend(cuda: bool, mps: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends, "mps", SimpleNamespace(is_available=lambda: mps))

    return pretend


def test_choose_device(devices):
    for cuda, mps, expected in [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]:
        devices(cuda, mps)
        assert choose_device().type == expected
        assert choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match=r"device is 'cuda:1', but this machine has: cpu$"):
        choose_device("cuda:1")
    devices(False, True)
    with pytest.raises(InputError, match=r"device is 'tpu', but this machine has: mps, cpu$"):
        choose_device("tpu")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "neither max_steps nor max_seconds is set"),
        ({"max_steps": 0}, "max_steps is 0; it must be above 0"),
        ({"max_seconds": 0.0}, "max_seconds is 0.0"),
        ({"max_steps": 1, "learning_rate": math.nan}, "learning_rate is nan"),
        ({"max_steps": 1, "learning_rate": math.inf}, "learning_rate is inf"),
        ({"max_steps": 1, "clip_norm": -1.0}, "clip_norm is -1.0"),
        ({"max_steps": 1, "eval_every": 0}, "eval_every is 0"),
        ({"max_steps": 1, "warmup": 1.5}, r"warmup is 1.5; it must be in \[0, 1\]"),
        ({"max_steps": 1, "final_learning_rate": -0.1}, "final_learning_rate is -0.1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        TrainConfig(**settings)
