"""Where text comes from: the built-in corpus, a file or a folder, an address, a dataset.

Whatever it is, in the end it is files of plain text or of lines of JSON on this machine, in which
`lmcore.sources.files` finds the documents. What had to be unpacked or fetched is kept in a folder for the
next time.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from lmcore.corpus import Corpus, Documents, Passage, TextFile, builtin_corpus, split_files
from lmcore.errors import InputError
from lmcore.sources.archive import ARCHIVE_ENDINGS, unpack_archive
from lmcore.sources.cache import cache_folder, kept_files, sha256_of_file
from lmcore.sources.compressed import Meter, is_text_name, unpack_file, without_compression
from lmcore.sources.dataset import dataset_file
from lmcore.sources.download import downloaded
from lmcore.sources.files import look_through
from lmcore.sources.reading import DEFAULT_FIELD, Reading

DATASET = "hf:"
Log = Callable[[str], None]


def open_corpus(
    source: str | Path | None = None,
    reading: Reading | None = None,
    cache: str | Path | None = None,
    log: Log | None = None,
) -> Corpus:
    """The corpus of a source: None for the built-in one, a path (see `corpus_from_path`), or one of

    - "hf:NAME" or "hf:NAME:CONFIG": a dataset of the Hugging Face hub, or a folder in its form;
    - "https://...": text or an archive, with its SHA-256 in ``reading``.

    ``cache``: the folder for what is fetched or unpacked (default: `lmcore.cache_folder`). ``log`` gets a
    line for each. Raises InputError for a source that is missing, damaged, unsafe or too large, and for an
    option that does not go with it.
    """
    reading = reading or Reading()
    folder = Path(cache or cache_folder())
    log = log or _no_log
    kind = _kind_of(source)
    _check_options(kind, reading)
    if kind == "built-in":
        return builtin_corpus()
    if kind == "dataset":
        path = _dataset(str(source), reading, folder, log)
        return _corpus(path.stem, [(path, DEFAULT_FIELD)], reading, folder, log)
    if kind == "https":
        source = downloaded(str(source), reading.sha256, folder, reading.max_bytes, log)
    return _from_path(Path(source), reading, folder, log)


def corpus_from_path(path: str | Path) -> Corpus:
    """A text file, or a folder with its .txt files; each file is one document.

    Also .jsonl, one document in the field "text" of each line; .gz and .zst of both; .zip, .tar, .tar.gz
    and .tar.zst with such files. A text over 5 MiB is read as several documents of about 256 KiB, each cut
    after a line end where there is one. The texts stay in their files, so that a corpus may be larger than
    the memory. `open_corpus` has more options. Raises InputError if the path is missing, has no text, or is
    not UTF-8.
    """
    if not str(path):
        raise InputError("the corpus path is empty")
    return _from_path(Path(path), Reading(), cache_folder(), _no_log)


def _no_log(line: str) -> None:
    """Where nobody wants to know."""


def _kind_of(source: str | Path | None) -> str:
    if source is None:
        return "built-in"
    name = str(source)
    if not name:
        raise InputError("the corpus path is empty")
    if name.startswith(DATASET):
        return "dataset"
    if name.startswith("https://"):
        return "https"
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", name):
        raise InputError(f"{name} is no source of text: only https:// is read, hf:NAME, or a path")
    return "path"


def _check_options(kind: str, reading: Reading) -> None:
    for name, wanted in (("split", "dataset"), ("max_documents", "dataset"), ("sha256", "https")):
        if getattr(reading, name) is not None and kind != wanted:
            where = {"dataset": "hf:NAME", "https": "https://..."}[wanted]
            raise InputError(f"--{name.replace('_', '-')} goes with --corpus {where} only")
    if kind == "built-in" and (reading.field is not None or reading.skip_bad):
        raise InputError("--field and --skip-bad need --corpus")
    if kind == "https" and reading.sha256 is None:
        raise InputError(
            "--corpus https://... needs --sha256: the checksum that the publisher names, or that sha256sum "
            "gives for a copy which you trust"
        )


def _dataset(source: str, reading: Reading, folder: Path, log: Log) -> Path:
    name, _, config = source.removeprefix(DATASET).partition(":")
    if not name:
        raise InputError(f"--corpus {source} names no dataset; write hf:NAME or hf:NAME:CONFIG")
    return dataset_file(name, config or None, reading, folder, log)


def _from_path(path: Path, reading: Reading, folder: Path, log: Log) -> Corpus:
    """The corpus of a file, a folder, or an archive."""
    name = without_compression(path.name)[0]
    if path.is_file() and name.lower().endswith(ARCHIVE_ENDINGS):
        unpacked = _unpacked_archive(path, reading, folder, log)
        files = _text_files(unpacked, path.name)
    elif path.is_dir():
        files, name = _text_files(path, f"folder {path}"), path.name
    elif path.is_file():
        files = [path]
    else:
        raise InputError(f"corpus path {path} {'is no file' if path.exists() else 'does not exist'}")
    fields = [reading.field_name if _is_json(file) else None for file in files]
    for option, given in (("--field", reading.field is not None), ("--skip-bad", reading.skip_bad)):
        if given and not any(fields):
            raise InputError(f"{option} is given, but {path} has no .jsonl file")
    return _corpus(Path(name).stem, list(zip(files, fields, strict=True)), reading, folder, log)


def _is_json(path: Path) -> bool:
    return without_compression(path.name)[0].lower().endswith(".jsonl")


def _text_files(folder: Path, name: str) -> list[Path]:
    """The files of a folder that are text, in the order of their names."""
    files = sorted(path for path in folder.rglob("*") if is_text_name(path.name) and path.is_file())
    if not files:
        raise InputError(f"{name} holds 0 .txt or .jsonl files; at least 1 is needed")
    seen: dict[str, Path] = {}
    for file in files:
        twin = seen.setdefault(without_compression(str(file))[0], file)
        if twin is not file:
            raise InputError(f"{name} holds both {twin.name} and {file.name}, the same text; remove one")
    return files


def _unpacked_archive(path: Path, reading: Reading, folder: Path, log: Log) -> Path:
    def write(files: Path) -> str:
        return f"{path.name}: unpacked {unpack_archive(path, path.name, files, reading.max_bytes):,} files"

    return kept_files(folder / "archives", {"archive": sha256_of_file(path)}, write, log)


def _unpacked_file(path: Path, compression: str, reading: Reading, folder: Path, log: Log) -> Path:
    def write(files: Path) -> str:
        meter = Meter(path.name, path.stat().st_size, reading.max_bytes)
        unpack_file(path, compression, files / "text", meter)
        return f"{path.name}: unpacked {meter.total:,} bytes"

    return kept_files(folder / "unpacked", {"file": sha256_of_file(path)}, write, log) / "text"


def _corpus(
    name: str, files: list[tuple[Path, str | None]], reading: Reading, folder: Path, log: Log
) -> Corpus:
    """The corpus of files, compressed or not, each with the field of its lines if they are JSON."""
    plain: list[TextFile] = []
    for path, field in files:
        compression = without_compression(path.name)[1]
        where = _unpacked_file(path, compression, reading, folder, log) if compression else path
        plain.append(TextFile(str(where), field))

    def passages() -> Iterator[Passage]:
        for file, (path, _) in zip(plain, files, strict=True):
            yield from look_through(file, str(path), reading.skip_bad, log)

    return split_files(name, Documents.of(plain, passages()))
