"""The build's safeguards: stale notebooks and numbers are noticed, a change in lmcore runs chapters again."""

import importlib
import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def scripts(monkeypatch, tmp_path):
    """The modules of scripts/, working on a small copy of the repository."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    sync, build = (importlib.import_module(name) for name in ("sync_notebooks", "build_book"))
    for name in ("requirements.txt", "constraints.txt", "jupytext.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for folder in ("lmcore", "book/records"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "book" / "04_elman_unit.md", tmp_path / "book")
    monkeypatch.setattr(sync, "ROOT", tmp_path)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    return sync, build, tmp_path


def test_a_notebook_that_differs_from_its_chapter_is_noticed(scripts):
    sync, _, root = scripts
    chapter = sync.chapters()[0]
    assert sync.difference(chapter) == "notebooks/04_elman_unit.ipynb is missing"
    assert sync.write(chapter)
    assert sync.difference(chapter) is None
    assert not sync.write(chapter)
    text = chapter.read_text(encoding="utf-8")
    chapter.write_text(text.replace("torch.manual_seed(0)", "torch.manual_seed(1)"), encoding="utf-8")
    assert "notebooks/04_elman_unit.ipynb differs from its chapter" in sync.difference(chapter)
    assert sync.write(chapter)
    assert "torch.manual_seed(1)" in (root / "notebooks" / "04_elman_unit.ipynb").read_text(encoding="utf-8")


def test_a_number_that_its_record_no_longer_holds_is_noticed(scripts, monkeypatch):
    sync, _, root = scripts
    (chapter,) = sync.chapters()
    record = root / "book" / "records" / "trial.json"
    record.write_text('{"seconds": 12.5}', encoding="utf-8")
    with chapter.open("a", encoding="utf-8") as file:
        file.write("\nIt took {record}`trial.json; seconds; .1f` s.\n")
    assert sync.write(chapter)
    cells = json.loads(sync.notebook_of(chapter).read_text(encoding="utf-8"))["cells"]
    assert "".join(cells[-1]["source"]).endswith("It took 12.5 s.")
    assert sync.difference(chapter) is None
    record.write_text('{"seconds": 13.5}', encoding="utf-8")
    assert "notebooks/04_elman_unit.ipynb differs from its chapter" in sync.difference(chapter)
    record.unlink()
    missing = "book/04_elman_unit.md: {record}`trial.json; seconds; .1f`: there is no record"
    assert sync.difference(chapter).startswith(missing)
    monkeypatch.setattr("sys.argv", ["sync_notebooks.py"])
    with pytest.raises(SystemExit, match="there is no record 'trial"):
        sync.main()


@pytest.mark.parametrize(
    "changed", ["lmcore/cells.py", "requirements.txt", "book/records/elman_2x256/record.json"]
)
def test_a_change_around_a_notebook_makes_it_run_again(scripts, changed):
    _, build, root = scripts
    before = build.surroundings()
    assert build.surroundings() == before
    file = root / changed
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert build.surroundings() != before
