"""Signals end a run between two steps, with a snapshot; in a notebook the history so far comes back."""

import shlex
import signal
import sys
import threading
from types import SimpleNamespace

import pytest
from small_runs import make_trainer, outcome

from lmcore.distributed import World
from lmcore.errors import InputError
from lmcore.runs import stopping
from lmcore.runs.stopping import CALL, SIGINT, SIGTERM, Interrupted, StopRequest, UntilStopped, is_interactive


@pytest.fixture(scope="module")
def expected() -> dict:
    made = make_trainer("gru")
    made.fit()
    return outcome(made)


@pytest.fixture
def notebook(monkeypatch):
    """As if somebody sat at a prompt."""
    monkeypatch.setattr("lmcore.trainer.is_interactive", lambda: True)


def interrupted_at(step: int, number: int, folder=None, times: int = 1):
    """A trainer whose process gets a signal at a step."""

    def watch(kind: str, event: dict) -> None:
        if (kind, event["step"]) == ("step", step):
            for _ in range(times):
                signal.raise_signal(number)

    return make_trainer("gru", folder, watch)


def test_a_notebook_gets_the_history_so_far_and_can_go_on(notebook, quick_path, expected):
    for folder in (None, quick_path):
        made = interrupted_at(4, SIGINT, folder)
        run = made.fit()
        assert [step["step"] for step in run.steps] == [1, 2, 3, 4]
        assert not made.done
        assert signal.getsignal(SIGINT) is signal.default_int_handler
        made.fit()
        assert outcome(made) == expected


def test_another_process_can_go_on_as_well(notebook, quick_path, expected):
    interrupted_at(4, SIGINT, quick_path).fit()
    made = make_trainer("gru", quick_path)
    made.fit()
    assert outcome(made) == expected


@pytest.mark.parametrize(("number", "error"), [(SIGINT, KeyboardInterrupt), (SIGTERM, SystemExit)])
def test_a_program_ends_after_the_step_and_the_snapshot(quick_path, expected, number, error):
    made = interrupted_at(4, number, quick_path)
    with pytest.raises(error) as caught:
        made.fit()
    assert getattr(caught.value, "code", 0) == 0
    assert len(made.run.steps) == 4
    assert signal.getsignal(SIGTERM) is signal.SIG_DFL
    made = make_trainer("gru", quick_path)
    made.fit()
    assert outcome(made) == expected


def test_without_a_folder_a_program_is_interrupted_at_once():
    made = interrupted_at(4, SIGINT)
    with pytest.raises(KeyboardInterrupt):
        made.fit()
    with pytest.raises(InputError, match="has already run 4 steps; make a new one"):
        made.fit()  # the interruption may have come in the middle of a step


def test_a_second_interruption_does_not_wait(quick_path, expected):
    made = interrupted_at(4, SIGINT, quick_path, times=2)
    with pytest.raises(KeyboardInterrupt):
        made.fit()
    assert made.keeper.kept == (3, True)
    made = make_trainer("gru", quick_path)
    made.fit()
    assert outcome(made) == expected


