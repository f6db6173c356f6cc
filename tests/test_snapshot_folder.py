"""Which snapshots are kept, and which one a run goes on from."""

import shutil

import pytest
import torch
from small_runs import history, make_trainer, outcome

from lmcore.errors import InputError
from lmcore.runs.snapshots import load_best
from lmcore.snapshot import read_snapshot


@pytest.fixture
def stopped(quick_path):
    """A folder whose run was stopped after step 5, with snapshots of steps 3, 4 and 5."""
    made = make_trainer("lstm", quick_path, save_every=1, watch=lambda kind, event: _stop(made, kind, event))
    made.fit()
    assert names(quick_path) == [3, 4, 5]
    return quick_path


def _stop(made, kind: str, event: dict) -> None:
    if kind == "step" and event["step"] == 5:
        made.stop()


def names(folder) -> list[int]:
    return sorted(
        int(path.stem.removeprefix("step-")) for path in (folder / "snapshots").glob("*.safetensors")
    )


def part(folder, step: int):
    return folder / "snapshots" / f"step-{step:08}.safetensors"


def finish(folder):
    made = make_trainer("lstm", folder, save_every=1)
    made.fit()
    return made


@pytest.fixture(scope="module")
def expected() -> dict:
    made = make_trainer("lstm")
    made.fit()
    return outcome(made)


def test_the_last_and_the_best_are_kept(quick_path):
    made = make_trainer("lstm", quick_path, save_every=1, max_steps=12, learning_rate=1.0)
    validation = made.look.validate

    def best_at_6(batches, world, number, seconds, last_good):
        validation(batches, world, number, seconds, last_good)
        made.run.validation[-1]["nats_per_token"] = 5.0 - (number == 6)

    made.look.validate = best_at_6
    made.fit()
    assert names(quick_path) == [6, 11, 12]


def test_the_best_model_can_be_had(stopped):
    finish(stopped)
    steps = {entry["step"]: entry["nats_per_token"] for entry in finish(stopped).run.validation}
    best = min((step for step in names(stopped) if step in steps), key=steps.get)
    model = load_best(stopped).model
    tensors = read_snapshot(part(stopped, best)).tensors
    assert torch.equal(model.layers[0].W, tensors["model.layers.0.W"])
    assert not model.training
    shutil.rmtree(stopped / "snapshots")
    with pytest.raises(InputError, match="holds no snapshot of a step at which there was a validation"):
        load_best(stopped)


@pytest.mark.parametrize("damaged", [[5], [5, 4]])
def test_a_damaged_snapshot_is_named_and_the_one_before_it_used(stopped, expected, damaged):
    for step in damaged:
        content = bytearray(part(stopped, step).read_bytes())
        content[len(content) // 2] ^= 1
        part(stopped, step).write_bytes(content)
    made = finish(stopped)
    assert outcome(made) == expected
    log = made.log.__self__
    for step in damaged:
        assert any(f"step-{step:08}.safetensors is damaged: it has SHA-256" in line for line in log)
        assert part(stopped, step).with_name(f"step-{step:08}.safetensors.damaged").exists()
    assert any(f"is at step {min(damaged) - 1} and goes on" in line for line in log)


def test_the_history_is_part_of_a_snapshot(stopped, expected):
    """Without the line of step 5 its snapshot does not count; step 4 is done again."""
    path = stopped / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    made = finish(stopped)
    assert "belong to this snapshot" in made.log.__self__[1]
    assert outcome(made) == expected


def test_without_any_whole_snapshot_somebody_has_to_say_so(stopped, expected):
    for step in (3, 4, 5):
        part(stopped, step).write_bytes(b"")
    with pytest.raises(InputError, match=r"none of 3 snapshots is whole; .* The same command again"):
        finish(stopped)
    assert names(stopped) == []
    assert len(list((stopped / "snapshots").glob("*.damaged"))) == 3
    assert outcome(finish(stopped)) == expected


def test_a_snapshot_of_another_place_in_the_text_is_refused(stopped):
    made = make_trainer("lstm", stopped, save_every=1)
    made.keeper.num_batches = 1
    with pytest.raises(InputError, match="the snapshot is at batch 2 of an epoch that now has 1"):
        made.fit()


def test_snapshots_hold_what_the_run_is(stopped):
    about, tensors = read_snapshot(part(stopped, 5))
    assert (about["step"], about["epoch"], about["batch"], about["looked"]) == (5, 1, 2, False)
    assert about["settings"]["train"]["max_steps"] == 7
    assert about["history"]["bytes"] == (stopped / "metrics.jsonl").stat().st_size
    assert {name.split(".")[0] for name in tensors} == {"model", "optimizer", "state", "random"}
    made = make_trainer("lstm", stopped, save_every=1)
    assert len(history(made.fit())["steps"]) == 7
