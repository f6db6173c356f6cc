"""Archives of text, unpacked never outside of a folder.

An archive is material from anywhere: each member is looked at before any byte of it is written, and one
that is no plain file below the folder (a link, a device, ``../``, an absolute path) ends the unpacking. So
do sizes that no text has. Left out: archives with a password, and zip files packed in rare ways.
"""

import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path, PurePosixPath

from lmcore.errors import InputError
from lmcore.sources.compressed import (
    DAMAGE,
    Meter,
    copy_within,
    is_text_name,
    reason_of,
    unpack_file,
    without_compression,
)

ARCHIVE_ENDINGS = (".zip", ".tar")
MAX_MEMBERS = 250_000
MAX_HEADER_BYTES = 2**20  # `tarfile` reads a header into memory, however long it says it is
MAX_DIRECTORY_BYTES = 2**26  # and `zipfile` the list of all members
TAR_DAMAGE = (tarfile.TarError, EOFError, ValueError, LookupError, OverflowError, RecursionError)
ZIP_DAMAGE = (zipfile.BadZipFile, RuntimeError, LookupError, OverflowError, ValueError, *DAMAGE)


def unpack_archive(path: Path, name: str, target: Path, max_bytes: int) -> int:
    """Write the .txt and .jsonl files of a .zip, .tar, .tar.gz or .tar.zst into ``target``; returns how many.

    Raises InputError for an archive that is damaged, that is unsafe, or that has no such files.
    """
    meter = Meter(name, path.stat().st_size, max_bytes)
    inner, compression = without_compression(path.name)
    if inner.lower().endswith(".zip"):
        written = _unpack_zip(path, target, meter)
    elif compression:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            tar = Path(folder) / "tar"
            unpack_file(path, compression, tar, Meter(name, path.stat().st_size, max_bytes))
            written = _unpack_tar(tar, target, meter)
    else:
        written = _unpack_tar(path, target, meter)
    if not written:
        raise InputError(f"{name} holds 0 .txt or .jsonl files; at least 1 is needed")
    return written


def _unpack_zip(path: Path, target: Path, meter: Meter) -> int:
    written = 0
    try:
        with open(path, "rb") as file, zipfile.ZipFile(_Guarded(file, MAX_DIRECTORY_BYTES)) as archive:
            for number, member in enumerate(archive.infolist(), 1):
                place = _place(member.orig_filename, number, meter)
                _check_zip_member(member, meter.name)
                if member.is_dir() or place is None:
                    continue
                with archive.open(member) as source, _created(target / place, meter) as file:
                    copy_within(source, file, meter, ZIP_DAMAGE)
                written += 1
    except InputError:
        raise
    except ZIP_DAMAGE as error:
        raise InputError(f"{meter.name} is damaged or cut off: {reason_of(error)}") from None
    return written


def _check_zip_member(member: zipfile.ZipInfo, name: str) -> None:
    mode = stat.S_IFMT(member.external_attr >> 16)
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unsafe(name, member.filename, "is a link or a device")
    if member.flag_bits & 1:
        raise InputError(f"{name}: {member.filename!r} needs a password; unpack it first")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{name}: {member.filename!r} is neither stored nor deflated; unpack it first")


def _unpack_tar(path: Path, target: Path, meter: Meter) -> int:
    written, number, offset = 0, 0, -1
    try:
        with open(path, "rb") as file, _open_tar(file) as archive:
            while (member := archive.next()) is not None:
                number += 1
                if member.offset <= offset or member.size < 0:
                    raise tarfile.ReadError("a header leads back to where it was")
                offset = member.offset
                archive.members.clear()  # it would keep them all
                place = _place(member.name, number, meter)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise _unsafe(meter.name, member.name, "is a link, a device or a sparse file")
                if place is None:
                    continue
                with archive.extractfile(member) as source, _created(target / place, meter) as copy:
                    copy_within(source, copy, meter, TAR_DAMAGE)
                written += 1
    except InputError:
        raise
    except TAR_DAMAGE as error:
        raise InputError(f"{meter.name} is damaged or cut off: {reason_of(error)}") from None
    return written


def _open_tar(file: BufferedIOBase) -> tarfile.TarFile:
    guarded = _Guarded(file, MAX_HEADER_BYTES)
    return tarfile.open(fileobj=guarded, mode="r:", errors="replace")  # names that are not UTF-8


class _Guarded:
    """A file for `tarfile` and `zipfile` without what only a made-up header asks for.

    That is: ``longest`` bytes at once, the same bytes again and again, a place before the start. Raises
    ValueError there.
    """

    def __init__(self, file: BufferedIOBase, longest: int):
        self.file, self.longest = file, longest
        self.size = os.fstat(file.fileno()).st_size
        self.left = 4 * self.size + MAX_HEADER_BYTES

    def read(self, size: int = -1) -> bytes:
        size = self.size - self.file.tell() if size < 0 else size
        self.left -= max(size, 1)
        if size > self.longest or self.left < 0:
            raise ValueError(f"a header asks for {size:,} bytes")
        return self.file.read(max(size, 0))

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and place < 0:
            raise ValueError(f"a header leads to byte {place:,}")
        return self.file.seek(place, whence)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True


def _place(name: str, number: int, meter: Meter) -> PurePosixPath | None:
    """Where a member goes below the folder, or None for one that is no text of the corpus.

    Raises InputError for a name that leads elsewhere, and for member ``number`` of too many.
    """
    if number > MAX_MEMBERS:
        raise InputError(f"{meter.name} has more than {MAX_MEMBERS:,} members")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or name[1:2] == ":" or ".." in parts:
        raise _unsafe(meter.name, name, "leads out of the folder")
    if "\\" in name or any(character < " " for character in name):
        raise _unsafe(meter.name, name, "has a backslash or a control character in its name")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return PurePosixPath(*parts) if is_text_name(name) and not hidden else None


def _unsafe(archive: str, member: str, reason: str) -> InputError:
    return InputError(f"{archive} is not unpacked: its member {member[:80]!r} {reason}")


@contextmanager
def _created(path: Path, meter: Meter) -> Iterator[BufferedIOBase]:
    """A new file; raises InputError if the archive has had a member of that name before."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "xb")  # noqa: SIM115 - closed below; only its opening is in the try
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{meter.name} has two members in one place: {path.name!r}") from None
    with file:
        yield file
