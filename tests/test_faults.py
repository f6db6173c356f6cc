"""Training that is killed at any moment goes on, and ends as if it had not been: equal to the bit."""

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lmcore

if os.name == "nt":
    pytest.skip("forks and kills processes as POSIX has them", allow_module_level=True)

TESTS = Path(__file__).parent
KILLS = 60  # at files as many as at moments
CASES = ("streams in parts", "sentences in parts", "transformer", "sampled")


class Worker:
    """A process that has imported everything and forks for each order."""

    def __init__(self, folder: Path):
        paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
        self.folder, self.numbers = folder, itertools.count()
        self.process = subprocess.Popen(
            [sys.executable, TESTS / "fault_worker.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder,
        )  # fmt: skip

    def __call__(self, **order) -> dict:
        """What became of one child; ``out`` and ``err`` are what it printed."""
        number = next(self.numbers)
        files = {name: str(self.folder / f"{number}.{name}") for name in ("out", "err")}
        order = {name: str(value) if isinstance(value, Path) else value for name, value in order.items()}
        print(json.dumps({**files, **order}), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        return answer | {name: Path(file).read_text(encoding="utf-8") for name, file in files.items()}

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    worker = Worker(tmp_path_factory.mktemp("worker"))
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def undisturbed(work, tmp_path_factory) -> dict[str, dict]:
    """The result of each case when nothing happens, how many file operations it took, and how long."""
    results = {}
    for case in CASES:
        answer = work(case=case, folder=tmp_path_factory.mktemp("undisturbed"))
        assert answer["status"] == 0, answer["err"]
        results[case] = answer["result"]
    return results


def draws(undisturbed: dict) -> list[dict]:
    """When to kill, with the same choice of cases and file operations every time."""
    chance, found = random.Random(0), []
    for number in range(KILLS):
        case = CASES[number % len(CASES)]
        if number % 2:
            found.append({"case": case, "kill_at_call": chance.randint(1, undisturbed[case]["calls"])})
        else:
            found.append({"case": case, "kill_after": chance.uniform(0, undisturbed[case]["seconds"])})
    return found


def test_killed_at_any_moment_and_gone_on(work, undisturbed, quick_path):
    going = 0
    for number, order in enumerate(draws(undisturbed)):
        folder = quick_path / str(number)
        answer = work(folder=folder, **order)
        while answer["status"] == 0 and "kill_after" in order:  # it was faster than the clock
            shutil.rmtree(folder)
            order["kill_after"] /= 2
            answer = work(folder=folder, **order)
        assert answer["status"] == -9, answer["err"]
        going += bool(list(folder.glob("snapshots/*.safetensors")))
        answer = work(case=order["case"], folder=folder)
        assert answer["status"] == 0, answer["err"]
        assert answer["result"]["outcome"] == undisturbed[order["case"]]["outcome"], order
        lmcore.load_checkpoint(folder)
        assert not list(folder.rglob("*.tmp"))
    assert going >= 20


def test_killed_again_and_again_in_one_folder(work, undisturbed, quick_path):
    chance, case = random.Random(1), CASES[0]
    statuses = [
        work(case=case, folder=quick_path, kill_at_call=chance.randint(1, 60))["status"] for _ in range(25)
    ]
    assert set(statuses) <= {0, -9}
    assert statuses.count(-9) >= 10
    answer = work(case=case, folder=quick_path)
    assert answer["status"] == 0, answer["err"]
    assert answer["result"]["outcome"] == undisturbed[case]["outcome"]


def test_every_file_operation_of_two_steps(work, quick_path):
    """From making the folder to the last line: every third write, flush and rename."""
    case = CASES[3]
    few = {"max_steps": 2, "eval_every": None, "save_every": 1}
    whole = work(case=case, folder=quick_path / "whole", train=few)
    calls = whole["result"]["calls"]
    assert calls > 60
    for call in range(1, calls + 1, 3):
        folder = quick_path / str(call)
        assert work(case=case, folder=folder, kill_at_call=call, train=few)["status"] == -9
        answer = work(case=case, folder=folder, train=few)
        assert answer["status"] == 0, answer["err"]
        assert answer["result"]["outcome"] == whole["result"]["outcome"], f"call {call} of {calls}"


def small_command(folder: Path) -> list[str]:
    (folder / "text.txt").write_text("\n".join(texts()), encoding="utf-8")
    sizes = ["--tokenizer=char", "--emb-dim=8", "--batch-size=2", "--seq-len=12", "--max-steps=6"]
    return ["train", f"--corpus={folder}/text.txt", f"--out={folder}/m", f"--cache={folder}/ids", *sizes]


def texts() -> list[str]:
    return (TESTS / "documents.txt").read_text(encoding="utf-8").split("\n\n")


def test_signals_to_the_command_line(work, tmp_path):
    """What a shell or a cluster sees: exit status, output, and the same command going on."""
    command = small_command(tmp_path)
    answer = work(command=command, signal=["SIGTERM", 2])
    assert (answer["status"], answer["err"]) == (0, "")
    last_line = answer["out"].splitlines()[-1]
    assert last_line.startswith("stopped after step 2; this goes on: python -m lmcore train")
    answer = work(command=command, signal=["SIGINT", 4])
    assert (answer["status"], answer["err"]) == (130, "lmcore: interrupted\n")
    assert "is at step 2 and goes on" in answer["out"]
    answer = work(command=command)
    assert (answer["status"], answer["err"]) == (0, "")
    assert "is at step 4 and goes on" in answer["out"]
    record = lmcore.load_record(tmp_path / "m" / "record.json")
    assert [step["step"] for step in record.steps] == [1, 2, 3, 4, 5, 6]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_may_not_be_written(work, quick_path):
    """By a user who may read it; root may write anywhere."""
    quick_path.chmod(0o755)
    command = small_command(quick_path)
    assert work(command=[*command[:-1], "--max-steps=1", f"--out={quick_path}/other"])["status"] == 0
    answer = work(command=command, user=65534)
    assert answer["status"] == 2
    assert answer["err"].startswith("lmcore: ")
    assert "Permission denied" in answer["err"]
    assert answer["err"].count("\n") == 1
    assert "step" not in answer["out"]
    assert not (quick_path / "m").exists()
    assert work(command=command, signal=["SIGTERM", 2])["status"] == 0
    answer = work(command=command, user=65534)  # the run is there, but not the user's
    assert (answer["status"], answer["err"].count("\n")) == (2, 1)
    assert "Permission denied" in answer["err"]
