"""A full disk, a folder that cannot be written: a clear message, and nothing that was trained is lost."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from small_runs import make_trainer, outcome

from lmcore.errors import DivergedError, InputError, SaveError


@pytest.fixture(scope="module")
def expected() -> dict:
    made = make_trainer("lstm")
    made.fit()
    return outcome(made)


@pytest.fixture
def disk(monkeypatch):
    """Flushing and renaming fail from a given call on, until ``disk.mend()``."""

    class Disk:
        calls, fails_at = 0, 10**9

        def mend(self) -> None:
            self.fails_at = 10**9

    disk = Disk()
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def failing(*arguments, real=real):
            disk.calls += 1
            if disk.calls >= disk.fails_at:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments)

        monkeypatch.setattr(os, name, failing)
    return disk


def whole_snapshots(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "snapshots").iterdir())


@pytest.mark.parametrize("after", [1, 3, 6, 10])
def test_fit_goes_on_when_there_is_room_again(quick_path, expected, disk, after):
    made = make_trainer("lstm", quick_path, save_every=1)

    def watch(kind: str, event: dict) -> None:
        if kind == "step" and event["step"] == 5 and disk.fails_at == 10**9:
            disk.fails_at = disk.calls + after

    made.history.watch = watch
    with pytest.raises(
        SaveError, match=r"No space left on device.*; make room and run the same command again"
    ):
        made.fit()
    assert len(made.run.steps) >= 5
    assert "step-00000004.safetensors" in whole_snapshots(quick_path)
    assert not any(name.endswith(".tmp") for name in whole_snapshots(quick_path))
    made.history.watch = None
    disk.mend()
    made.fit()
    assert outcome(made) == expected


def test_the_message_names_the_step_the_folder_and_the_last_one_that_is_whole(quick_path, disk):
    made = make_trainer("lstm", quick_path, save_every=1)
    made.save = lambda: None
    made.history.watch = lambda kind, event: event["step"] == 2 and setattr(disk, "fails_at", disk.calls + 2)
    with pytest.raises(SaveError) as caught:
        made.fit()
    assert str(caught.value) == (
        f"no snapshot of step 2: {quick_path}/snapshots: No space left on device; that of step 1 is whole; "
        "make room and run the same command again (in a notebook: call fit again, nothing is lost)"
    )


def test_another_process_goes_on_from_the_last_whole_one(quick_path, expected, disk):
    made = make_trainer("lstm", quick_path, save_every=1)
    made.history.watch = lambda kind, event: event["step"] == 5 and setattr(disk, "fails_at", disk.calls)
    with pytest.raises(SaveError):
        made.fit()
    disk.mend()
    made = make_trainer("lstm", quick_path, save_every=1)
    made.fit()
    assert outcome(made) == expected


def test_too_little_room_shows_before_the_training(quick_path, monkeypatch):
    usage = shutil.disk_usage(quick_path)._replace(free=1000)
    monkeypatch.setattr("lmcore.runs.snapshots.shutil.disk_usage", lambda path: usage)
    made = make_trainer("lstm", quick_path)
    with pytest.raises(InputError, match=r"snapshots needs 0\.\d MB more, but its disk has 0\.0 MB left"):
        made.fit()
    assert not made.run.steps


def test_a_limit_on_the_size_of_files(quick_path, expected):
    """The system's own refusal, in the middle of writing a snapshot."""
    resource = pytest.importorskip("resource", reason="the size of files is limited as POSIX does it")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    made = make_trainer("lstm", quick_path, save_every=1)
    made.save = lambda: None

    def watch(kind: str, event: dict) -> None:
        if event["step"] == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))

    made.history.watch = watch
    try:
        with pytest.raises(
            SaveError, match=r"no snapshot of step 2: .*File too large; that of step 1 is whole"
        ):
            made.fit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    made.history.watch = None
    made.fit()
    assert outcome(made) == expected


def test_a_disk_that_is_really_full(tmp_path, expected):
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=900k", "none", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        made = make_trainer("lstm", place / "run", save_every=1)

        def watch(kind: str, event: dict) -> None:
            if event["step"] == 4:
                free = shutil.disk_usage(place).free
                (place / "filler").write_bytes(bytes(free - 8192))

        made.history.watch = watch
        with pytest.raises(SaveError, match="No space left on device"):
            made.fit()
        made.history.watch = None
        (place / "filler").unlink()
        again = make_trainer("lstm", place / "run", save_every=1)
        again.fit()
        assert outcome(again) == expected
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_the_command_line_says_it_in_one_line(run, text_file, tmp_path, disk):
    command = ["train", "--corpus", text_file, "--tokenizer", "char", "--out", tmp_path / "m"]
    command += ["--emb-dim", "8", "--batch-size", "2", "--seq-len", "12", "--max-steps", "3"]
    assert run(*command[:-1], "1")[0] == 0  # so that the token files are there
    shutil.rmtree(tmp_path / "m")
    disk.fails_at = disk.calls + 15
    status, _, errors = run(*command)
    assert (status, errors.count("\n")) == (1, 1)
    assert errors.startswith("lmcore: ")
    assert "No space left on device" in errors
    disk.mend()
    assert run(*command)[0] == 0


@pytest.mark.parametrize("save_every", [None, 1])
def test_weights_that_are_no_numbers_are_not_kept(quick_path, save_every):
    """Without a validation nobody else would notice before the next loss."""
    made = make_trainer("lstm", quick_path, save_every=save_every, eval_every=None)
    made.validation = None
    update = made.step.update

    def breaking_update():
        norm = update()
        if made.progress.step == (6 if save_every is None else 3):  # that many are done
            with torch.no_grad():
                made.model.layers[0].U[0, :2] = float("nan")
        return norm

    made.step.update = breaking_update
    step = 7 if save_every is None else 4
    message = rf"layers\.0\.U holds 2 numbers that are NaN or infinite after step {step}, where the learning"
    with pytest.raises(DivergedError, match=message):
        made.fit()
    kept = [] if save_every is None else ["step-00000002.safetensors", "step-00000003.safetensors"]
    assert whole_snapshots(quick_path) == kept
    assert (quick_path / "metrics.jsonl").read_text().splitlines()[-1].endswith('"state": "diverged"}')
