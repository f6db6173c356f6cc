"""Files kept for the next time: found again, whole or not there, and looked over before they are used."""

import json
import os
from pathlib import Path

import pytest
from archives import everything_in

from lmcore.errors import InputError
from lmcore.sources.cache import cache_folder, kept_files


@pytest.fixture
def keep(tmp_path):
    """Keep one file; returns its folder and what was said, and counts how often it was written."""

    def keep(about: int = 1, content: str = "text") -> tuple[Path, list[str]]:
        def write(files: Path) -> str:
            keep.times += 1
            (files / "deep").mkdir()
            (files / "deep" / "one").write_text(content)
            return "one file"

        said = []
        return kept_files(tmp_path / "cache", {"about": about}, write, said.append), said

    keep.times = 0
    return keep


def test_the_default_folder(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/lmcore")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "lmcore"


def test_files_are_written_once_and_found_again(keep):
    files, said = keep()
    assert (files / "deep" / "one").read_text() == "text"
    assert said == [f"one file (written in {files.parent})"]
    assert keep() == (files, [f"one file (found in {files.parent})"])
    assert keep.times == 1
    assert keep(about=2)[0] != files
    assert keep.times == 2


def test_nothing_is_left_where_writing_fails(tmp_path):
    def write(files: Path) -> str:
        (files / "half").write_text("half")
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        kept_files(tmp_path / "cache", {}, write, print)
    assert everything_in(tmp_path) == ["cache"]


def change(files: Path) -> None:
    (files / "deep" / "one").write_text("texT")


def add(files: Path) -> None:
    (files / "two").write_text("more")


def remove(files: Path) -> None:
    (files / "deep" / "one").unlink()


@pytest.mark.parametrize(("damage", "name"), [(change, "deep/one"), (add, "two"), (remove, "deep/one")])
def test_files_that_are_not_as_they_were_written_are_refused(keep, damage, name):
    files, _ = keep()
    damage(files)
    with pytest.raises(InputError) as caught:
        keep()
    assert str(caught.value) == (
        f"{files.parent}: {name} is not as it was written; delete the folder and run again"
    )


@pytest.mark.parametrize("entry", ["", "[]", "{}", '{"line": "x", "files": 3}', "\xff"])
def test_a_damaged_entry_is_refused(keep, entry):
    files, _ = keep()
    (files.parent / "entry.json").write_text(entry, encoding="latin-1")
    with pytest.raises(InputError, match=r"has no readable entry\.json; delete the folder and run again"):
        keep()


def test_two_processes_may_write_the_same_files(keep, tmp_path):
    def write(files: Path) -> str:
        keep()  # the other process, and it is sooner
        (files / "deep").mkdir()
        (files / "deep" / "one").write_text("text")
        return "one file"

    files = kept_files(tmp_path / "cache", {"about": 1}, write, [].append)
    assert (files / "deep" / "one").read_text() == "text"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [files.parent.name]
    assert json.loads((files.parent / "entry.json").read_text())["about"] == {"about": 1}


def test_a_folder_that_cannot_be_renamed_is_an_error(keep, monkeypatch):
    def refuse(source, target):
        raise PermissionError(f"no entry to {target}")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(InputError, match="cannot be renamed"):
        keep()
