"""Files and archives of texts for tests, also such as nobody should unpack."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from backports import zstd  # Python 3.14 has it as compression.zstd

COMPRESS = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}


def json_lines(texts: Iterable[str], field: str = "text") -> bytes:
    """One line per text."""
    return b"".join(json.dumps({field: text, "number": i}).encode() + b"\n" for i, text in enumerate(texts))


def named(texts: Iterable[str]) -> dict[str, bytes]:
    """A name in order for each text."""
    return {f"{i:03}.txt": text.encode() for i, text in enumerate(texts)}


def zip_of(contents: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file with these members, whatever their names."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return packed.getvalue()


def tar_of(contents: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    """A tar file with these members, whatever their names, and then others without content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in more:
            archive.addfile(member)
    return packed.getvalue()


def tar_member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A link or a device."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def everything_in(folder: Path) -> list[str]:
    """Names of all that is below a folder: to see that nothing was left behind."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
