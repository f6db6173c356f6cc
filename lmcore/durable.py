"""Files that are whole or not there, also after a power cut: write beside, flush to the disk, rename.

Left out: file systems that lie about having flushed.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

TEMPORARY = ".tmp"  # a killed process may leave a file that ends so; nothing ever reads it


def replace_file(path: str | Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a file beside ``path``, then put it in the place of ``path`` at once.

    A reader sees the old content or the new, never a mixture. If writing fails, the old file stays and the
    new one is removed. Raises what ``write`` raises, and OSError if the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        write(temporary)
        _to_disk(temporary)
        os.replace(temporary, path)
    except BaseException:  # also when interrupted from the keyboard
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _folder_to_disk(path.parent)


def replace_text(path: str | Path, text: str) -> None:
    """`replace_file` with a text, as UTF-8; a file that holds just that is left alone."""
    content = text.encode()
    if not (Path(path).is_file() and Path(path).read_bytes() == content):
        replace_file(path, lambda temporary: temporary.write_bytes(content))


def _to_disk(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _folder_to_disk(path: Path) -> None:
    """The name of a file is part of its folder, and not on the disk before that is."""
    if os.name == "nt":
        return  # Windows opens no folders, and renames durably enough without
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
