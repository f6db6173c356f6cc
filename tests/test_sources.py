"""The same text in any form is the same corpus; a source that is no text says so in one line."""

import json
import sys
from pathlib import Path

import pytest
from archives import COMPRESS, everything_in, json_lines, named, tar_of, zip_of

import lmcore
from lmcore.corpus import count_characters, split_documents
from lmcore.errors import InputError
from lmcore.sources.reading import Reading
from lmcore.sources.source import corpus_from_path, open_corpus

COMPRESSIONS = tuple(COMPRESS)


def same(corpus: lmcore.Corpus, other: lmcore.Corpus) -> bool:
    """Whether the parts hold the same texts, and the checksums know it."""
    parts = ("train", "validation", "test")
    assert all(list(corpus.part(part)) == list(other.part(part)) for part in parts)
    assert count_characters(corpus.part("all")) == count_characters(other.part("all"))
    return corpus.sha256 == other.sha256


def write_folder(folder: Path, texts: list[str], compression: str) -> Path:
    folder.mkdir()
    for name, content in named(texts).items():
        (folder / f"{name}{compression}").write_bytes(COMPRESS[compression](content))
    return folder


def write_file(path: Path, content: bytes, compression: str = "") -> Path:
    path = path.with_name(path.name + compression)
    path.write_bytes(COMPRESS[compression](content))
    return path


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("number", [30, 7])
def test_text_is_the_same_in_every_form(tmp_path, documents, compression, number):
    texts = [f"€{text}" for text in documents[:number]]  # characters and bytes differ
    expected = split_documents("texts", texts)
    folder = write_folder(tmp_path / "texts", texts, compression)
    lines = write_file(tmp_path / "lines.jsonl", json_lines(texts), compression)
    archive = write_file(tmp_path / "archive.tar", tar_of(named(texts)), compression)
    for path, name in ((folder, "texts"), (lines, "lines"), (archive, "archive")):
        corpus = open_corpus(path, cache=tmp_path / "cache")
        assert corpus.name == name
        assert same(corpus, expected)
        assert corpus == open_corpus(str(path), cache=tmp_path / "cache")


@pytest.mark.parametrize("ending", [".zip", ".tgz"])
def test_other_archives_are_the_same_text_too(tmp_path, documents, ending):
    content = zip_of(named(documents)) if ending == ".zip" else COMPRESS[".gz"](tar_of(named(documents)))
    path = write_file(tmp_path / f"texts{ending}", content)
    corpus = open_corpus(path, cache=tmp_path / "cache")
    assert corpus.name == "texts"
    assert same(corpus, split_documents("texts", documents))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_one_document_is_cut_by_position_in_every_form(tmp_path, documents, compression):
    text = "€\n".join(documents)
    expected = split_documents("one", [text])
    for name, content in (("one.txt", text.encode()), ("one.jsonl", json_lines([text]))):
        path = write_file(tmp_path / name, content, compression)
        assert same(open_corpus(path, cache=tmp_path / "cache"), expected)


def test_a_long_text_is_the_same_documents_in_every_form(tmp_path, monkeypatch):
    monkeypatch.setattr("lmcore.sources.files.PIECE_BYTES", 100)
    monkeypatch.setattr("lmcore.sources.files.LONG_BYTES", 2_000)
    text = "".join(f"line {i:04} €\n" for i in range(300))
    plain = open_corpus(write_file(tmp_path / "long.txt", text.encode()))
    assert len(plain.part("all")) == len(text.encode()) // 100
    assert same(open_corpus(write_file(tmp_path / "long.jsonl", json_lines([text]))), plain)
    zipped = write_file(tmp_path / "long.txt", text.encode(), ".zst")
    assert same(open_corpus(zipped, cache=tmp_path / "cache"), plain)


def test_blank_lines_and_blank_texts_are_no_documents(tmp_path, documents):
    lines = json_lines(documents).replace(b"\n", b"\r\n\n  \n") + json_lines(["", " \n"]).rstrip(b"\n")
    path = write_file(tmp_path / "lines.jsonl", lines)
    assert same(open_corpus(path), split_documents("lines", documents))


