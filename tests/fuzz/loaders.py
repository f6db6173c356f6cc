"""Every reader of files meets any bytes, any JSON, and damaged files of its own kind.

    python tests/fuzz/loaders.py

A reader may raise InputError in one line; or read the file, where it is still one. What it unpacks stays in
the cache.
"""

import contextlib
import gzip
import io
import json
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from guard import Guard, limit_memory, report
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import BYTES, JSON, JSON_LINES, Mutation
from tensor_files import TENSORS

import lmcore
from lmcore.__main__ import main
from lmcore.runs.listing import table
from lmcore.tokenizer import tokenizer_from_json

DOCUMENTS = ["a bad cab", "a dab of bad ebb"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
same_everywhere = settings(
    derandomize=True, database=None, deadline=None, max_examples=200, suppress_health_check=list(HealthCheck)
)


class Reader(NamedTuple):
    """A file, how it is read, what it has to be equal to (None: anything goes), and who damages it."""

    path: Path
    whole: bytes
    load: Callable[[], Any]
    same: Callable[[Any], bool] | None
    mutations: list[Mutation]


def readers(folder: Path) -> list[Reader]:
    """Each with a whole file of its kind."""
    tokenizer = lmcore.train_char(DOCUMENTS)
    ids = tokenizer.encode_documents(DOCUMENTS)
    ngrams = lmcore.kneser_ney(ids, tokenizer.vocab_size, order=2)
    event = {"step": 1, "loss": 2.5, "seconds": 0.1, "tokens": 4}
    tokenizer.save(folder / "tokenizer.json")
    lmcore.Run({"train": {}}, {"device": "cpu"}, [event], [event], []).save(folder / "record.json")
    ngrams.save(folder / "ngrams.safetensors")
    open_ids = partial(lmcore.token_file, tokenizer, DOCUMENTS, {"corpus": "tiny"}, folder / "ids")
    flat, tables = open_ids().ids.tolist(), ngrams.state_dict()
    (ids_path,) = (folder / "ids").iterdir()
    return [
        reader(folder / "tokenizer.json", lmcore.load_tokenizer, mutations=JSON),
        reader(folder / "record.json", lmcore.load_record, mutations=JSON),
        reader(folder / "ngrams.safetensors", lmcore.NGramLM.load, lambda it: same(it, tables), TENSORS),
        reader(ids_path, lambda path: open_ids(), lambda it: it.ids.tolist() == flat),
        *(reader(path, lmcore.corpus_from_path) for path in text_files(folder)),
        *run_files(folder),
    ]


def reader(path: Path, load, is_same=None, mutations=()) -> Reader:
    return Reader(path, path.read_bytes(), partial(load, path), is_same, list(mutations))


def same(ngrams: lmcore.NGramLM, tables: dict[str, Any]) -> bool:
    found = ngrams.state_dict()
    return found.keys() == tables.keys() and all(found[name].equal(tables[name]) for name in tables)


def run_files(folder: Path) -> list[Reader]:
    """What a run writes while it is going, and the list of runs."""
    options = ["--emb-dim=4", "--batch-size=1", "--seq-len=4", "--tokenizer=char", "--device=cpu"]
    command = ["train", "--corpus", str(folder / "text.txt"), "--out", str(folder / "runs" / "one")]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main([*command, "--max-steps=3", *options]) == 0
    run = folder / "runs" / "one"
    return [
        reader(run / name, load, mutations=mutations)
        for name, mutations in (("run.json", JSON), ("metrics.jsonl", JSON_LINES))
        for load in (lambda path: lmcore.read_run(run), lambda path: table(lmcore.list_runs(folder / "runs")))
    ]


def text_files(folder: Path) -> list[Path]:
    """The same text in every form that needs no library of its own."""
    text = "\n".join(DOCUMENTS * 3).encode()
    lines = b"".join(json.dumps({"text": document}).encode() + b"\n" for document in DOCUMENTS)
    packed, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in (("a/one.txt", text), ("two.jsonl", lines)):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # dated 1980, not today
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        for name in ("a/one.txt", "b.txt"):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    contents = {
        "text.txt": text,
        "lines.jsonl": lines,
        "text.txt.gz": gzip.compress(text, mtime=0),
        "texts.zip": packed.getvalue(),
        "texts.tar": tarred.getvalue(),
        "texts.tar.gz": gzip.compress(tarred.getvalue(), mtime=0),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def meets(guard: Guard, reader: Reader, what: str, content: bytes, is_right) -> str:
    """Read ``content`` and say how it ended."""
    reader.path.write_bytes(content)
    return guard.read(f"{reader.path.name} {what} {content[:200]!r}", reader.load, is_right)


def anything(guard: Guard, reader: Reader, what: str, contents: st.SearchStrategy[bytes]) -> None:
    """Hypothesis looks for a content that the reader fails at, and for the shortest such."""

    @same_everywhere
    @given(contents)
    def check(content: bytes) -> None:
        assert meets(guard, reader, what, content, lambda loaded: True) in ("refused", "equal")

    check()


def own_files_damaged(guard: Guard, reader: Reader, count: int = 500) -> None:
    for i in range(count):
        random = Random(i)
        mutation = random.choice([*BYTES, *reader.mutations])
        is_right = reader.same or (lambda loaded: True)
        meets(guard, reader, f"{i} {mutation.__name__}", mutation(reader.whole, random), is_right)


def any_tokenizer(guard: Guard) -> None:
    """Not from a file, as rank 0 sends it to the other processes."""

    @same_everywhere
    @given(st.text(max_size=40) | ANYTHING.map(json.dumps))
    def check(text: str) -> None:
        outcome = guard.read(
            f"any tokenizer {text!r}", lambda: tokenizer_from_json(text, "it"), lambda _: True
        )
        assert outcome in ("refused", "equal")

    check()


def all_readers() -> Guard:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["XDG_CACHE_HOME"] = str(Path(folder, "cache"))
        guard = Guard(workplace=folder)
        for each in readers(Path(folder)):
            each.load()  # whatever is imported late is imported now
            anything(guard, each, "any bytes", st.binary(max_size=300))
            anything(guard, each, "any JSON", ANYTHING.map(json.dumps).map(str.encode))
            own_files_damaged(guard, each)
            each.path.write_bytes(each.whole)
        any_tokenizer(guard)
    return guard


if __name__ == "__main__":
    limit_memory()
    report(all_readers())
