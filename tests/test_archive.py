"""Archives are unpacked within their folder and within bounds, or not at all."""

import io
import struct
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from archives import COMPRESS, everything_in, named, tar_member, tar_of, zip_of
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.errors import InputError
from lmcore.sources.archive import _Guarded, unpack_archive

GIGABYTE = 10**9
GOOD = {"a.txt": b"one", "deep/b.jsonl": b"{}", "./c.txt": b"three", "deep/d.txt.gz": b"packed"}
NO_TEXT = {
    "README.md": b"x",
    "picture.png": b"x",
    ".hidden.txt": b"x",
    "__MACOSX/a.txt": b"x",
    ".git/a.txt": b"x",
}


def unpack(tmp_path: Path, name: str, content: bytes, max_bytes: int = GIGABYTE) -> Path:
    """Unpack an archive with this content into a new folder; returns the folder."""
    (tmp_path / name).write_bytes(content)
    target = tmp_path / "entry" / "files"
    target.mkdir(parents=True)
    number = unpack_archive(tmp_path / name, name, target, max_bytes)
    assert number == sum(path.is_file() for path in target.rglob("*"))
    assert everything_in(tmp_path / "entry")[0] == "files"
    return target


def refusal(tmp_path: Path, name: str, content: bytes, **more: int) -> str:
    """The message for an archive that is not unpacked; nothing is outside of its folder."""
    with pytest.raises(InputError) as caught:
        unpack(tmp_path, name, content, **more)
    assert [path for path in everything_in(tmp_path) if not path.startswith("entry/files/")] == sorted(
        ["entry", "entry/files", name]
    )
    return str(caught.value)


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst"])
def test_texts_are_unpacked_and_nothing_else(tmp_path, ending):
    if ending == ".zip":
        content = zip_of(GOOD | NO_TEXT | {"empty.txt/": b""})
    else:
        folder = tar_member("empty.txt", tarfile.DIRTYPE)
        packed = {"": "", ".gz": ".gz", ".tgz": ".gz", ".zst": ".zst"}[
            Path(f"x{ending}").suffix.replace(".tar", "")
        ]
        content = COMPRESS[packed](tar_of(GOOD | NO_TEXT, folder))
    target = unpack(tmp_path, f"good{ending}", content)
    found = {
        path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()
    }
    assert found == {name.removeprefix("./"): content for name, content in GOOD.items()}


NAMES = [
    ("../out.txt", "leads out of the folder"),
    ("deep/../../out.txt", "leads out of the folder"),
    ("/tmp/out.txt", "leads out of the folder"),
    ("C:/out.txt", "leads out of the folder"),
    ("..\\out.txt", "has a backslash or a control character in its name"),
    ("a\nb.txt", "has a backslash or a control character in its name"),
    ("../README.md", "leads out of the folder"),  # also where it would not be unpacked
]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(("member", "reason"), NAMES)
def test_a_name_that_leads_elsewhere_ends_the_unpacking(tmp_path, kind, member, reason):
    make = zip_of if kind == "zip" else tar_of
    message = refusal(tmp_path, f"bad.{kind}", make({"good.txt": b"good", member: b"bad"}))
    assert message == f"bad.{kind} is not unpacked: its member {member!r} {reason}"


@pytest.mark.parametrize(
    "member",
    [
        tar_member("link.txt", tarfile.SYMTYPE, "/etc/passwd"),
        tar_member("link.txt", tarfile.LNKTYPE, "../../secret"),
        tar_member("device.txt", tarfile.CHRTYPE),
        tar_member("device.txt", tarfile.BLKTYPE),
        tar_member("pipe.txt", tarfile.FIFOTYPE),
        tar_member("picture.png", tarfile.SYMTYPE, "/etc/passwd"),
    ],
    ids=["symbolic", "hard", "character", "block", "pipe", "no text"],
)
def test_links_and_devices_in_a_tar_end_the_unpacking(tmp_path, member):
    message = refusal(tmp_path, "bad.tar", tar_of({"good.txt": b"good"}, member))
    assert message == (
        f"bad.tar is not unpacked: its member {member.name!r} is a link, a device or a sparse file"
    )