def test_a_folder_may_hold_several_forms(tmp_path, documents):
    folder = write_folder(tmp_path / "mixed", documents[:5], "")
    write_file(folder / "b.jsonl", json_lines(documents[5:20], field="body"), ".gz")
    write_file(folder / "c.jsonl", json_lines(documents[20:], field="body"))
    write_file(folder / "README.md", b"\xff no text of the corpus")
    corpus = open_corpus(folder, Reading(field="body"), tmp_path / "cache")
    assert same(corpus, split_documents("mixed", documents))


def test_what_was_unpacked_is_found_again(tmp_path, documents, monkeypatch):
    path = write_file(tmp_path / "lines.jsonl", json_lines(documents), ".gz")
    archive = write_file(tmp_path / "texts.zip", zip_of(named(documents)))
    said, kept = [], tmp_path / "cache"
    expected = (
        open_corpus(path, cache=kept, log=said.append),
        open_corpus(archive, cache=kept, log=said.append),
    )
    size = len(json_lines(documents))
    assert said[0].startswith(f"lines.jsonl.gz: unpacked {size:,} bytes (written in {kept}")
    assert said[1].startswith(f"texts.zip: unpacked 30 files (written in {kept}")
    monkeypatch.setattr("lmcore.sources.source.unpack_file", pytest.fail)
    monkeypatch.setattr("lmcore.sources.source.unpack_archive", pytest.fail)
    path = path.rename(tmp_path / "moved.jsonl.gz")  # what counts is the content
    said.clear()
    assert open_corpus(path, cache=kept, log=said.append).sha256 == expected[0].sha256
    assert open_corpus(archive, cache=kept, log=said.append) == expected[1]
    assert [line.split(" (")[1][:5] for line in said] == ["found", "found"]


def test_an_unpacked_file_that_was_changed_is_refused(tmp_path, documents):
    path = write_file(tmp_path / "text.txt", "\n".join(documents).encode(), ".gz")
    corpus = open_corpus(path, cache=tmp_path / "cache")
    (unpacked,) = (tmp_path / "cache").rglob("text")
    unpacked.write_bytes(unpacked.read_bytes().upper())
    with pytest.raises(InputError, match="text has changed since the corpus was opened"):
        list(corpus.train)
    with pytest.raises(InputError, match="text is not as it was written; delete the folder and run again"):
        open_corpus(path, cache=tmp_path / "cache")


@pytest.mark.parametrize("changed", [b'{"text": "other"}\n', b'{"text":\n', b"\xff\xff\xff\n", b""])
def test_lines_that_change_later_are_noticed(tmp_path, documents, changed):
    path = write_file(tmp_path / "lines.jsonl", json_lines(documents))
    corpus = open_corpus(path)
    path.write_bytes(changed + json_lines(documents)[len(changed) + 5 :])
    with pytest.raises(
        InputError, match=r"lines\.jsonl has changed since the corpus was opened; start again"
    ):
        list(corpus.train)


BAD_LINES = [b"not json", b'{"text": null}', b'{"body": "x"}', b'{"text": "caf\xe9"}', b'{"text": 5}']


def test_bad_lines_are_refused_by_file_and_number(tmp_path, documents):
    lines = json_lines(documents).splitlines() + BAD_LINES
    path = write_file(tmp_path / "lines.jsonl", b"\n".join(lines))
    with pytest.raises(InputError) as caught:
        open_corpus(path)
    assert str(caught.value) == (
        f"{path}: 5 of 35 lines hold no text: line 31 is not JSON: Expecting value at character 0; line 32 "
        "has null in field 'text'; it must be a string; line 33 has no field 'text', but 'body'; and 2 more. "
        "--skip-bad leaves them out"
    )


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_bad_lines_can_be_left_out(tmp_path, documents, compression):
    lines = BAD_LINES + json_lines(documents).splitlines()
    path = write_file(tmp_path / "lines.jsonl", b"\n".join(lines), compression)
    said = []
    corpus = open_corpus(path, Reading(skip_bad=True), tmp_path / "cache", said.append)
    assert same(corpus, split_documents("lines", documents))
    assert said[-1].startswith(f"{path}: left out 5 of 35 lines: line 1 is not JSON")


def test_a_line_that_is_too_long_is_a_bad_line(tmp_path, documents, monkeypatch):
    longest = max(json_lines(documents).splitlines(), key=len)
    monkeypatch.setattr("lmcore.sources.jsonl.MAX_LINE_BYTES", len(longest) + 2)
    path = write_file(tmp_path / "lines.jsonl", json_lines([*documents, "x" * 10_000]))
    with pytest.raises(InputError, match="1 of 31 lines hold no text: line 31 has over 64 MiB"):
        open_corpus(path)


