"""Ctrl-C in a real notebook's kernel: `fit` comes back with the history so far, and can go on."""

from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from lmcore.runs.snapshots import SNAPSHOTS

TESTS = Path(__file__).parent
SECONDS = 300  # a limit, on a machine that does other things as well

START = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from small_runs import make_trainer

def say(kind, event):
    if kind == "step" and event["step"] == 5:
        print("step 5", flush=True)

made = make_trainer("lstm", {folder!r}, say, max_steps=10**7, eval_every=None)
"""


@pytest.fixture
def kernel():
    manager, client = start_new_kernel(startup_timeout=SECONDS)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def run_cell(client, code: str, on_output=lambda: None) -> tuple[str, str]:
    """Status and text of a cell; ``on_output`` is called when it has printed something."""
    printed = []

    def output(message: dict) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])
            on_output()

    reply = client.execute_interactive(code, output_hook=output, timeout=SECONDS)
    return reply["content"]["status"], "".join(printed)


def test_an_interrupted_cell_has_its_history(kernel, tmp_path):
    manager, client = kernel
    start = START.format(tests=str(TESTS), root=str(TESTS.parent), folder=str(tmp_path / "run"))
    assert run_cell(client, start) == ("ok", "")
    status, printed = run_cell(client, "run = made.fit()", on_output=manager.interrupt_kernel)
    assert (status, printed) == ("ok", "step 5\n")
    status, printed = run_cell(client, "print(len(run.steps), made.done, made.keeper.kept[0])")
    steps = int(printed.split()[0])
    assert steps >= 5
    assert (status, printed) == ("ok", f"{steps} False {steps}\n")
    assert (tmp_path / "run" / SNAPSHOTS / f"step-{steps:08}.safetensors").exists()
    again = f"made.history.watch = lambda kind, event: event['step'] == {steps + 2} and made.stop()"
    status, printed = run_cell(client, f"{again}\nprint(len(made.fit().steps))")
    assert (status, printed) == ("ok", f"{steps + 2}\n")
