"""One run per folder, one process per run; other settings are refused with what changed."""

import json
import os
import signal
import subprocess
import sys

import pytest
from small_runs import history, make_trainer

from lmcore.distributed import World
from lmcore.errors import InputError
from lmcore.runs import folder as run_folder
from lmcore.runs.folder import RunFolder, differences, is_busy

HOLD = """
import sys, filelock
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold(monkeypatch):
    """Another process that holds the lock of a folder; it ends with the test."""
    monkeypatch.setattr(run_folder, "LOCK_SECONDS", 0.0)
    processes = []

    def hold(folder) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, folder / "run.lock"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in processes:
        process.communicate()


def test_two_processes_do_not_share_a_folder(quick_path, hold):
    made = make_trainer(folder=quick_path, watch=lambda *_: made.stop())
    made.fit()
    before = (quick_path / "metrics.jsonl").read_bytes()
    (quick_path / "process.json").write_text('{"pid": 4711, "host": "here"}')
    process = hold(quick_path)
    assert is_busy(quick_path)
    for attempt in (make_trainer(folder=quick_path).fit, lambda: RunFolder(quick_path).check({})):
        with pytest.raises(InputError, match=r"is in use by process 4711 on here; wait for it, or choose"):
            attempt()
    (quick_path / "process.json").write_text("")
    with pytest.raises(InputError, match="is in use by another process"):
        make_trainer(folder=quick_path).fit()
    assert (quick_path / "metrics.jsonl").read_bytes() == before
    process.send_signal(signal.SIGTERM)
    process.wait()
    assert len(make_trainer(folder=quick_path).fit().steps) == 7


def test_the_lock_of_a_killed_process_is_no_lock(quick_path, hold):
    process = hold(quick_path)
    with pytest.raises(InputError, match="is in use"):
        make_trainer(folder=quick_path).fit()
    process.kill()
    process.wait()
    assert not is_busy(quick_path)
    make_trainer(folder=quick_path).fit()


def test_the_folder_is_held_while_training_and_free_afterwards(quick_path):
    seen = []
    made = make_trainer(folder=quick_path, watch=lambda *_: seen.append(is_busy(quick_path)))
    made.fit()
    owner = json.loads((quick_path / "process.json").read_text())
    assert owner["pid"] == os.getpid()
    assert all(seen)
    assert not is_busy(quick_path)
    assert not is_busy(quick_path / "none")


def test_other_settings_are_refused_with_what_changed(quick_path):
    made = make_trainer(folder=quick_path, watch=lambda *_: made.stop())
    made.fit()
    kept = [path for path in quick_path.rglob("*") if path.is_file() and path.name != "process.json"]
    files = {path: path.read_bytes() for path in kept}
    with pytest.raises(InputError) as caught:
        make_trainer("gru", folder=quick_path, learning_rate=1e-3, warmup=0.5).fit()
    assert str(caught.value) == (
        f"{quick_path} holds a run with other settings: model.cell: elman -> gru; "
        "train.learning_rate: 0.003 -> 0.001; train.warmup: 0.03 -> 0.5. "
        "With the old ones it goes on; for new ones choose another folder"
    )
    assert {path: path.read_bytes() for path in files} == files
    with pytest.raises(
        InputError, match=r"batches\.batch_size: 6 -> 8; batches\.class: StreamBatches -> Sent"
    ):
        make_trainer("sentences", folder=quick_path).fit()
    with pytest.raises(InputError, match="processes: 1 -> 2"):
        RunFolder(quick_path).check({"processes": 2})
    RunFolder(quick_path).check({"processes": 1})


def test_how_often_to_save_may_change(quick_path):
    made = make_trainer(folder=quick_path, watch=lambda *_: made.stop())
    made.fit()
    assert len(make_trainer(folder=quick_path, save_every=1).fit().steps) == 7


def test_another_tokenizer_or_device_is_refused(quick_path):
    made = make_trainer(folder=quick_path)
    made.fit()
    path = quick_path / "run.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"tokenizer_sha256": "0" * 64}))
    with pytest.raises(InputError, match=r"tokenizer_sha256: 0{64} -> \w{64}"):
        make_trainer(folder=quick_path).fit()
    content["environment"]["device"] = "cuda"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="other settings: device: cuda -> cpu"):
        make_trainer(folder=quick_path).fit()


def test_another_machine_is_only_mentioned(quick_path):
    made = make_trainer(folder=quick_path, watch=lambda *_: made.stop())
    made.fit()
    path = quick_path / "run.json"
    content = json.loads(path.read_text())
    content["environment"]["threads"] = 64
    content["environment"]["libraries"]["torch"] = "1.0"
    path.write_text(json.dumps(content))
    later = make_trainer(folder=quick_path)
    later.fit()
    lines = [line for line in later.log.__self__ if line.startswith("not as at the start")]
    assert len(lines) == 1
    assert "libraries.torch: 1.0 -> " in lines[0]
    assert "threads: 64 -> 1" in lines[0]


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for attempt in (lambda: RunFolder(tmp_path).check({}), make_trainer(folder=tmp_path).fit):
        with pytest.raises(
            InputError, match=r"holds notes\.txt, but no run that could go on \(no run\.json\)"
        ):
            attempt()
    with pytest.raises(InputError, match=r"notes\.txt is a file; it must be a folder"):
        RunFolder(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="keep is 0; it must be at least 1"):
        RunFolder(tmp_path, keep=0)
    RunFolder(tmp_path / "new").check({})
    assert not (tmp_path / "new").exists()


def test_what_a_process_killed_at_its_start_leaves_is_no_hindrance(tmp_path):
    for name in ("run.lock", "process.json", "tokenizer.json", "run.json.tmp", "metrics.jsonl"):
        (tmp_path / name).write_text("")
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "step-00000003.safetensors.tmp").write_text("half")
    assert len(make_trainer(folder=tmp_path).fit().steps) == 7
    assert not list(tmp_path.rglob("*.tmp"))


def test_with_a_run_in_it_a_folder_may_hold_other_things(tmp_path):
    made = make_trainer(folder=tmp_path, watch=lambda *_: made.stop())
    made.fit()
    (tmp_path / "notes.txt").write_text("mine")
    assert len(make_trainer(folder=tmp_path).fit().steps) == 7


def test_a_trainer_whose_run_went_on_elsewhere_is_refused(quick_path):
    made = make_trainer(folder=quick_path, watch=lambda *_: made.stop())
    made.fit()
    expected = history(make_trainer(folder=quick_path).fit())
    with pytest.raises(InputError, match=r"another process went on with .*; make a new Trainer"):
        made.fit()
    assert history(make_trainer(folder=quick_path).fit()) == expected


def test_rank_0_decides_for_all(monkeypatch):
    """Its errors reach the others as what they are."""

    def fail():
        raise OSError(30, "Read-only file system")

    assert World().first_decides(lambda: {"a": [1]}) == {"a": [1]}
    with pytest.raises(InputError, match="Read-only file system"):
        World().first_decides(fail)
    monkeypatch.setattr(World, "text_from_first", lambda self, text: '{"error": "full"}')
    with pytest.raises(InputError, match=r"^full$"):
        World(rank=1, size=2).first_decides(fail)  # not called there


def test_differences_name_what_is_new_and_what_is_gone():
    was = {"a": 1, "b": {"c": [1, 2], "d": 2.5}, "same": {"x": None}}
    now = {"a": 1, "b": {"c": (1, 3)}, "e": "new", "same": {}}
    assert differences(was, now) == ["b.c: [1, 2] -> [1, 3]", "b.d: 2.5 -> not set", "e: not set -> new"]
    assert differences({"train": {"save_every": 1}}, {"train": {"save_every": 2}}) == []
