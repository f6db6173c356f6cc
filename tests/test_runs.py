"""Looking at runs while they are going: the list, the bar, the figure, TensorBoard."""

import json
import math
import os
import sys
from types import ModuleType, SimpleNamespace

import matplotlib as mpl

mpl.use("Agg")  # no screen is needed

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.colors import to_hex
from small_runs import history, make_trainer

from lmcore import list_runs, plot_run, read_run
from lmcore.distributed import World
from lmcore.errors import InputError, TrainingError
from lmcore.plots import COLOURS
from lmcore.record import Run
from lmcore.runs.listing import table
from lmcore.runs.watch import ProgressBar, TensorBoard, progress_text


def stop_at(step: int, folder, case: str = "elman", **train):
    """A trainer that was stopped in a folder."""
    made = make_trainer(
        case, folder, lambda kind, event: (kind, event["step"]) == ("step", step) and made.stop(), **train
    )
    made.fit()
    return made


@pytest.fixture
def runs(quick_path):
    """A folder with a run of each kind."""
    make_trainer("gru", quick_path / "a").fit()
    stop_at(4, quick_path / "deep" / "b")
    broken = make_trainer("elman", quick_path / "c", max_steps=None, max_seconds=1e6)
    nats = broken.model.nats
    broken.model.nats = lambda *arguments: nats(*arguments) * (math.nan if broken.progress.step == 4 else 1)
    with pytest.raises(TrainingError, match="the loss is nan at step 5"):
        broken.fit()
    stop_at(4, quick_path / "d")
    for path in (quick_path / "d" / "snapshots").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    full = make_trainer("elman", quick_path / "e")

    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    full.step._backward = no_memory
    with pytest.raises(TrainingError, match="out of GPU memory"):
        full.fit()
    return quick_path


def test_states_steps_and_losses(runs):
    found = {run.name: run for run in list_runs(runs)}
    assert {name: run.state for name, run in found.items()} == {
        "a": "finished", "c": "diverged", "d": "damaged", "deep/b": "stopped", "e": "failed",
    }  # fmt: skip
    assert [found[name].step for name in ("a", "c", "deep/b", "e")] == [7, 4, 4, 0]
    assert [found[name].limit for name in ("a", "c")] == ["7", "1e+06 s"]
    run = read_run(runs / "a")
    assert found["a"].loss == run.steps[-1]["loss"]
    assert found["a"].validation == run.validation[-1]["nats_per_token"]
    assert (found["e"].loss, found["e"].validation is None) == (None, False)  # it validated at step 0
    assert all(0 <= found[name].age < 3600 for name in found)


def test_the_list_as_a_shell_shows_it(runs, run):
    os.utime(runs / "a" / "metrics.jsonl", (0, 0))  # long ago
    status, printed, errors = run("runs", runs)
    assert (status, errors) == (0, "")
    head, *lines = printed.splitlines()
    assert head.split() == ["run", "state", "step", "loss", "validation", "last", "sign", "of", "life"]
    assert [line.split()[0] for line in lines] == ["a", "c", "d", "deep/b", "e"]
    assert lines[0].startswith("a       finished  7 of 7  ")
    assert "days" in lines[0]
    assert lines[0].endswith("ago")
    assert lines[4].split()[5] == "-"  # no loss
    assert run("runs", runs / "none") == (2, "", f"lmcore: {runs / 'none'} is not a folder\n")
    assert table([]).split() == head.split()


def test_a_run_that_is_going(quick_path):
    seen = []

    def look(kind: str, event: dict) -> None:
        if (kind, event["step"]) == ("step", 5):
            made.history.write()
            seen.append(list_runs(quick_path)[0])
            seen.append(read_run(quick_path / "r"))
            axes = plot_run(quick_path / "r", plt.figure().gca(), levels={"ln V": 4.1})
            seen.append([line.get_xydata().tolist() for line in axes.get_lines()])
            seen.append(to_hex(axes.get_lines()[0].get_color()))
            plt.close(axes.figure)

    made = make_trainer("transformer", quick_path / "r", look)
    made.fit()
    summary, found, lines, colour = seen
    assert (summary.state, summary.step) == ("running", 5)
    assert [step["step"] for step in found.steps] == [1, 2, 3, 4, 5]
    assert found.settings == json.loads(json.dumps(made.run.settings))
    raw, _, validation, level = lines
    assert raw == [[step["step"], step["loss"]] for step in found.steps]
    assert [step for step, _ in validation] == [0, 3]
    assert level[0][1] == 4.1
    assert colour == COLOURS["transformer"].lower()


def test_a_figure_before_the_first_step_and_of_a_model_without_a_colour(quick_path):
    made = make_trainer("slstm", quick_path)
    made.stop()
    made.fit()
    axes = plot_run(quick_path, plt.figure().gca())
    assert to_hex(axes.get_lines()[0].get_color()) == COLOURS["reference"].lower()
    plt.close(axes.figure)


