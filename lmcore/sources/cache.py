"""Files that lmcore keeps for the next time: under their name only when whole, and checked when found.

An entry is a folder named after a hash of what it holds: ``files/`` and ``entry.json`` with their sizes
and checksums. A killed process may leave a folder that ends in ``.part``; it is never read and can be
deleted.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lmcore.errors import InputError

FORMAT = 1  # goes up when what is written for the same description changes
BLOCK = 2**20


def cache_folder() -> Path:
    """Where files are kept by default: ``$XDG_CACHE_HOME/lmcore`` or ``~/.cache/lmcore``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lmcore"


def kept_files(
    folder: Path, about: dict[str, Any], write: Callable[[Path], str], log: Callable[[str], None]
) -> Path:
    """The folder of files that ``about`` (plain JSON) identifies.

    If there is none in ``folder``, ``write`` is called with an empty folder; it returns a line about
    what it has written, which ``log`` gets now and whenever the files are found. Several processes may
    prepare the same files. Raises InputError if found files are damaged; nothing is left of files whose
    writing fails.
    """
    identity = json.dumps({"format": FORMAT, **about}, sort_keys=True)
    entry = folder / hashlib.sha256(identity.encode()).hexdigest()[:32]
    how = "found"
    if not entry.exists():
        _write_entry(entry, about, write)
        how = "written"
    log(f"{_checked(entry)} ({how} in {entry})")
    return entry / "files"


def sha256_of_file(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _write_entry(entry: Path, about: dict[str, Any], write: Callable[[Path], str]) -> None:
    """Write under another name, then rename: whoever finds the folder finds all of it."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=entry.parent, prefix=f"{entry.name}.", suffix=".part"))
    try:
        files = temporary / "files"
        files.mkdir()
        line = write(files)
        described = {"about": about, "line": line, "files": _measured(files)}
        (temporary / "entry.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
        with suppress(OSError):  # another process was sooner, and its folder is in the way
            os.rename(temporary, entry)
        if not entry.exists():
            raise InputError(f"{temporary} cannot be renamed to {entry.name}")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _measured(files: Path) -> dict[str, list[int | str]]:
    """Bytes and checksum of each file below a folder."""
    paths = sorted(path for path in files.rglob("*") if path.is_file())
    return {path.relative_to(files).as_posix(): [path.stat().st_size, sha256_of_file(path)] for path in paths}


def _checked(entry: Path) -> str:
    """The line about an entry; raises InputError if its files are not those that were written."""
    try:
        described = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
        line, written = str(described["line"]), dict(described["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{entry} has no readable entry.json; delete the folder and run again") from None
    found = _measured(entry / "files")
    for name in sorted(written.keys() | found.keys()):
        if written.get(name) != found.get(name):
            raise InputError(f"{entry}: {name} is not as it was written; delete the folder and run again")
    return line
