"""Accumulated gradients, losses that are no numbers, memory that runs out, losses read late."""

import re

import pytest
import torch

from lmcore.errors import InputError, TrainingError
from lmcore.record import load_record


def weights(trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


@pytest.mark.parametrize("accumulate", [2, 3, 4])
def test_a_batch_in_parts_gives_the_same_steps(make_trainer, char, accumulate):
    whole, parts = make_trainer(char), make_trainer(char, accumulate=accumulate)
    for made in (whole, parts):
        made.model.double()
    expected, found = whole.fit(), parts.fit()
    assert [step["loss"] for step in found.steps] == [step["loss"] for step in expected.steps]
    assert [step["tokens"] for step in found.steps] == [step["tokens"] for step in expected.steps]
    torch.testing.assert_close(weights(parts), weights(whole), atol=1e-10, rtol=0)


def break_at(trainer, step: int, value: float) -> None:
    """From this step on the loss is ``value``."""
    nats, calls = trainer.model.nats, []

    def broken(hidden, targets):
        if trainer.model.training:
            calls.append(1)
        total = nats(hidden, targets)
        return total * value if trainer.model.training and len(calls) >= step else total

    trainer.model.nats = broken


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("reading_waits", [False, True])
def test_a_loss_that_is_no_number_stops_the_run(make_trainer, char, value, reading_waits):
    made = make_trainer(char, eval_every=2)
    made.ledger.reading_waits = reading_waits  # as on a GPU
    saved = []
    made.save = lambda: saved.append(weights(made))
    break_at(made, 6, value)
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step 6, .* that of step 4 was saved"):
        made.fit()
    assert len(made.run.steps) == 5
    assert len(saved) == 2
    assert all(kept.isfinite().all() for kept in saved)


def test_before_the_first_save_the_message_says_so(make_trainer, char):
    made = make_trainer(char)
    break_at(made, 1, float("nan"))
    with pytest.raises(TrainingError, match=r"at step 1, .* \(the last good model: none was saved\)"):
        made.fit()


def test_a_run_that_diverges_from_the_command_line(run, text_file, tmp_path):
    sizes = ["--emb-dim", "8", "--batch-size", "2", "--seq-len", "8", "--tokenizer", "char"]
    status, _, error = run(
        "train", "--corpus", text_file, "--out", tmp_path / "out", "--cache", tmp_path / "cache",
        "--learning-rate", "1e35", "--max-steps", "50", "--eval-every", "1", *sizes,
    )  # fmt: skip
    assert status == 1
    assert error.count("\n") == 1
    assert re.match(r"lmcore: (validation after step \d+: )?the loss is nan", error)
    assert 0 < len(load_record(tmp_path / "out" / "record.json").steps) < 50
    saved = (tmp_path / "out" / "model.safetensors").exists()
    assert ("none was saved" in error) is not saved


def test_weights_that_broke_in_the_last_step_are_not_saved(make_trainer, char):
    """The loss of a step is that of the weights before it: the validation sees the new ones first."""
    made = make_trainer(char, eval_every=2)
    saved, update = [], made.step.update

    def breaking_update():
        norm = update()
        if len(made.run.steps) == 3:  # the fourth step is being taken
            with torch.no_grad():
                made.model.layers[0].U[0, 0] = float("nan")
        return norm

    made.save = lambda: saved.append(weights(made))
    made.step.update = breaking_update
    with pytest.raises(
        TrainingError, match=r"after step 4: the loss is nan: .* \(.* that of step 2 was saved"
    ):
        made.fit()
    assert len(saved) == 1
    assert saved[0].isfinite().all()


def test_a_model_that_comes_in_broken_is_bad_input(make_trainer, char):
    made = make_trainer(char)
    with torch.no_grad():
        made.model.layers[0].U[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"^the loss is nan: layers\.0\.U holds 1 values"):
        made.fit()


def test_memory_of_a_gpu_that_runs_out(make_trainer, char, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.\nmore")

    made = make_trainer(char)
    monkeypatch.setattr(made.step, "_backward", full)
    with pytest.raises(TrainingError, match=r"batch_size 4, seq_len 8, accumulate 1.*9\.00 GiB\.\)$"):
        made.fit()


def test_losses_read_late_are_the_same_history(make_trainer, char, monkeypatch):
    at_once, late = make_trainer(char, eval_every=5), make_trainer(char, eval_every=5)
    late.ledger.reading_waits = True
    reads = []
    monkeypatch.setattr("lmcore.runs.ledger.STEPS_UNREAD", 4)
    read = late.ledger.read
    monkeypatch.setattr(late.ledger, "read", lambda: (reads.append(len(late.ledger.pending)), read()))
    histories = [[{**step, "seconds": 0} for step in made.fit().steps] for made in (at_once, late)]
    assert histories[0] == histories[1]
    assert [number for number in reads if number] == [4, 1, 4, 1, 2]
    assert [step["seconds"] for step in late.run.steps] == sorted(step["seconds"] for step in late.run.steps)


def test_a_cuda_graph_needs_cuda(make_trainer, char):
    with pytest.raises(InputError, match="cuda_graph is set, but the device is cpu"):
        make_trainer(char, cuda_graph=True).fit()
