"""The build's safeguards: stale notebooks and numbers are noticed, a change in lmcore runs chapters again.

And the server that the book is shown, tested and printed with.
"""

import gzip
import importlib
import json
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def scripts(monkeypatch, tmp_path):
    """The modules of scripts/, working on a small copy of the repository."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    sync, build = (importlib.import_module(name) for name in ("sync_notebooks", "build_book"))
    for name in ("requirements.txt", "constraints.txt", "jupytext.toml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for folder in ("lmcore", "book/records"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "book" / "references.bib", tmp_path / "book")
    chapter = (ROOT / "book" / "04_elman_unit.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"\{numref\}`([\w-]+)`", chapter)):
        if not re.search(rf"(\}}|name:) {name}\n", chapter):  # of another chapter, which the copy has not
            chapter = chapter.replace(f"{{numref}}`{name}`", "a figure")
    (tmp_path / "book" / "04_elman_unit.md").write_text(chapter, encoding="utf-8")
    monkeypatch.setattr(sync, "ROOT", tmp_path)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "EXECUTED", tmp_path / ".executed")
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
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


def test_a_name_that_leads_nowhere_is_noticed(scripts, monkeypatch):
    sync, _, _ = scripts
    (chapter,) = sync.chapters()
    assert sync.write(chapter)
    with chapter.open("a", encoding="utf-8") as file:
        file.write("\nSee {numref}`fig-nowhere`.\n")
    assert sync.difference(chapter) == "book/04_elman_unit.md: there is no 'fig-nowhere'"
    monkeypatch.setattr("sys.argv", ["sync_notebooks.py"])
    with pytest.raises(SystemExit, match="there is no 'fig-nowhere'"):
        sync.main()


def test_a_caption_stands_below_its_plot(scripts):
    sync, _, _ = scripts
    cells = sync.read(sync.chapters()[0]).cells
    (plot,) = [n for n, cell in enumerate(cells) if "'fig-heat'" in str(cell.metadata)]
    assert cells[plot].cell_type == "code"
    assert cells[plot + 1].source.startswith("*Fig. 4.4. The first 24 hidden units of the top layer")


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


@pytest.fixture
def notebook(tmp_path):
    """A notebook of three cells, as nbmake left its copy: executed, with clock times."""
    (tmp_path / ".executed").mkdir()
    clock = {f"iopub.status.{name}": f"2026-01-01T00:00:{s:02}Z" for name, s in (("busy", 1), ("idle", 4))}
    cells = [
        nbformat.v4.new_markdown_cell("Prose.", id="a"),
        nbformat.v4.new_code_cell("print(1)", id="b", metadata={"tags": ["hide-input"]}),
        nbformat.v4.new_code_cell("2", id="c"),
    ]
    path = tmp_path / "trial.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    for cell in cells[1:]:
        cell.metadata["execution"] = clock
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / ".executed" / "trial.ipynb")
    return path


def edit(path: Path, number: int, **changes) -> None:
    content = nbformat.read(path, as_version=4)
    content.cells[number].update(changes)
    nbformat.write(content, path)


@pytest.mark.parametrize(
    ("number", "changes", "runs_again"),
    [
        (0, {"source": "Other prose."}, False),
        (1, {"metadata": {"tags": ["hide-input"], "mystnb": {"figure": {"caption": "New."}}}}, False),
        (1, {"source": "print(2)"}, True),
        (1, {"metadata": {"tags": ["raises-exception"]}}, True),
    ],
)
def test_only_a_change_of_code_makes_a_notebook_run_again(scripts, notebook, number, changes, runs_again):
    _, build, _ = scripts
    before = build.stamp_of(notebook, b"")
    edit(notebook, number, **changes)
    assert (build.stamp_of(notebook, b"") != before) is runs_again


def test_the_cache_has_the_pages_as_they_are_now_with_the_outputs_of_the_run(scripts, notebook, monkeypatch):
    _, build, root = scripts
    caption = {"tags": ["hide-input"], "mystnb": {"figure": {"caption": "New."}}}
    edit(notebook, 1, metadata=caption)
    monkeypatch.setattr(build, "chapters", lambda: [root / "trial.md"])
    monkeypatch.setattr(build, "notebook_of", lambda chapter: notebook)
    build.fill_cache()
    (record,) = build.get_cache(str(build.CACHE)).list_cache_records()
    assert record.data == {"execution_seconds": 6.0}
    cells = build.get_cache(str(build.CACHE)).get_cache_bundle(record.pk).nb.cells
    assert [cell.outputs[0].text for cell in cells] == ["1", "1"]
    assert cells[0].metadata == caption


# --- the server ------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path):
    """A server of three files, below /book/."""
    import site_server

    (tmp_path / "html" / "sub").mkdir(parents=True)
    for name in ("index", "404", "sub/page"):
        (tmp_path / "html" / f"{name}.html").write_text(f"<p>{name}</p>" * 50, encoding="utf-8")
    (tmp_path / "html" / "font.woff").write_bytes(b"wOFF" * 50)
    (tmp_path / "secret.html").write_text("not below the folder", encoding="utf-8")
    with site_server.serving(tmp_path / "html", "/book/") as server:
        yield server


def get(address: str):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return direct.open(address)
    except urllib.error.HTTPError as error:
        return error


@pytest.mark.parametrize(
    ("path", "status", "start"),
    [
        ("/book/", 200, "<p>index"),
        ("/book/sub/page.html?q=1#here", 200, "<p>sub/page"),
        ("/book/sub%2Fpage.html", 200, "<p>sub/page"),
        ("/book/sub/nothing/deep", 404, "<p>404"),
        ("/book/sub", 404, "<p>404"),
        ("/", 404, "<p>404"),
        ("/book/../secret.html", 404, "<p>404"),
        ("/book/%2e%2e/secret.html", 404, "<p>404"),
    ],
)
def test_the_server_answers_as_github_pages_does(site, path, status, start):
    with get(site.origin + path) as answer:
        assert answer.status == status
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Content-Type"] == "text/html"
        assert gzip.decompress(answer.read()).decode().startswith(start)


def test_fonts_are_sent_as_they_are(site):
    with get(f"{site.url}font.woff") as answer:
        assert (answer.headers["Content-Type"], answer.headers["Content-Encoding"]) == ("font/woff", None)
        assert answer.read() == b"wOFF" * 50
