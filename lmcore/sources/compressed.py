"""Compressed files of text, unpacked within bounds: the sizes that no text has end the unpacking.

Left out: bzip2 and xz.
"""

import gzip
import importlib
import os
import zlib
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from lmcore.errors import InputError

BLOCK = 2**18
MAX_RATIO = 200  # text shrinks to a third or a tenth; a file made to fill disks to a thousandth
RATIO_FROM_BYTES = 64 * 2**20  # below that, much repetition does no harm
TEXT_ENDINGS = (".txt", ".jsonl")
COMPRESSED_ENDINGS = (".gz", ".zst")
DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)


def without_compression(name: str) -> tuple[str, str]:
    """A file's name and its ending ".gz" or ".zst" apart; ".tgz" is ".tar" and ".gz"."""
    stem, ending = os.path.splitext(name)
    if ending.lower() == ".tgz":
        return f"{stem}.tar", ".gz"
    return (stem, ending.lower()) if ending.lower() in COMPRESSED_ENDINGS else (name, "")


def is_text_name(name: str) -> bool:
    """Whether a file of a folder or an archive belongs to the corpus."""
    return without_compression(name)[0].lower().endswith(TEXT_ENDINGS)


@dataclass
class Meter:
    """What has been unpacked of one file so far, and where that ends."""

    name: str
    packed_bytes: int
    max_bytes: int
    total: int = 0

    def add(self, count: int) -> None:
        """Count bytes before they are written; raises InputError when there are too many."""
        self.total += count
        if self.total > self.max_bytes:
            raise InputError(
                f"{self.name} unpacks to more than {self.max_bytes:,} bytes; --max-gb raises the limit"
            )
        if self.total > max(RATIO_FROM_BYTES, MAX_RATIO * self.packed_bytes):
            raise InputError(
                f"{self.name} has {self.packed_bytes:,} bytes and unpacks to more than {MAX_RATIO} times as "
                "many; that is no text"
            )


def unpack_file(path: Path, compression: str, target: Path, meter: Meter) -> None:
    """Write what a ".gz" or ".zst" file holds to ``target``; raises InputError if it is damaged."""
    with open(path, "rb") as packed, _decompressed(packed, compression) as source, open(target, "xb") as file:
        copy_within(source, file, meter, DAMAGE + _zstd_damage(compression))


def head_of(path: Path, compression: str, count: int) -> bytes:
    """The first bytes of what a compressed file holds; empty if it is damaged there."""
    with open(path, "rb") as packed, _decompressed(packed, compression) as source:
        try:
            return source.read(count)
        except DAMAGE + _zstd_damage(compression):
            return b""


def _decompressed(packed: BufferedIOBase, compression: str) -> BufferedIOBase:
    return gzip.open(packed) if compression == ".gz" else _zstd().open(packed)


def _zstd():
    """Python's module from 3.14 on, or the same as a package."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise InputError("a .zst file needs the package backports.zstd: pip install backports.zstd")


def _zstd_damage(compression: str) -> tuple[type[Exception], ...]:
    return (_zstd().ZstdError,) if compression == ".zst" else ()


def copy_within(
    source: BufferedIOBase, target: BufferedIOBase, meter: Meter, damage: tuple[type[Exception], ...]
) -> None:
    """Copy to the end; ``damage``: what reading raises where the source is damaged, for an InputError."""
    while True:
        try:
            block = source.read(BLOCK)
        except damage as error:
            raise InputError(f"{meter.name} is damaged or cut off: {reason_of(error)}") from None
        if not block:
            return
        meter.add(len(block))
        target.write(block)


def reason_of(error: Exception) -> str:
    """The first line of what an exception says, or its name."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
