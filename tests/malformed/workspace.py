"""The folder that the malformed inputs are in, and the names that the calls among the cases use."""

import gzip
import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lmcore

DOCUMENTS = (Path(__file__).parents[1] / "documents.txt").read_text(encoding="utf-8").split("\n\n")
FILES = {  # as the page tells them
    "text.txt": "a text of some thousand characters",
    "empty.txt": "a file of 0 bytes",
    "blank.txt": "a file with blanks and line ends only",
    "short.txt": "a file with one line of 17 characters",
    "tiny.txt": "a file with one letter",
    "latin.txt": "a file in Latin-1",
    "notes/": "a folder without a text file",
    "good.jsonl": 'two lines of JSON, each with a field "text"',
    "lines.jsonl": "the same, and a third line that is not JSON",
    "bad.jsonl": "no line that is JSON",
    "cut.txt.gz": "a compressed text, cut off",
    "plain.txt.gz": "plain text under this name",
    "plain.zip": "the same",
    "twins/": "a folder with `a.txt` and `a.txt.gz`",
    "notes.zip": "an archive with `notes.md`",
    "out.zip": "an archive with `../text.txt`",
    "link.tar": "an archive with a link",
    "bomb.zip": "an archive with nothing but blanks, and far too many of them",
    "stopped/": "a run with seed 0",
    "trained/": "a checkpoint of a char model",
    "gpt/": "a checkpoint of a Transformer",
    "other.safetensors": "a safetensors file that is something else",
    "broken.json": "a JSON file that was cut off",
    "list.json": "a JSON file that holds a list",
}
DAMAGED = {  # copies of trained/, each with one fault
    "no_weights/": "without model.safetensors",
    "cut_weights/": "the weights cut off after 100 bytes",
    "cut_tokenizer/": "tokenizer.json cut off",
    "no_config/": "config.json cut off",
    "changed/": "emb_dim changed in config.json",
    "nan_weights/": "saved by a run that had diverged: one weight is NaN",
    "other_size/": "another emb_dim in config.json, which was signed again",
    "other_vocab/": "another vocab_size, signed again",
    "odd_config/": "a field that no model has, signed again",
    "odd_model/": "the name of a model that there is not, signed again",
    "mixed/": "with the record of another model",
}
NAMES = {
    "tokenizer": "a char tokenizer",
    "word": "a word tokenizer",
    "V": "the number of tokens of the first",
    "model": "an Elman model for them, untrained",
    "documents": "four encoded texts",
    "batches": "the same as `lmcore.DocumentBatches`",
}


def make(folder: Path) -> None:
    """Write every input into an empty folder."""
    (folder / "text.txt").write_text("\n".join(DOCUMENTS * 4), encoding="utf-8")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "blank.txt").write_text(" \n\t\n" * 20)
    (folder / "short.txt").write_text("One line of text.\n")
    (folder / "tiny.txt").write_text("x")
    (folder / "latin.txt").write_bytes(b"caf\xe9" * 100)
    (folder / "notes").mkdir()
    (folder / "notes" / "notes.md").write_text("# not a text file")
    (folder / "broken.json").write_text('{"steps": [1, 2')
    (folder / "list.json").write_text("[1, 2, 3]")
    other_forms(folder)
    trained, tokenizer = model(), char()
    lmcore.save_checkpoint(folder / "trained", trained, tokenizer)
    transformer = lmcore.TransformerLM(lmcore.GPTConfig(tokenizer.vocab_size, emb_dim=8))
    lmcore.save_checkpoint(folder / "gpt", transformer, tokenizer)
    shutil.copy(folder / "trained" / "model.safetensors", folder / "other.safetensors")
    for name in DAMAGED:
        shutil.copytree(folder / "trained", folder / name)
    damage(folder)


def other_forms(folder: Path) -> None:
    """Lines of JSON, compressed files, archives."""
    good = b'{"text": "One line."}\n' * 2
    text = (folder / "text.txt").read_bytes()
    (folder / "good.jsonl").write_bytes(good)
    (folder / "lines.jsonl").write_bytes(good + b"One line.\n")
    (folder / "bad.jsonl").write_bytes(b"One line.\n" * 2)
    (folder / "cut.txt.gz").write_bytes(gzip.compress(text, mtime=0)[:500])
    for name in ("plain.txt.gz", "plain.zip"):
        (folder / name).write_bytes(text)
    (folder / "twins").mkdir()
    (folder / "twins" / "a.txt").write_bytes(text)
    (folder / "twins" / "a.txt.gz").write_bytes(gzip.compress(text, mtime=0))
    for name, member, content in (
        ("notes.zip", "notes.md", text),
        ("out.zip", "../text.txt", text),
        ("bomb.zip", "text.txt", b" " * 10**8),
    ):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED)
    with tarfile.open(folder / "link.tar", "w") as archive:
        link = tarfile.TarInfo("text.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)


def damage(folder: Path) -> None:
    """The one fault of each copy."""
    (folder / "no_weights" / "model.safetensors").unlink()
    for name, file in (("cut_weights", "model.safetensors"), ("cut_tokenizer", "tokenizer.json")):
        path = folder / name / file
        path.write_bytes(path.read_bytes()[:100])
    (folder / "no_config" / "config.json").write_text('{"vocab_size": ')
    for name, change in {
        "changed": {"emb_dim": 9},
        "other_size": {"emb_dim": 9},
        "other_vocab": {"vocab_size": 5000},
        "odd_config": {"colour": "blue"},
        "odd_model": {"model": "bigram"},
    }.items():
        path = folder / name / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change))
        if name != "changed":
            lmcore.sign_checkpoint(folder / name)
    lmcore.Run({"model": {"emb_dim": 99}}, environment={}).save(folder / "mixed" / "record.json")
    diverged = model()
    with torch.no_grad():
        diverged.output.weight[3, 2] = float("nan")
    lmcore.save_checkpoint(folder / "nan_weights", diverged, char())


def char() -> lmcore.Tokenizer:
    return lmcore.train_char(DOCUMENTS)


def model() -> lmcore.RecurrentLM:
    torch.manual_seed(0)
    return lmcore.RecurrentLM(lmcore.RNNConfig(char().vocab_size, emb_dim=8))


def names() -> dict[str, Any]:
    """What the calls may use: the package, and a few small things of each kind."""
    tokenizer = char()
    documents = tokenizer.encode_documents(DOCUMENTS[:4])
    return {
        "lmcore": lmcore,
        "np": np,
        "torch": torch,
        "tokenizer": tokenizer,
        "word": lmcore.train_word(DOCUMENTS),
        "V": tokenizer.vocab_size,
        "model": model(),
        "documents": documents,
        "batches": lmcore.DocumentBatches(documents, tokenizer.pad_id),
    }
