"""One file from an https address, kept only if it has the checksum that was asked for.

Nothing is opened, unpacked or looked at before its SHA-256 is known to be right. Left out: going on with a
download that stopped (the next one begins afresh), and addresses with a password.
"""

import http.client
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from lmcore.errors import InputError
from lmcore.sources.cache import kept_files, sha256_of_file
from lmcore.sources.compressed import COMPRESSED_ENDINGS, head_of, without_compression

BLOCK = 2**16
TIMEOUT = 30.0  # seconds without a byte
LEAST_BYTES_PER_TIMEOUT = 1024  # slower than that is a server that wants to hold us
MAGIC = {b"PK\x03\x04": ".zip", b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
HEAD_BYTES, TAR_MAGIC_AT, TAR_MAGIC = 512, 257, b"ustar"
WITHOUT_NETWORK = (
    "without a network, fetch the file on another machine, and give --corpus the path of the copy"
)


def downloaded(url: str, sha256: str, folder: Path, max_bytes: int, log: Callable[[str], None]) -> Path:
    """The file at an https address, from ``folder`` if it is there; its name ends as its content asks.

    ``sha256``: 64 hexadecimal digits. Certificates are those that the system trusts, or those in the file
    that the environment names in SSL_CERT_FILE. Raises InputError for another address or checksum, a
    redirect away from https, a server that fails, is silent, or sends more than ``max_bytes``.
    """
    _check_address(url)
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise InputError(f"--sha256 {sha256!r} is no SHA-256: it must be 64 digits of 0-9 and a-f")
    sha256, inner = sha256.lower(), _inner_ending(url)

    def write(files: Path) -> str:
        log(f"downloading {url}")
        path = files / "download"
        size = _fetch(url, path, max_bytes)
        found = sha256_of_file(path)
        if found != sha256:
            raise InputError(f"{url} has SHA-256 {found}, but {sha256} was asked for; nothing is kept")
        path.rename(files / f"{_stem(url)}{_ending(path, inner)}")
        return f"{url}: {size:,} bytes with the right SHA-256"

    files = kept_files(folder / "downloads", {"download": sha256, "inner": inner}, write, log)
    return next(files.iterdir())


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"{url!r} is no address: {error}") from None
    if parts.scheme != "https":
        raise InputError(f"{url} begins with {parts.scheme}://; only https:// is read")
    if not host or not url.isascii() or any(character <= " " for character in url):
        raise InputError(f"{url!r} is no address: no host, or a blank or letter that must be written as %XX")
    if "@" in parts.netloc:
        raise InputError("the address holds a user or password, which a run record would keep; leave it out")


class _StayOnHttps(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to another https address."""

    def redirect_request(self, request, file, code, message, headers, new_url):
        file.close()  # or all that comes with the redirect would be read into memory
        if urlsplit(new_url).scheme != "https":
            raise InputError(f"{request.full_url} redirects to {new_url[:200]!r}; only https:// is read")
        return super().redirect_request(request, file, code, message, headers, new_url)


def _opener() -> urllib.request.OpenerDirector:
    """Without the handlers for plain http, ftp and files."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _StayOnHttps(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "lmcore"), ("Accept-Encoding", "identity")]
    return opener


def _fetch(url: str, path: Path, max_bytes: int) -> int:
    """Write what the server sends; returns the number of bytes."""
    try:
        with _opener().open(url, timeout=TIMEOUT) as response:
            return _receive(response, url, path, max_bytes)
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"{url}: the server {_refusal(error.code)}") from None
    except urllib.error.URLError as error:
        raise InputError(f"{url}: {_failure(error.reason)}") from None
    except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
        raise InputError(f"{url}: {_failure(error)}") from None


def _receive(response: http.client.HTTPResponse, url: str, path: Path, max_bytes: int) -> int:
    length = re.fullmatch("[0-9]{1,18}", response.headers.get("Content-Length", ""))
    expected = int(length[0]) if length else None
    if expected is not None and expected > max_bytes:
        raise InputError(f"{url} has {expected:,} bytes, over the limit of {max_bytes:,}; --max-gb raises it")
    received, slow_until, due = 0, time.monotonic() + TIMEOUT, LEAST_BYTES_PER_TIMEOUT
    with open(path, "xb") as file:
        while block := response.read1(BLOCK):
            received += len(block)
            if received > max_bytes:
                raise InputError(f"{url} has more than {max_bytes:,} bytes; --max-gb raises the limit")
            file.write(block)
            if time.monotonic() > slow_until:
                if received < due:
                    raise TimeoutError
                slow_until, due = time.monotonic() + TIMEOUT, received + LEAST_BYTES_PER_TIMEOUT
    if expected is not None and received != expected:
        raise InputError(f"{url}: the server stopped after {received:,} of {expected:,} bytes; try again")
    return received


def _refusal(code: int) -> str:
    if code in (301, 302, 303, 307, 308):
        return "redirects in a circle, or to no address that can be read"
    return f"answers {code} {http.client.responses.get(code, '')}".rstrip()  # its own words may be anything


def _failure(reason: Exception | str) -> str:
    """What went wrong on the way, and what to do."""
    if isinstance(reason, socket.gaierror):
        return f"the name of the server cannot be looked up; {WITHOUT_NETWORK}"
    if isinstance(reason, TimeoutError):
        return f"the server sends nothing, or too little, for {TIMEOUT:g} s; try again"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted ({reason.verify_message})"
    if isinstance(reason, http.client.IncompleteRead):
        return f"the server stopped after {len(reason.partial):,} bytes of a chunk; try again"
    return f"the connection fails ({str(reason).strip() or type(reason).__name__}); {WITHOUT_NETWORK}"


def _stem(url: str) -> str:
    """A name for the corpus: the last part of the address, in plain characters."""
    name = without_compression(PurePosixPath(unquote(urlsplit(url).path)).name)[0]
    return re.sub(r"[^\w-]", "_", os.path.splitext(name)[0])[:80].strip("_") or "download"


def _inner_ending(url: str) -> str:
    """What the address says of text that is in no archive: plain, or lines of JSON."""
    inner = without_compression(urlsplit(url).path)[0]
    return ".jsonl" if inner.lower().endswith(".jsonl") else ".txt"


def _ending(path: Path, inner: str) -> str:
    """What the content is, by its first bytes; what is no archive is ``inner``, perhaps compressed."""
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    ending = next((ending for magic, ending in MAGIC.items() if head.startswith(magic)), "")
    if ending == ".zip":
        return ending
    if ending in COMPRESSED_ENDINGS:
        head = head_of(path, ending, HEAD_BYTES)
    return f"{'.tar' if head[TAR_MAGIC_AT:].startswith(TAR_MAGIC) else inner}{ending}"
