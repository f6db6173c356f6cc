"""Trains in child processes that die as ordered: `python fault_worker.py`, one order per line of input.

Everything is imported and used once, then each order is a fork, which costs a few milliseconds. An order is
a JSON object; the answer is one line of JSON with the child's exit status (-9: killed) and what it left in
its folder's ``result.json``. POSIX only.
"""

import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

import small_runs
import torch

import lmcore.checkpoint
import lmcore.runs.history
import lmcore.snapshot
from lmcore.__main__ import main as command_line

SMALL_STEPS = {"max_steps": 12, "eval_every": 5, "save_every": 2}


class Fuse:
    """Counts what is done to files; kills the process at a given one."""

    def __init__(self, blows_at: int | None):
        self.calls, self.blows_at = 0, blows_at

    def burn(self, last_deed=None) -> None:
        self.calls += 1
        if self.calls == self.blows_at:
            if last_deed is not None:
                last_deed()
            os.kill(os.getpid(), signal.SIGKILL)

    def before_and_after(self, function):
        def burning(*arguments, **options):
            self.burn()
            result = function(*arguments, **options)
            self.burn()
            return result

        return burning

    def open(self, *arguments, **options):
        return BurningFile(open(*arguments, **options), self)

    def install(self) -> None:
        for name in ("fsync", "replace", "unlink"):
            setattr(os, name, self.before_and_after(getattr(os, name)))
        for module in (lmcore.snapshot, lmcore.runs.history):
            module.open = self.open
        lmcore.checkpoint.save_model = self.before_and_after(lmcore.checkpoint.save_model)
        Path.write_bytes = self.before_and_after(Path.write_bytes)


class BurningFile:
    """A file whose writes burn a fuse; the last one gets through only by half."""

    def __init__(self, file, fuse: Fuse):
        self.file, self.fuse = file, fuse

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name: str):
        return getattr(self.file, name)

    def write(self, content) -> int:
        self.fuse.burn(lambda: (self.file.write(bytes(content)[: len(content) // 2]), self.file.flush()))
        return self.file.write(content)


def train(order: dict[str, Any], started: float) -> int:
    """One run to its end, if nothing ends it before."""
    folder, fuse = Path(order["folder"]), Fuse(order.get("kill_at_call"))
    made = small_runs.make_trainer(
        order["case"], folder, watch=at_step(order), **{**SMALL_STEPS, **order.get("train", {})}
    )
    fuse.install()
    made.fit()
    found = small_runs.outcome(made)
    model = (folder / "model.safetensors").read_bytes()
    result = {"calls": fuse.calls, "seconds": time.perf_counter() - started}
    result["outcome"] = json.loads(json.dumps({**found, "model": model}, default=bytes.hex))
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


def at_step(order: dict[str, Any]):
    """A ``watch`` that sends this process a signal at a step."""
    name, step = order.get("signal", ("SIGTERM", None))

    def watch(kind: str, event: dict) -> None:
        if (kind, event["step"]) == ("step", step):
            signal.raise_signal(getattr(signal, name))

    return watch


def run_command(order: dict[str, Any]) -> int:
    """`python -m lmcore`, with a signal at some step."""
    watch, add = at_step(order), lmcore.runs.history.History.add

    def add_and_watch(self, kind: str, event: dict) -> None:
        add(self, kind, event)
        watch(kind, event)

    lmcore.runs.history.History.add = add_and_watch
    return command_line(order["command"])


def child(order: dict[str, Any]) -> NoReturn:
    """Ends this process with the order's exit status."""
    started, status = time.perf_counter(), 70
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(order[name], os.O_WRONLY), descriptor)
    try:
        if "file_size" in order:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"], resource.RLIM_INFINITY))
        if "user" in order:
            os.setgroups([])
            os.setgid(order["user"])
            os.setuid(order["user"])
        status = run_command(order) if "command" in order else train(order, started)
    except SystemExit as stop:
        status = stop.code
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Fork, kill when it is time, wait for the end."""
    for name in ("out", "err"):
        Path(order[name]).write_bytes(b"")
    here, there = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(here)
        child(order)
    os.close(there)  # the pipe now ends with the child
    ended, _, _ = select.select([here], [], [], order.get("kill_after"))
    if not ended:
        os.kill(pid, signal.SIGKILL)
    os.close(here)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    result = Path(order.get("folder", "")) / "result.json"
    content = json.loads(result.read_text(encoding="utf-8")) if status == 0 and result.is_file() else None
    return {"status": status, "result": content}


def main() -> None:
    torch.set_num_threads(1)
    for case in ("lstm", "transformer"):  # torch imports and prepares much when it is first needed
        small_runs.make_trainer(case, max_steps=1).fit()
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
