"""A server on 127.0.0.1 that speaks https under a certificate of its own, and does as it is told."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers with what the server has under the path."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.answers[self.path](self)

    def head(self, status: int = 200, **headers: str | int) -> None:
        """The first lines of an answer; "_" stands for "-" in names."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.flush()

    def wait(self) -> None:
        """Until the test is over."""
        self.server.over.wait()

    def log_message(self, format: str, *arguments: object) -> None:
        """Tests are quiet."""


class Server(ThreadingHTTPServer):
    """``answers``: what happens for each path; ``asked``: the paths that somebody has asked for."""

    daemon_threads = False  # so that closing waits for them

    def __init__(self, authority: trustme.CA):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.over = threading.Event()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self.context)

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.server_port}{path}"

    def finish_request(self, request, client_address) -> None:
        with suppress(OSError), self.context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def offer(self, path: str, content: bytes) -> str:
        """Answer with this content under a path; returns the address."""

        def answer(handler: Handler) -> None:
            handler.head(Content_Length=len(content))
            handler.wfile.write(content)

        self.answers[path] = answer
        return self.url(path)


@contextmanager
def https_server(folder: Path) -> Iterator[Server]:
    """A server that runs until the block ends; ``folder / "ca.pem"`` is the certificate to trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server = Server(authority)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
