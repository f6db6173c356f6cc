"""The built book on 127.0.0.1 as GitHub Pages would serve it: below its path, compressed, with its 404 page.

    python scripts/site_server.py [PORT]        make serve

The browser tests, the printing of the PDF and the measurement of the pages use the same server.
"""

import gzip
import http.server
import mimetypes
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "html"
TEXT = {"text/html", "text/css", "text/javascript", "application/json", "image/svg+xml", "application/xml"}
TYPES = {".js": "text/javascript", ".woff": "font/woff", ".woff2": "font/woff2", ".xml": "application/xml"}


def base_path() -> str:
    """The path of the published book on its host, "/next-word/"."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return urllib.parse.urlsplit(config["html"]["baseurl"]).path


def kind_of(file: Path) -> str:
    return TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"


def on_the_wire(file: Path) -> bytes:
    """The file as it is sent: text is compressed, as GitHub Pages does it, everything else is not."""
    return _on_the_wire(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=1024)
def _on_the_wire(file: Path, _changed: int) -> bytes:
    content = file.read_bytes()
    return gzip.compress(content, compresslevel=6, mtime=0) if kind_of(file) in TEXT else content


class SiteServer(http.server.ThreadingHTTPServer):
    """Serves ``folder`` below ``prefix``; ``url`` is the address of the home page.

    ``max_age`` (seconds): how long a browser may keep a file without asking again.
    """

    daemon_threads = True

    def __init__(self, folder: Path = SITE, prefix: str | None = None, port: int = 0, max_age: int = 0):
        self.folder, self.max_age = folder.resolve(), max_age
        self.prefix = base_path() if prefix is None else prefix
        super().__init__(("127.0.0.1", port), _Handler)
        self.origin = f"http://127.0.0.1:{self.server_address[1]}"
        self.url = self.origin + self.prefix

    def file_of(self, path: str) -> Path | None:
        """The file behind the path of an address, or None."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(path).path)
        if not path.startswith(self.prefix):
            return None
        file = (self.folder / path.removeprefix(self.prefix)).resolve()
        if path.endswith("/"):
            file /= "index.html"
        return file if file.is_relative_to(self.folder) and file.is_file() else None


class _Handler(http.server.BaseHTTPRequestHandler):
    server: SiteServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        file, status = self.server.file_of(self.path), 200
        if file is None:
            file, status = self.server.folder / "404.html", 404
        if not file.is_file():
            return self.send_error(404)
        content = on_the_wire(file)
        self.send_response(status)
        self.send_header("Content-Type", kind_of(file))
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", f"max-age={self.server.max_age}")
        if kind_of(file) in TEXT:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(folder: Path = SITE, prefix: str | None = None, max_age: int = 0) -> Iterator[SiteServer]:
    """A server in a thread of its own, for as long as the block runs."""
    with SiteServer(folder, prefix, max_age=max_age) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def main() -> None:
    port = int(sys.argv[1]) if sys.argv[1:] else 8000
    if not (SITE / "index.html").is_file():
        sys.exit("no built book: run make book first")
    with SiteServer(port=port) as server:
        print(f"==> {server.url}   (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