@pytest.mark.parametrize(
    ("name", "content"), [("run.json", "{"), ("metrics.jsonl", '{"kind": 1\n'), ("metrics.jsonl", "7\n")]
)
def test_damage_is_a_state_too(quick_path, name, content):
    stop_at(2, quick_path)
    (quick_path / name).write_text(content)
    (summary,) = list_runs(quick_path)
    assert summary.state == "damaged"


def test_an_older_whole_snapshot_is_enough_to_go_on(quick_path):
    made = stop_at(5, quick_path, save_every=1)
    assert made.keeper.kept == (5, False)
    newest = quick_path / "snapshots" / "step-00000005.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    assert list_runs(quick_path)[0].state == "stopped"


LAST = {"step": 1200, "loss": 4.56789, "grad_norm": 0.714, "seconds": 60.0}


def test_one_line_of_progress():
    assert progress_text(LAST, 12345.6, 0.25) == (
        "step 1,200, 12,346 tokens/s, loss 4.568, gradient norm 0.71, 0:03:00 left"
    )


def test_the_bar_shows_it_on_a_terminal_only(monkeypatch):
    class Bar:
        def __init__(self, **options):
            self.disable, self.n, self.text, self.closed = options["disable"], 0.0, "", False
            bars.append(self)

        def set_description_str(self, text, refresh):
            self.text = text

        def update(self, part):
            self.n += part

        def close(self):
            self.closed = True

    bars: list = []
    monkeypatch.setattr("lmcore.runs.watch.tqdm", Bar)
    run = Run({}, {}, steps=[{**LAST, "tokens": 6000}])
    for world in (World(), World(rank=1, size=2)):
        with ProgressBar(world) as bar:
            bar.show(run, 0.5)
            bar.show(run, 1.2)  # the last step took longer than there was time
    assert bars[0].text.startswith("step 1,200, 100 tokens/s, loss 4.568, gradient norm 0.71, 0:00:00 left")
    assert (bars[0].n, bars[0].closed) == (1.0, True)
    assert (bars[1].disable, bars[1].text) == (True, "")


@pytest.fixture
def written(monkeypatch) -> list:
    """What a stand-in for TensorBoard's writer was told."""
    told: list = []

    class Writer:
        def __init__(self, folder, purge_step):
            told.append(("open", folder, purge_step))

        def add_scalar(self, name, value, step):
            told.append((name, value, step))

        def add_text(self, name, text, step):
            told.append((name, text, step))

        def close(self):
            told.append("close")

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return told


def test_tensorboard_gets_every_event(written, quick_path):
    board = TensorBoard(quick_path / "board")
    made = make_trainer("elman", watch=board.add, prompts=("The",))
    run = made.fit()
    board.close()
    assert written[0] == ("open", str(quick_path / "board"), 0)
    assert written[-1] == "close"
    losses = [told[1:] for told in written if told[0] == "loss/training"]
    assert losses == [(step["loss"], step["step"]) for step in run.steps]
    scores = [told[2] for told in written if told[0] == "loss/validation"]
    assert scores == [0, 3, 6, 7]
    assert ("sample/The", run.samples[0]["text"], 7) in written


def test_a_run_that_goes_on_hides_what_comes_again(written, quick_path):
    stop_at(4, quick_path)
    board = TensorBoard(quick_path / "tensorboard")
    made = make_trainer("elman", quick_path, board.add)
    made.fit()
    assert written[0][2] == 5
    assert [told[2] for told in written[1:] if told[0] == "loss/training"] == [5, 6, 7]
    TensorBoard(quick_path).close()  # nothing was written


def test_tensorboard_from_the_command_line(written, run, text_file, tmp_path):
    command = ["train", "--corpus", text_file, "--tokenizer", "char", "--emb-dim", "8", "--max-steps", "2"]
    command += ["--batch-size", "2", "--seq-len", "12", "--out", tmp_path / "m"]
    assert run(*command, "--tensorboard", "--save-every", "1")[0] == 0
    assert written[0][1] == str(tmp_path / "m" / "tensorboard")
    assert written[-1] == "close"
    assert run(*command)[0] == 0  # the same run


def test_without_tensorboard_a_message_says_what_to_install(monkeypatch, run, text_file, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"TensorBoard is not installed .*: pip install tensorboard"):
        TensorBoard(tmp_path)
    status, printed, errors = run("train", "--corpus", text_file, "--out", tmp_path / "m", "--tensorboard")
    assert (status, printed, errors.count("\n")) == (2, "", 1)
    assert not (tmp_path / "m").exists()


def test_with_the_real_tensorboard(quick_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    board = TensorBoard(quick_path / "board")
    make_trainer("elman", watch=board.add).fit()
    board.close()
    assert [path.name.startswith("events.out") for path in (quick_path / "board").iterdir()] == [True]


def test_watching_changes_nothing(quick_path):
    plain = make_trainer("lstm").fit()
    watched = make_trainer(
        "lstm", quick_path, SimpleNamespace(add=lambda *_: torch.get_num_threads()).add
    ).fit()
    assert history(plain) == history(watched)