def test_a_file_behind_a_link_to_elsewhere_is_not_written(tmp_path):
    packed = io.BytesIO(tar_of({}, tar_member("deep", tarfile.SYMTYPE, str(tmp_path))))
    with tarfile.open(fileobj=packed, mode="a") as archive:
        archive.addfile(tarfile.TarInfo("deep/out.txt"))
    message = refusal(tmp_path, "bad.tar", packed.getvalue())
    assert message == "bad.tar is not unpacked: its member 'deep' is a link, a device or a sparse file"


def test_a_sparse_file_ends_the_unpacking(tmp_path):
    member = tarfile.TarInfo("holes.txt")
    member.pax_headers = {
        "GNU.sparse.map": "0,3",
        "GNU.sparse.size": "1000000000000",
        "GNU.sparse.name": "holes.txt",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member)
    assert "is a link, a device or a sparse file" in refusal(tmp_path, "bad.tar", packed.getvalue())


def zip_with(**fields: int) -> bytes:
    """A zip of one text whose entry says something else of itself."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        member = zipfile.ZipInfo("a.txt")
        archive.writestr(member, b"/etc/passwd")
        for name, value in fields.items():
            setattr(member, name, value)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"external_attr": 0o120777 << 16}, "is not unpacked: its member 'a.txt' is a link or a device"),
        ({"external_attr": 0o020644 << 16}, "is not unpacked: its member 'a.txt' is a link or a device"),
        ({"flag_bits": 1}, "'a.txt' needs a password; unpack it first"),
        ({"compress_type": zipfile.ZIP_LZMA}, "'a.txt' is neither stored nor deflated; unpack it first"),
        ({"compress_type": 99}, "'a.txt' is neither stored nor deflated; unpack it first"),
        ({"CRC": 5}, "is damaged or cut off: Bad CRC-32 for file 'a.txt'"),
        ({"header_offset": 7}, "is damaged or cut off: Bad magic number for file header"),
    ],
)
def test_what_a_zip_may_not_be(tmp_path, fields, reason):
    assert reason in refusal(tmp_path, "bad.zip", zip_with(**fields))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_two_members_in_one_place_end_the_unpacking(tmp_path, kind, recwarn):
    make = zip_of if kind == "zip" else tar_of
    content = make({"deep/a.txt": b"one", "deep/./a.txt": b"two"})
    assert refusal(tmp_path, f"bad.{kind}", content) == f"bad.{kind} has two members in one place: 'a.txt'"


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_file_where_a_folder_should_be(tmp_path, kind):
    make = zip_of if kind == "zip" else tar_of
    assert "two members in one place: 'b.txt'" in refusal(
        tmp_path, f"bad.{kind}", make({"a.txt": b"one", "a.txt/b.txt": b"two"})
    )


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tar.zst"])
def test_an_archive_without_text(tmp_path, ending):
    content = zip_of(NO_TEXT) if ending == ".zip" else COMPRESS[ending.removeprefix(".tar")](tar_of(NO_TEXT))
    assert (
        refusal(tmp_path, f"a{ending}", content)
        == f"a{ending} holds 0 .txt or .jsonl files; at least 1 is needed"
    )


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tar.zst"])
def test_an_archive_that_unpacks_to_too_much(tmp_path, ending):
    texts = named(["x" * 1000] * 10)
    content = zip_of(texts) if ending == ".zip" else COMPRESS[ending.removeprefix(".tar")](tar_of(texts))
    message = refusal(tmp_path, f"a{ending}", content, max_bytes=9_999)
    assert message == f"a{ending} unpacks to more than 9,999 bytes; --max-gb raises the limit"


@pytest.mark.parametrize("ending", [".zip", ".tar.gz", ".tar.zst"])
def test_an_archive_made_to_fill_the_disk(tmp_path, ending, monkeypatch):
    monkeypatch.setattr("lmcore.sources.compressed.RATIO_FROM_BYTES", 2**19)
    texts = {f"{i}.txt": bytes(2**19) for i in range(4)}
    content = zip_of(texts) if ending == ".zip" else COMPRESS[ending.removeprefix(".tar")](tar_of(texts))
    message = refusal(tmp_path, f"a{ending}", content)
    assert message == (
        f"a{ending} has {len(content):,} bytes and unpacks to more than 200 times as many; that is no text"
    )


def test_a_zip_whose_members_share_their_bytes(tmp_path):
    """Every entry of the list points to the same text: refused by its header, which has another name."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", bytes(2**18))
        (first,) = archive.filelist
        for i in range(50):
            copy = zipfile.ZipInfo(f"{i}.txt")
            for name in ("CRC", "compress_size", "file_size", "header_offset", "compress_type", "flag_bits"):
                setattr(copy, name, getattr(first, name))
            archive.filelist.append(copy)
    message = refusal(tmp_path, "a.zip", packed.getvalue())
    assert message.startswith("a.zip is damaged or cut off: ")
    assert "'0.txt'" in message


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr("lmcore.sources.archive.MAX_MEMBERS", 3)
    for i, content in enumerate((zip_of(named("abcd")), tar_of(named("abcd")))):
        (tmp_path / str(i)).mkdir()
        name = ("a.zip", "a.tar")[i]
        assert refusal(tmp_path / str(i), name, content) == f"{name} has more than 3 members"