@pytest.mark.parametrize("step", [3, 7])
def test_a_step_that_is_followed_by_a_validation(notebook, quick_path, expected, step):
    """It is left for later, and then done once."""
    made = interrupted_at(step, SIGINT, quick_path)
    run = made.fit()
    assert [entry["step"] for entry in run.validation] == [0, 3, 6][: 1 + (step - 1) // 3]
    assert made.keeper.kept == (step, False)
    made = make_trainer("gru", quick_path)
    made.fit()
    assert outcome(made) == expected
    assert made.done


@pytest.mark.parametrize("at", [0, 3])
def test_a_validation_is_interrupted(notebook, quick_path, expected, at):
    made = make_trainer("gru", quick_path)
    batches = list(made.validation)

    def interrupting():
        yield batches[0]
        if len(made.run.validation) == at / 3:
            signal.raise_signal(SIGINT)
        yield from batches

    made.validation = type("Interrupting", (), {"__iter__": lambda self: interrupting()})()
    run = made.fit()
    assert [entry["step"] for entry in run.validation] == [0][: at // 3]
    assert len(run.steps) == at
    assert made.model.training
    made = make_trainer("gru", quick_path)
    made.fit()
    assert outcome(made) == expected


def test_batches_are_what_they_were():
    request = StopRequest()
    held_out = make_trainer().validation
    assert UntilStopped(held_out, request).state == held_out.state == "carried"
    assert getattr(UntilStopped([], request), "state", "none") == "none"
    batches = list(held_out) * 2
    numbers = iter(UntilStopped(batches, request))
    assert next(numbers) is batches[0]
    request.ask()
    assert request.number == CALL
    with pytest.raises(Interrupted):
        next(numbers)


def test_somebody_elses_handler_stays():
    def own(number, frame):
        pass

    before = signal.signal(SIGTERM, own)
    try:
        with StopRequest().listening(SIGTERM, SIGINT):
            assert signal.getsignal(SIGTERM) is own
            assert signal.getsignal(SIGINT) is not signal.default_int_handler
    finally:
        signal.signal(SIGTERM, before)
    assert signal.getsignal(SIGINT) is signal.default_int_handler


def test_outside_of_the_main_thread_signals_are_left_alone(quick_path):
    lengths = []
    thread = threading.Thread(target=lambda: lengths.append(len(make_trainer("gru", quick_path).fit().steps)))
    thread.start()
    thread.join()
    assert lengths == [7]


def test_processes_agree(monkeypatch):
    """One of two was asked by SIGTERM, the other not at all."""
    monkeypatch.setattr(World, "sum", lambda self, values: [values[0] + 1, *values[1:]])
    request = StopRequest()
    assert request.agreed(World(rank=1, size=2))
    assert request.number == SIGTERM
    assert not StopRequest().agreed(World())


def test_who_sits_at_a_prompt(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not is_interactive()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: "a shell"))
    assert is_interactive()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not is_interactive()
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert is_interactive()
    assert stopping.KINDS[0] == SIGTERM  # it counts more than Ctrl-C


def test_the_command_line_says_how_to_go_on(run, text_file, tmp_path, monkeypatch):
    """Three interruptions of one run: SIGTERM, Ctrl-C, none."""
    command = ["train", "--corpus", text_file, "--tokenizer", "char", "--out", tmp_path / "a folder"]
    command += ["--emb-dim", "8", "--batch-size", "2", "--seq-len", "12", "--max-steps", "6"]
    again = "python -m lmcore " + shlex.join(map(str, command))
    add = stopping_history(monkeypatch)

    add[2] = SIGTERM
    with pytest.raises(SystemExit) as stopped:
        run(*command)
    assert stopped.value.code == 0

    add[4] = SIGINT
    status, printed, errors = run(*command)
    assert (status, errors) == (130, "lmcore: interrupted\n")
    assert "is at step 2 and goes on" in printed
    assert printed.endswith(f"stopped after step 4; this goes on: {again}\n")

    status, printed, errors = run(*command)
    assert (status, errors) == (0, "")
    assert "is at step 4 and goes on" in printed
    assert "saved model, tokenizer and run record" in printed
    assert (
        run(*command)[1]
        .splitlines()[-2]
        .endswith("is at step 6 and has finished; for a new one choose another folder")
    )


def stopping_history(monkeypatch) -> dict[int, int]:
    """Signals by the step at which this process sends them to itself."""
    signals: dict[int, int] = {}
    from lmcore.runs.history import History

    add = History.add

    def add_and_signal(self, kind: str, event: dict) -> None:
        add(self, kind, event)
        if kind == "step" and event["step"] in signals:
            signal.raise_signal(signals.pop(event["step"]))

    monkeypatch.setattr(History, "add", add_and_signal)
    return signals
