"""A run that was stopped after any number of steps ends as if it had not been: equal to the bit."""

import functools
import itertools
from types import SimpleNamespace

import pytest
import torch
from small_runs import CASES, history, make_trainer, outcome

from lmcore.errors import InputError
from lmcore.runs.resume import pack, unpack
from lmcore.snapshot import Snapshot, describe, read_snapshot, rebuild

STEPS = 7


@functools.cache
def undisturbed(case: str) -> dict:
    made = make_trainer(case)
    made.fit()
    return outcome(made)


def stop_after(step: int):
    """A ``watch`` that asks for a stop, with the trainer to be put into the list that it returns, too."""
    made = []

    def watch(kind: str, event: dict) -> None:
        if kind == "step" and event["step"] == step:
            made[0].stop()

    return watch, made


def run_until(step: int, case: str, folder, **train) -> None:
    """Train in a folder and stop after so many steps."""
    watch, box = stop_after(step)
    box.append(make_trainer(case, folder, watch, **train))
    if not step:
        box[0].stop()
    run = box[0].fit()
    assert len(run.steps) == step
    assert box[0].done == (step == STEPS and box[0].progress.looked)


@pytest.mark.parametrize("case", CASES)
def test_stopped_after_any_step_and_gone_on(case, quick_path):
    for step in range(STEPS + 1):
        folder = quick_path / str(step)
        run_until(step, case, folder)
        torch.manual_seed(99)  # what happens in between does not matter
        torch.rand(3)
        made = make_trainer(case, folder)
        made.fit()
        assert outcome(made) == undisturbed(case), f"stopped after step {step}"


@pytest.mark.parametrize("case", ["lstm", "sentences in parts"])
def test_stopped_after_every_step_in_turn(case, quick_path):
    for step in range(1, STEPS + 1):
        run_until(step, case, quick_path)
    made = make_trainer(case, quick_path)
    made.fit()
    assert outcome(made) == undisturbed(case)


def test_keeping_snapshots_does_not_change_the_training(quick_path):
    made = make_trainer("lstm", quick_path, save_every=2)
    made.fit()
    assert outcome(made) == undisturbed("lstm")


def test_gone_on_in_the_same_trainer(quick_path):
    """As in a notebook where a cell was interrupted and is run again."""
    for folder in (None, quick_path):
        watch, box = stop_after(4)
        box.append(make_trainer("lstm", folder, watch))
        assert len(box[0].fit().steps) == 4
        box[0].fit()
        assert outcome(box[0]) == undisturbed("lstm")
        with pytest.raises(InputError, match="has already run 7 steps"):
            box[0].fit()


def test_a_finished_run_says_so_and_gives_its_history_and_model(quick_path):
    first = make_trainer("gru", quick_path)
    first.fit()
    lines = (quick_path / "metrics.jsonl").read_bytes()
    again = make_trainer("gru", quick_path)
    assert history(again.fit()) == history(first.run)
    assert again.log.__self__[1:] == [
        f"the run in {quick_path} is at step 7 and has finished; for a new one choose another folder"
    ]
    assert (quick_path / "metrics.jsonl").read_bytes() == lines
    for one, other in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_samples_and_seconds_come_back_too(quick_path):
    settings = {"sample_steps": (2,), "prompts": ("The",)}
    run_until(5, "elman", quick_path, **settings)
    made = make_trainer("elman", quick_path, **settings)
    run = made.fit()
    assert [sample["step"] for sample in run.samples] == [2, 7]
    seconds = [step["seconds"] for step in run.steps]
    assert seconds == sorted(seconds)


def test_a_limit_of_seconds_counts_those_before(quick_path, monkeypatch):
    """With a clock that moves on by one second each time it is read, a step takes one second."""
    settings = {"max_steps": None, "max_seconds": 9.0, "eval_every": None, "save_every": 2}

    def seconds_and_rates(*stops: int) -> list[tuple[float, float]]:
        folder = quick_path / str(len(stops))
        for stop in stops:
            run_until(stop, "elman", folder, **settings)
        run = make_trainer("elman", folder, **settings).fit()
        return [(step["seconds"], step["learning_rate"]) for step in run.steps]

    monkeypatch.setattr("lmcore.runs.ledger.time", SimpleNamespace(perf_counter=itertools.count().__next__))
    expected = seconds_and_rates()
    assert [seconds for seconds, _ in expected] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert seconds_and_rates(3, 4) == expected


def test_clocks_that_jump_change_nothing(quick_path, monkeypatch):
    """The time of day goes back and forth by years; only differences of a clock that cannot are used."""
    jumps = itertools.cycle([4e9, 0.0, -1e9, 2e9])
    monkeypatch.setattr("time.time", lambda: next(jumps))
    run_until(4, "gru", quick_path)
    made = make_trainer("gru", quick_path)
    seconds = [step["seconds"] for step in made.fit().steps]
    assert outcome(made) == undisturbed("gru")
    assert seconds == sorted(seconds)
    assert 0 < seconds[-1] < 1e6


def test_a_snapshot_of_another_model_is_refused(quick_path):
    run_until(2, "elman", quick_path)
    snapshot = read_snapshot(quick_path / "snapshots" / "step-00000002.safetensors")
    with pytest.raises(InputError, match=r"layers\.0\.W is \(16, 16\) torch\.float32 there, but \(16, 64\)"):
        unpack(snapshot, snapshot, make_trainer("lstm").step)
    with pytest.raises(InputError, match=r"norms\.0\.bias, of which the snapshot has none"):
        unpack(snapshot, snapshot, make_trainer("variational, residual, tied").step)
    with pytest.raises(InputError, match=r"of which the model has none"):
        unpack(snapshot, snapshot, make_trainer("transformer").step)


@pytest.mark.parametrize("lost", ["random.cpu", "state.0"])
def test_a_snapshot_without_what_it_needs_is_refused(quick_path, lost):
    run_until(2, "elman", quick_path)
    about, tensors = read_snapshot(quick_path / "snapshots" / "step-00000002.safetensors")
    del tensors[lost]
    with pytest.raises(InputError, match="the snapshot does not fit this run"):
        unpack(Snapshot(about, tensors), Snapshot(about, tensors), make_trainer("elman").step)


def test_a_tied_matrix_is_kept_once():
    names = pack(make_trainer("variational, residual, tied").step, None).tensors
    assert "model.embedding.weight" in names
    assert "model.output.weight" not in names


def test_a_state_comes_back_as_it_lay_in_memory():
    whole = torch.arange(120.0).view(4, 5, 6)
    state = [
        (whole[:, -1], whole.transpose(0, 2)),
        [None, 3, "x"],
        whole[0, 0, 0],
        whole[:0],
        (whole[1:, 1:3],),
    ]
    tensors: list = []
    description = describe(state, tensors)
    found = rebuild(description, iter([tensor.clone() for tensor in tensors]), torch.device("cpu"))
    assert isinstance(found[0], tuple)
    assert found[1] == [None, 3, "x"]
    again: list = []
    assert describe(found, again) == description
    for one, other in zip(tensors, again, strict=True):
        assert torch.equal(one, other)
        assert one.data_ptr() % 64 == other.data_ptr() % 64 or not one.numel()
    expanded = describe(torch.zeros(1, 3).expand(2, 3), [])
    assert torch.equal(rebuild(expanded, iter([torch.ones(2, 3)]), torch.device("cpu")), torch.ones(2, 3))


def test_a_state_that_cannot_be_written_is_refused():
    with pytest.raises(InputError, match="a state holds a dict; it may hold tensors, lists, tuples, numbers"):
        describe([{"h": 1}], [])