def test_only_bad_lines_are_no_corpus(tmp_path):
    path = write_file(tmp_path / "lines.jsonl", b"\n".join(BAD_LINES))
    with pytest.raises(InputError, match="corpus lines has 0 characters of text"):
        open_corpus(path, Reading(skip_bad=True))


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_a_bad_byte_in_a_compressed_text_is_named_by_its_place(tmp_path, compression):
    path = write_file(tmp_path / "text.txt", b"caf\xe9", compression)
    with pytest.raises(InputError) as caught:
        open_corpus(path, cache=tmp_path / "cache")
    assert str(caught.value) == f"{path}: byte 0xe9 at offset 3 is not UTF-8; convert the file first"


@pytest.mark.parametrize(
    ("source", "reading", "message"),
    [
        (None, {"field": "text"}, "--field and --skip-bad need --corpus"),
        (None, {"skip_bad": True}, "--field and --skip-bad need --corpus"),
        (None, {"split": "train"}, "--split goes with --corpus hf:NAME only"),
        ("@/a.txt", {"split": "train"}, "--split goes with --corpus hf:NAME only"),
        ("@/a.txt", {"max_documents": 3}, "--max-documents goes with --corpus hf:NAME only"),
        ("@/a.txt", {"sha256": "0" * 64}, "--sha256 goes with --corpus https://... only"),
        ("hf:name", {"sha256": "0" * 64}, "--sha256 goes with --corpus https://... only"),
        ("@/a.txt", {"field": "body"}, "--field is given, but @/a.txt has no .jsonl file"),
        ("@/a.txt", {"skip_bad": True}, "--skip-bad is given, but @/a.txt has no .jsonl file"),
        ("https://example.org/a.txt", {}, "--corpus https://... needs --sha256: the checksum that"),
        (
            "http://example.org/a.txt",
            {},
            "http://example.org/a.txt is no source of text: only https:// is read",
        ),
        ("s3://bucket/a.txt", {}, "s3://bucket/a.txt is no source of text"),
        ("file:///etc/passwd", {}, "file:///etc/passwd is no source of text"),
        ("hf:", {}, "--corpus hf: names no dataset; write hf:NAME or hf:NAME:CONFIG"),
        ("", {}, "the corpus path is empty"),
        ("@/missing.txt", {}, "corpus path @/missing.txt does not exist"),
        ("@/twice", {}, "folder @/twice holds both a.txt and a.txt.gz, the same text; remove one"),
        ("@/empty", {}, "folder @/empty holds 0 .txt or .jsonl files; at least 1 is needed"),
        ("/dev/null", {}, "corpus path /dev/null is no file"),
        ("@/cut.txt.gz", {}, "cut.txt.gz is damaged or cut off: Compressed file ended before"),
        ("@/cut.txt.zst", {}, "cut.txt.zst is damaged or cut off: Compressed file ended before"),
        ("@/wrong.txt.gz", {}, "wrong.txt.gz is damaged or cut off: Not a gzipped file"),
        ("@/wrong.txt.zst", {}, "wrong.txt.zst is damaged or cut off: Unable to decompress"),
        ("@/changed.txt.gz", {}, "changed.txt.gz is damaged or cut off: CRC check failed"),
    ],
)
def test_a_source_that_cannot_be_read_says_why(tmp_path, source, reading, message):
    texts = named(["a"])["000.txt"] * 1000
    write_file(tmp_path / "a.txt", texts)
    for compression in (".gz", ".zst"):
        write_file(tmp_path / f"cut.txt{compression}", COMPRESS[compression](texts)[:-5])
        write_file(tmp_path / f"wrong.txt{compression}", texts)
    packed = bytearray(COMPRESS[".gz"](texts))
    packed[-6] ^= 1
    write_file(tmp_path / "changed.txt.gz", packed)
    write_folder(tmp_path / "twice", [], "")
    write_file(tmp_path / "twice" / "a.txt", texts)
    write_file(tmp_path / "twice" / "a.txt", texts, ".gz")
    write_folder(tmp_path / "empty", [], "")
    source = source and source.replace("@", str(tmp_path))
    with pytest.raises(InputError) as caught:
        open_corpus(source, Reading(**reading), tmp_path / "cache")
    assert str(caught.value).startswith(message.replace("@", str(tmp_path)))
    assert [name for name in everything_in(tmp_path) if name.startswith("cache")][1:] in (
        [],
        ["cache/unpacked"],
    )


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        ({"field": ""}, "--field is empty; it must name what holds the text"),
        ({"max_documents": 0}, "--max-documents is 0; it must be at least 1"),
        ({"max_bytes": 0}, "--max-gb comes to 0 bytes; it must be at least 1"),
    ],
)
def test_an_option_that_no_source_could_take(reading, message):
    with pytest.raises(InputError) as caught:
        Reading(**reading)
    assert str(caught.value) == message


