"""A snapshot file is whole or refused, whichever byte was lost or changed."""

import json
import os

import pytest
import torch
from safetensors import safe_open

from lmcore.errors import InputError
from lmcore.snapshot import DIGEST_AT, START, check_snapshot, read_about, read_snapshot, write_snapshot

TENSORS = {
    "whole": torch.arange(6, dtype=torch.float32).view(2, 3),
    "number": torch.tensor(2.5),
    "empty": torch.zeros(0, 4),
    "bytes": torch.arange(7, dtype=torch.uint8),
    "mask": torch.tensor([True, False]),
    "wide": torch.randn(3, dtype=torch.float64),
    "half": torch.randn(3).half(),
    "brain": torch.randn(3).bfloat16(),
    "ids": torch.tensor([[1, -2]]),
    "small ids": torch.tensor([3], dtype=torch.int32),
    "view": torch.arange(12.0).view(3, 4).t(),
}
DAMAGED = r"is damaged: it has SHA-256|its start is damaged"
ABOUT = {"step": 3, "naïve": [1, None, "☃"], "loss": float("inf")}


@pytest.fixture
def file(tmp_path):
    """A small snapshot."""
    write_snapshot(tmp_path / "x.safetensors", {"a": torch.arange(5.0)}, {"step": 3})
    return tmp_path / "x.safetensors"


def test_what_goes_in_comes_out(tmp_path):
    digest = write_snapshot(tmp_path / "x", TENSORS, ABOUT)
    about, tensors = read_snapshot(tmp_path / "x")
    assert about == {"format": 1, **ABOUT} == read_about(tmp_path / "x")
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert check_snapshot(tmp_path / "x") == digest
    assert os.listdir(tmp_path) == ["x"]


def test_any_reader_of_safetensors_can_open_it(tmp_path):
    write_snapshot(tmp_path / "x", TENSORS, ABOUT)
    with safe_open(tmp_path / "x", framework="pt") as file:
        assert set(file.keys()) == TENSORS.keys()
        assert json.loads(file.metadata()["about"])["step"] == 3
        assert torch.equal(file.get_tensor("whole"), TENSORS["whole"])


def test_a_change_of_any_byte_is_noticed(file):
    content = file.read_bytes()
    for at in range(len(content)):
        for bit in (1, 0x20, 0x80):  # `0x20`: a small letter for a large one
            damaged = bytearray(content)
            damaged[at] ^= bit
            file.write_bytes(damaged)
            with pytest.raises(InputError, match=DAMAGED):
                read_snapshot(file)


def test_a_cut_at_any_byte_is_noticed(file):
    content = file.read_bytes()
    for size in range(len(content)):
        file.write_bytes(content[:size])
        with pytest.raises(InputError, match=DAMAGED):
            read_snapshot(file)
    file.write_bytes(content + b"\0")
    with pytest.raises(InputError, match="is damaged"):
        read_snapshot(file)
    file.write_bytes(content)
    assert read_snapshot(file).about["step"] == 3


def test_a_missing_file_is_not_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_snapshot(tmp_path / "none")


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ('{"format":2}', "has format 2, but this version of lmcore reads format 1"),
        ('{"step":3}', "is not a snapshot: KeyError"),
        ("[]", "is not a snapshot: TypeError"),
        ("{", "is not a snapshot: JSONDecodeError"),
        ("[" * 100_000, "is not a snapshot: RecursionError"),
    ],
)
def test_what_was_signed_but_is_no_snapshot_is_refused(tmp_path, monkeypatch, about, message):
    monkeypatch.setattr("lmcore.snapshot.json.dumps", lambda content, **more: _dumps(content, about, **more))
    write_snapshot(tmp_path / "x", {"a": torch.zeros(2)}, {})
    monkeypatch.undo()
    with pytest.raises(InputError, match=message) as caught:
        read_about(tmp_path / "x")
    assert "\n" not in str(caught.value)


_real_dumps = json.dumps


def _dumps(content, about: str, **more) -> str:
    """What `write_snapshot` gets for its ``about`` is this; its header stays."""
    return _real_dumps(content, **more) if "__metadata__" in content else about


def test_a_kind_of_tensor_that_is_not_stored_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"z is torch\.complex64; a snapshot can hold F64, F32"):
        write_snapshot(tmp_path / "x", {"z": torch.zeros(2, dtype=torch.complex64)}, {})
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_file_from_before(file, monkeypatch):
    content = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lmcore.durable.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_snapshot(file, {"a": torch.zeros(900)}, {})
    assert file.read_bytes() == content
    assert os.listdir(file.parent) == [file.name]


def test_everything_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """In this order: the content, then the name, then the folder that holds the name."""
    seen = []

    def noting(name: str):
        real = getattr(os, name)
        return lambda *arguments: (seen.append(name), real(*arguments))[1]

    for name in ("fsync", "replace"):
        monkeypatch.setattr(f"lmcore.durable.os.{name}", noting(name))
    write_snapshot(tmp_path / "x", {"a": torch.zeros(9)}, {})
    assert seen == ["fsync", "replace", "fsync"]


def test_the_checksum_stands_where_it_is_looked_for(file):
    content = file.read_bytes()
    assert content[8:DIGEST_AT] == START
    assert content[DIGEST_AT : DIGEST_AT + 64].decode() == check_snapshot(file)
