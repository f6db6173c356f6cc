"""A dataset of the Hugging Face hub, or a folder in its form, streamed into one file of JSON lines.

Only kinds of files that hold nothing but data are read (csv, json, parquet, arrow, text), and no dataset
brings code: the package `datasets` has run none since version 4. Left out: folders made by its
``save_to_disk``, and private datasets (log in with the hub's own client for those).
"""

import importlib
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.hub import hub_is_offline
from lmcore.sources.cache import kept_files, sha256_of_file
from lmcore.sources.compressed import reason_of
from lmcore.sources.jsonl import BadLine, BadLines, text_of_field
from lmcore.sources.reading import DEFAULT_FIELD, Reading

KINDS = ("csv", "json", "parquet", "arrow", "text")


def dataset_file(
    name: str, config: str | None, reading: Reading, folder: Path, log: Callable[[str], None]
) -> Path:
    """A file of JSON lines with the texts of a split of a dataset, from ``folder`` if it is there.

    The texts are in the field `DEFAULT_FIELD`. ``name``: of the hub, or a folder with data files. Raises
    InputError if the package `datasets` is missing, if the dataset, its split or its field are not to be
    had, or if there is more text than ``reading`` allows.
    """
    split = reading.split or "train"
    source = f"dataset {name}, split {split}"
    about = {"dataset": name, "config": config, "split": split, "field": reading.field_name}
    about |= {"max_documents": reading.max_documents, "skip_bad": reading.skip_bad}

    def write(files: Path) -> str:
        log(f"loading {source}")
        rows, bad, left_out = _rows(name, config, split, reading.field_name), BadLines(source, "row"), []
        _write_rows(islice(rows, reading.max_documents), reading, bad, files / f"{_stem(name)}.jsonl")
        bad.settle(reading.skip_bad, left_out.append)
        return "; ".join([f"{source}: {bad.total - bad.bad:,} documents", *left_out])

    files = kept_files(folder / "datasets", {**about, "files": _checksums(Path(name))}, write, log)
    return next(files.iterdir())


def _checksums(folder: Path) -> dict[str, str]:
    """Of the files of a dataset that is a folder here: when they change, it is another dataset."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in paths}


def _stem(name: str) -> str:
    return Path(name).name or "dataset"


def _rows(name: str, config: str | None, split: str, field: str) -> Iterator[dict[str, Any]]:
    """The rows of a split, each with the column that ``field`` starts in; errors become InputErrors."""
    datasets = _package()
    if not Path(name).is_dir() and hub_is_offline():
        raise _unavailable(name, "the hub cannot be reached")
    try:
        builder = datasets.load_dataset_builder(name, config)
        kind = type(builder).__module__.rsplit(".", 1)[-1]
        if kind not in KINDS:
            raise InputError(f"dataset {name} consists of {kind} files; read are {', '.join(KINDS)}")
        dataset = builder.as_streaming_dataset(split=split)
        columns = dataset.column_names
        if columns is not None:
            dataset = dataset.select_columns([_column(name, field, columns)])
        yield from dataset
    except InputError:
        raise
    except Exception as error:  # what a library of many formats raises, from pyarrow's to the hub's own
        raise _unavailable(name, reason_of(error)) from None


def _package():
    """The package `datasets`, quiet, and not counting for the hub who loads what."""
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        raise InputError("hf: needs the package datasets, version 4 or newer: pip install datasets") from None
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    return datasets


def _unavailable(name: str, reason: str) -> InputError:
    return InputError(
        f"dataset {name!r} cannot be loaded ({reason.rstrip('.')}); without a network, save it elsewhere as "
        ".jsonl, and give --corpus the path of the copy"
    )


def _column(name: str, field: str, columns: list[str]) -> str:
    """The column that holds the field."""
    for column in (field, field.split(".")[0]):
        if column in columns:
            return column
    raise InputError(f"dataset {name} has no column {field!r}; it has {', '.join(columns)}")


def _write_rows(rows: Iterator[dict[str, Any]], reading: Reading, bad: BadLines, path: Path) -> None:
    written = 0
    with open(path, "xb") as file:
        for row in rows:
            bad.total += 1
            try:
                text = text_of_field(row, reading.field_name)
            except BadLine as error:
                bad.add(bad.total, str(error))
                continue
            line = json.dumps({DEFAULT_FIELD: text}, ensure_ascii=False).encode() + b"\n"
            written += len(line)
            if written > reading.max_bytes:
                raise InputError(
                    f"{bad.source} has more than {reading.max_bytes:,} bytes of text; --max-documents N "
                    "takes the first N, --max-gb raises the limit"
                )
            file.write(line)