def test_a_zip_whose_list_of_members_is_long(tmp_path, monkeypatch):
    monkeypatch.setattr("lmcore.sources.archive.MAX_DIRECTORY_BYTES", 10_000)
    message = refusal(tmp_path, "a.zip", zip_of(named(["x"] * 200)))
    assert message.startswith("a.zip is damaged or cut off: a header asks for ")


def test_a_header_that_asks_for_much_memory(tmp_path):
    member = tarfile.TarInfo("././@PaxHeader")
    member.type, member.size = tarfile.XHDTYPE, 2**33 - 1
    content = member.tobuf(tarfile.USTAR_FORMAT) + bytes(10_240)
    message = refusal(tmp_path, "a.tar", content)
    assert message.startswith("a.tar is damaged or cut off: a header asks for 8,589,934,592 bytes")


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_a_header_that_leads_back(tmp_path, blocks):
    """A negative size, which older versions of `tarfile` follow round and round."""
    before = tarfile.TarInfo("a.png").tobuf() * 3
    header = bytearray(tarfile.TarInfo("b.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = struct.pack(">Iq", 0xFFFFFFFF, -512 * blocks)
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    message = refusal(tmp_path, "a.tar", before + bytes(header) + bytes(10_240))
    assert message == "a.tar is damaged or cut off: a header leads back to where it was"


def test_what_a_made_up_header_asks_for_is_not_read(tmp_path):
    (tmp_path / "file").write_bytes(bytes(1_000))
    with open(tmp_path / "file", "rb") as file:
        guarded = _Guarded(file, longest=400)
        assert guarded.read(400) == bytes(400)
        for size, named in ((401, "401"), (-1, "600")):
            with pytest.raises(ValueError, match=f"a header asks for {named} bytes"):
                guarded.read(size)
        with pytest.raises(ValueError, match="a header leads to byte -1"):
            guarded.seek(-1)
        guarded.left = 799
        assert guarded.read(400) == bytes(400)
        with pytest.raises(ValueError, match="a header asks for 400 bytes"):
            guarded.read(400)


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tar.zst"])
@pytest.mark.parametrize("content", [b"", b"no archive " * 200])
def test_a_file_that_is_no_archive(tmp_path, ending, content):
    assert f"a{ending} is damaged or cut off: " in refusal(tmp_path, f"a{ending}", content)


CONTENTS = {
    "a.zip": zip_of(GOOD),
    "b.zip": zip_of(GOOD, zipfile.ZIP_STORED),
    "a.tar": tar_of(GOOD, tar_member("x" * 150 + ".png", tarfile.REGTYPE)),
    "a.tar.gz": COMPRESS[".gz"](tar_of(GOOD)),
    "a.tar.zst": COMPRESS[".zst"](tar_of(GOOD)),
}


@settings(max_examples=200)
@given(st.sampled_from(sorted(CONTENTS)), st.data())
def test_a_damaged_archive_is_refused_or_stays_in_its_folder(tmp_path_factory, name, data):
    content = bytearray(CONTENTS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(content), 4_096) - 1))
        content[place] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))] if data.draw(st.booleans()) else content
    folder = tmp_path_factory.mktemp("mutated")
    with suppress(InputError):
        unpack(folder, name, bytes(content), max_bytes=100_000)
    assert {path.split("/")[0] for path in everything_in(folder)} <= {name, "entry"}