def test_a_missing_package_for_zst_is_named(tmp_path, monkeypatch):
    path = write_file(tmp_path / "a.txt", b"text", ".zst")
    for name in ("backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"needs the package backports\.zstd: pip install backports\.zstd"):
        open_corpus(path, cache=tmp_path / "cache")


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_unpacking_ends_at_the_limit(tmp_path, compression):
    path = write_file(tmp_path / "a.txt", b"text" * 1000, compression)
    assert open_corpus(path, Reading(max_bytes=4000), tmp_path / "cache").name == "a"
    with pytest.raises(InputError) as caught:
        open_corpus(path, Reading(max_bytes=3999), tmp_path / "other")
    assert (
        str(caught.value) == f"a.txt{compression} unpacks to more than 3,999 bytes; --max-gb raises the limit"
    )
    assert everything_in(tmp_path / "other") == ["unpacked"]


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_a_file_made_to_fill_the_disk_is_no_text(tmp_path, compression, monkeypatch):
    path = write_file(tmp_path / "a.txt", bytes(2**20), compression)
    assert path.stat().st_size < 2**20 / 200
    monkeypatch.setattr("lmcore.sources.compressed.RATIO_FROM_BYTES", 2**19)
    with pytest.raises(InputError) as caught:
        open_corpus(path, cache=tmp_path / "cache")
    size = path.stat().st_size
    assert str(caught.value) == (
        f"a.txt{compression} has {size:,} bytes and unpacks to more than 200 times as many; that is no text"
    )
    assert everything_in(tmp_path / "cache") == ["unpacked"]


def test_the_default_cache(tmp_path, monkeypatch, documents):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    path = write_file(tmp_path / "a.txt", "\n".join(documents).encode(), ".gz")
    assert corpus_from_path(path) == open_corpus(path)
    assert (tmp_path / "home" / "lmcore" / "unpacked").is_dir()


def test_train_and_evaluate_on_lines_with_a_field(run, tmp_path, documents):
    path = write_file(tmp_path / "news.jsonl", json_lines(documents, field="body") + b"{}\n", ".gz")
    options = ["--corpus", path, "--cache", tmp_path / "cache", "--field", "body"]
    small = [
        "--tokenizer=char",
        "--emb-dim=8",
        "--batch-size=2",
        "--seq-len=12",
        "--max-steps=3",
        "--device=cpu",
    ]
    out = tmp_path / "model"
    status, printed, error = run("train", *options, *small, "--out", out)
    assert (status, printed.count("step"), error.count("\n")) == (2, 0, 1)
    assert "1 of 31 lines hold no text: line 31 has no field 'body', but no other. --skip-bad" in error
    status, printed, error = run("train", *options, "--skip-bad", *small, "--out", out)
    assert (status, error) == (0, "")
    assert "left out 1 of 31 lines: line 31 has no field 'body'" in printed
    record = lmcore.load_record(out / "record.json")
    assert record.settings["corpus_sha256"] == split_documents("news", documents).sha256
    assert record.settings["options"]["field"] == "body"
    status, printed, error = run("evaluate", *options, "--skip-bad", "--checkpoint", out)
    assert (status, error) == (0, "")
    assert "news, validation: " in printed
    assert json.loads(json.dumps(record.settings["options"])) == record.settings["options"]


def test_a_limit_that_is_no_size(run, text_file):
    for size in ("0", "-1", "nan", "inf"):
        status, _, error = run("evaluate", "--checkpoint=x", f"--corpus={text_file}", f"--max-gb={size}")
        assert (status, error.count("\n")) == (2, 1)
