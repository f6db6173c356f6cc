"""A dataset in the hub's form, from a folder here: its texts, and what is said when there are none.

These tests need the package `datasets`, an extra of lmcore, and no network.
"""

import csv
import json
import sys
from pathlib import Path

import pytest
from archives import everything_in, json_lines

import lmcore
from lmcore.corpus import split_documents
from lmcore.errors import InputError
from lmcore.sources import dataset
from lmcore.sources.reading import Reading
from lmcore.sources.source import open_corpus

datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")


@pytest.fixture
def folder(tmp_path, documents, monkeypatch) -> Path:
    """A dataset with two splits, and a folder for what its library keeps."""
    for name, folder in (("HF_DATASETS_CACHE", "library"), ("HF_MODULES_CACHE", "modules")):
        monkeypatch.setattr(datasets.config, name, tmp_path / folder)
    folder = tmp_path / "my-news"
    folder.mkdir()
    (folder / "train.jsonl").write_bytes(json_lines(documents))
    (folder / "test.jsonl").write_bytes(json_lines(documents[:3]))
    return folder


def open_dataset(folder: Path, config: str = "", log=print, **reading) -> lmcore.Corpus:
    return open_corpus(f"hf:{folder}{config}", Reading(**reading), folder.parent / "cache", log)


def test_a_split_is_a_corpus(folder, documents):
    corpus = open_dataset(folder)
    assert corpus.name == "my-news"
    assert corpus.sha256 == split_documents("my-news", documents).sha256
    assert open_dataset(folder, split="test").sha256 == split_documents("my-news", documents[:3]).sha256


def test_a_configuration_is_chosen_by_its_name(folder, documents):
    (folder / "small").mkdir()
    (folder / "small" / "one.jsonl").write_bytes(json_lines(documents[:25]))
    configs = {"configs": [{"config_name": "small", "data_files": "small/*"}]}
    (folder / "README.md").write_text(f"---\n{json.dumps(configs)}\n---\n")
    corpus = open_dataset(folder, ":small")
    assert corpus.sha256 == split_documents("small", documents[:25]).sha256


def test_only_the_first_documents(folder, documents):
    corpus = open_dataset(folder, max_documents=21)
    assert corpus.sha256 == split_documents("first", documents[:21]).sha256


@pytest.mark.parametrize("kind", ["parquet", "csv", "text", "arrow"])
def test_other_kinds_of_data(folder, documents, kind):
    for path in folder.iterdir():
        path.unlink()
    lines = [text.replace("\n", " ") for text in documents]
    if kind == "text":
        (folder / "train.txt").write_text("\n".join(lines), encoding="utf-8")
    elif kind == "csv":
        with open(folder / "train.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text"], *([line] for line in lines)])
    else:
        write_table(folder / f"train.{kind}", {"text": lines, "number": [*range(len(lines))]})
    corpus = open_dataset(folder)
    assert corpus.sha256 == split_documents("lines", lines).sha256


def write_table(path: Path, columns: dict[str, list]) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(columns)
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)


def test_a_field_within_a_column(folder, documents):
    rows = [json.dumps({"meta": {"body": text}}) for text in documents]
    (folder / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    corpus = open_dataset(folder, field="meta.body")
    assert corpus.sha256 == split_documents("inner", documents).sha256


def test_it_is_loaded_once_and_again_when_its_files_change(folder, documents, monkeypatch):
    said = []
    corpus = open_dataset(folder, log=said.append)
    assert said[0] == f"loading dataset {folder}, split train"
    assert said[1].startswith(f"dataset {folder}, split train: 30 documents (written in ")
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "_package", pytest.fail)
        said.clear()
        assert open_dataset(folder, log=said.append) == corpus
    assert said[0].startswith(f"dataset {folder}, split train: 30 documents (found in ")
    (folder / "train.jsonl").write_bytes(json_lines(documents[::-1]))
    assert open_dataset(folder).sha256 == split_documents("other", documents[::-1]).sha256


def test_bad_rows_are_refused_or_left_out(folder, documents):
    rows = [json.dumps({"text": text}) for text in documents]
    (folder / "train.jsonl").write_text("\n".join([*rows, '{"text": null}']), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        open_dataset(folder)
    assert str(caught.value) == (
        f"dataset {folder}, split train: 1 of 31 rows hold no text: row 31 has null in field 'text'; it "
        "must be a string. --skip-bad leaves them out"
    )
    said = []
    for how in ("written", "found"):
        said.clear()
        corpus = open_dataset(folder, skip_bad=True, log=said.append)
        assert corpus.sha256 == split_documents("good", documents).sha256
        assert "30 documents; dataset" in said[-1]
        assert "left out 1 of 31 rows: row 31 has null in field 'text'; it must be a string" in said[-1]
        assert f"({how} in " in said[-1]


def refusal(folder: Path, config: str = "", **reading) -> str:
    """The message for a dataset that gives nothing; nothing is left in the cache."""
    with pytest.raises(InputError) as caught:
        open_dataset(folder, config, **reading)
    assert everything_in(folder.parent / "cache") in ([], ["datasets"])
    return str(caught.value)


def test_what_is_not_there(folder):
    advice = "; without a network, save it elsewhere as .jsonl, and give --corpus the path of the copy"
    start = f"dataset {str(folder)!r} cannot be loaded ("
    assert (
        refusal(folder, split="dev") == f"{start}Bad split: dev. Available splits: ['train', 'test']){advice}"
    )
    assert refusal(folder, ":other").startswith(
        f"{start}BuilderConfig 'other' not found. Available: ['default']"
    )
    assert refusal(folder, field="body") == f"dataset {folder} has no column 'body'; it has text, number"
    empty = folder.parent / "empty"
    empty.mkdir()
    assert refusal(empty).startswith(f"dataset {str(empty)!r} cannot be loaded (")


def test_a_dataset_of_pictures_or_pickles_is_not_opened(folder):
    for path in folder.iterdir():
        path.unlink()
    (folder / "train.tar").write_bytes(b"")
    assert refusal(folder) == (
        f"dataset {folder} consists of webdataset files; read are csv, json, parquet, arrow, text"
    )


def test_a_file_that_is_cut_off(folder):
    (folder / "train.jsonl").write_bytes(b'{"text": "one"}\n{"text": "tw')
    assert refusal(folder).startswith(f"dataset {str(folder)!r} cannot be loaded (")


def test_more_text_than_the_limit(folder):
    assert refusal(folder, max_bytes=100) == (
        f"dataset {folder}, split train has more than 100 bytes of text; --max-documents N takes the first "
        "N, --max-gb raises the limit"
    )


def test_without_a_network_the_hub_is_not_asked(folder, monkeypatch):
    monkeypatch.setattr("lmcore.hub.getproxies", dict)
    monkeypatch.setattr(datasets, "load_dataset_builder", pytest.fail)
    name = Path("nobody/no-such-dataset")
    with pytest.raises(InputError) as caught:
        open_corpus(f"hf:{name}", cache=folder.parent / "cache")
    assert str(caught.value) == (
        "dataset 'nobody/no-such-dataset' cannot be loaded (the hub cannot be reached); without a network, "
        "save it elsewhere as .jsonl, and give --corpus the path of the copy"
    )


def test_without_the_package(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert refusal(folder) == "hf: needs the package datasets, version 4 or newer: pip install datasets"


def test_the_hub_does_not_count_who_loads_what(folder):
    open_dataset(folder)
    assert datasets.config.HF_UPDATE_DOWNLOAD_COUNTS is False
