"""The history on disk: one line per event, nothing lost when the disk is full, nothing half written."""

import io
import json

import pytest

from lmcore.errors import InputError, SaveError
from lmcore.record import Run
from lmcore.runs.history import History, MetricsFile, check_metrics, read_events, read_run

STEP = {"step": 1, "loss": 2.5, "tokens": 10}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_lines_can_be_read_as_they_are_written(path):
    seen, run = [], Run({}, {})
    history = History(run, watch=lambda kind, event: seen.append((kind, event)))
    history.file = MetricsFile(path)
    with history.file.opened():
        history.add("step", STEP)
        history.add("sample", {"step": 1, "prompt": "Þ", "text": "a\nb"})
        assert path.read_bytes() == b""
        history.write()
        assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
            {"kind": "step", **STEP},
            {"kind": "sample", "step": 1, "prompt": "Þ", "text": "a\nb"},
        ]
        mark = history.mark()
        history.add("end", {"step": 1, "state": "finished"})
        history.write()
    assert mark["bytes"] < path.stat().st_size
    check_metrics(path, mark)
    assert (run.steps, len(run.samples)) == ([STEP], 1)
    assert [kind for kind, _ in seen] == ["step", "sample", "end"]
    again = History(Run({}, {}))
    again.load(path, mark["bytes"])
    assert again.run == run
    assert [kind for kind, _ in read_events(path)] == ["step", "sample", "end"]


def test_what_follows_the_mark_is_cut_off(path):
    file = MetricsFile(path)
    with file.opened():
        file.add("step", STEP)
        mark = file.mark()
        file.add("step", {**STEP, "step": 2})
        file.write()
    later = MetricsFile(path, mark["bytes"])
    with later.opened():
        assert path.stat().st_size == mark["bytes"]
        later.add("step", {**STEP, "step": 3})
        assert later.mark()["bytes"] == path.stat().st_size
    assert [event["step"] for _, event in read_events(path)] == [1, 3]
    check_metrics(path, mark)


def test_a_changed_or_shorter_history_does_not_belong_to_the_snapshot(path):
    file = MetricsFile(path)
    with file.opened():
        file.add("step", STEP)
        mark = file.mark()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"2.5", b"2.4"))
    with pytest.raises(InputError, match=r"the first 55 bytes of .*metrics\.jsonl are not those"):
        check_metrics(path, mark)
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"has 54 bytes, but 55 belong to this snapshot"):
        check_metrics(path, mark)
    with pytest.raises(InputError, match="has become shorter than the 55 bytes"), file.opened():
        pass
    path.unlink()
    with pytest.raises(InputError, match="has 0 bytes"):
        check_metrics(path, mark)


class FullDisk(io.FileIO):
    """Takes so many bytes and no more."""

    room = 0

    def write(self, content) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        number = super().write(bytes(content)[: self.room])
        FullDisk.room -= number
        return number


def full_disk(path, mode, buffering=-1):
    return FullDisk(path, "w") if "+" in mode else open(path, mode)


def test_a_full_disk_leaves_no_half_line_and_loses_none(path, monkeypatch):
    file = MetricsFile(path)
    monkeypatch.setattr("lmcore.runs.history.open", full_disk, raising=False)
    with file.opened():
        FullDisk.room = 60
        file.add("step", STEP)
        file.write()
        file.add("step", {**STEP, "step": 2})
        with pytest.raises(SaveError, match=r"metrics\.jsonl cannot be written: No space left.*; make room"):
            file.write()
        assert [event["step"] for _, event in read_events(path)] == [1]
        FullDisk.room = 1000
        file.add("step", {**STEP, "step": 3})
        mark = file.mark()
    assert [event["step"] for _, event in read_events(path)] == [1, 2, 3]
    check_metrics(path, mark)


@pytest.mark.parametrize(
    "line", ["{", "[]", "7", "{}", '{"kind": "step"', '["kind"]', "[" * 100_000, "\xff\xfe", ""]
)
def test_a_line_that_is_no_event_is_refused_with_its_number(path, line):
    path.write_bytes(b'{"kind": "step", "step": 1}\n' + line.encode("latin-1") + b"\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl, line 2 is not an event of a run"):
        list(read_events(path))


def test_a_line_that_is_being_written_is_left_out(path):
    path.write_bytes(b'{"kind": "step", "step": 1}\n{"kind": "st')
    assert list(read_events(path)) == [("step", {"step": 1})]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"settings": 3}', b"\xff"])
def test_damaged_settings_are_refused(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"run\.json is damaged"):
        read_run(tmp_path)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is not a run folder: it has no run\.json"):
        read_run(tmp_path)
