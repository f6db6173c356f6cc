"""A download is what was asked for, or one line says why not and nothing is left of it."""

import hashlib
import itertools
import socket
import tarfile
import threading

import pytest
from archives import COMPRESS, everything_in, json_lines, named, tar_member, tar_of, zip_of
from https_server import Handler, https_server

import lmcore
from lmcore.corpus import split_documents
from lmcore.errors import InputError
from lmcore.sources import download
from lmcore.sources.reading import Reading
from lmcore.sources.source import open_corpus

TEXT = b"The text that was asked for.\n" * 100
GIGABYTE = 10**9
NOT_FOLLOWED = "redirects in a circle, or to no address that can be read"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server whose certificate this process trusts."""
    (tmp_path / "server").mkdir()
    with https_server(tmp_path / "server") as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server" / "ca.pem"))
        monkeypatch.setenv("no_proxy", "*")
        yield server


@pytest.fixture
def refusal(tmp_path):
    """The message for an address that gives nothing; nothing is left in the cache."""

    def refusal(url: str, checksum: str = sha256(TEXT), max_bytes: int = GIGABYTE) -> str:
        with pytest.raises(InputError) as caught:
            download.downloaded(url, checksum, tmp_path / "cache", max_bytes, [].append)
        assert everything_in(tmp_path / "cache") in ([], ["downloads"])
        return str(caught.value)

    return refusal


def forms_of(documents: list[str]) -> dict[str, bytes]:
    return {
        "/texts.zip": zip_of(named(documents)),
        "/texts.tar": tar_of(named(documents)),
        "/texts.tar.gz": COMPRESS[".gz"](tar_of(named(documents))),
        "/texts.tar.zst": COMPRESS[".zst"](tar_of(named(documents))),
        "/lines.jsonl": json_lines(documents),
        "/lines.jsonl.gz": COMPRESS[".gz"](json_lines(documents)),
        "/lines.jsonl.zst": COMPRESS[".zst"](json_lines(documents)),
        "/data/news": COMPRESS[".gz"](tar_of(named(documents))),  # its content says what it is
        "/get?file=texts.zip&x=%20": zip_of(named(documents)),
    }


def test_every_form_of_text_can_be_fetched(server, tmp_path, documents):
    expected = split_documents("any", documents)
    for path, content in forms_of(documents).items():
        url, reading = server.offer(path, content), Reading(sha256=sha256(content).upper())
        corpus = open_corpus(url, reading, tmp_path / path.replace("/", "_"))
        assert corpus.sha256 == expected.sha256
        assert corpus.name in ("texts", "lines", "news", "get")


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
def test_plain_text_can_be_fetched(server, tmp_path, compression):
    content = COMPRESS[compression](TEXT)
    said, url = [], server.offer(f"/my%20book.txt{compression}", content)
    corpus = open_corpus(url, Reading(sha256=sha256(content)), tmp_path, said.append)
    assert corpus.name == "my_book"
    assert "".join(corpus.part("all")) == TEXT.decode()
    assert said[0] == f"downloading {url}"
    assert said[1].startswith(f"{url}: {len(content):,} bytes with the right SHA-256 (written in {tmp_path}")


def test_what_was_fetched_is_found_without_a_network(server, tmp_path):
    url, reading = server.offer("/a.txt", TEXT), Reading(sha256=sha256(TEXT))
    corpus = open_corpus(url, reading, tmp_path)
    server.answers.clear()
    assert open_corpus("https://elsewhere.org/a.txt", reading, tmp_path) == corpus
    assert server.asked == ["/a.txt"]
    (kept,) = tmp_path.rglob("a.txt")
    kept.write_bytes(TEXT.upper())
    with pytest.raises(InputError, match=r"a\.txt is not as it was written; delete the folder and run again"):
        open_corpus(url, reading, tmp_path)


def test_the_address_says_whether_the_same_bytes_are_lines_of_json(server, tmp_path, documents):
    content = json_lines(documents)
    reading = Reading(sha256=sha256(content))
    plain = open_corpus(server.offer("/lines", content), reading, tmp_path)
    assert "".join(plain.part("all")) == content.decode()
    lines = open_corpus(server.offer("/lines.jsonl", content), reading, tmp_path)
    assert lines.sha256 == split_documents("lines", documents).sha256


def test_a_redirect_within_https_is_followed(server, tmp_path):
    server.offer("/there.txt", TEXT)

    def away(handler: Handler) -> None:
        handler.head(302, Location="/there.txt", Content_Length=GIGABYTE)
        handler.wait()  # what comes with the redirect does not come, and nobody waits for it

    server.answers["/here"] = away
    corpus = open_corpus(server.url("/here"), Reading(sha256=sha256(TEXT)), tmp_path)
    assert "".join(corpus.part("all")) == TEXT.decode()


@pytest.mark.parametrize("scheme", ["http", "ftp", "file"])
def test_a_redirect_away_from_https_is_refused(server, refusal, scheme):
    target = f"{scheme}://127.0.0.1:{server.server_port}/there.txt"
    server.answers["/here"] = lambda handler: handler.head(302, Location=target)
    message = refusal(server.url("/here"))
    expected = f"{server.url('/here')} redirects to {target!r}; only https:// is read"
    if scheme == "file":  # which urllib itself refuses
        expected = f"{server.url('/here')}: the server {NOT_FOLLOWED}"
    assert message == expected
    assert server.asked == ["/here"]


def circle(handler: Handler) -> None:
    handler.head(302, Location="/asked", Content_Length=0)


def nowhere(handler: Handler) -> None:
    handler.head(301, Content_Length=0)


def missing(handler: Handler) -> None:
    handler.send_error(404, "\x1b[31mMy own words")


def broken(handler: Handler) -> None:
    handler.send_error(500)


def cut(handler: Handler) -> None:
    handler.head(Content_Length=len(TEXT))
    handler.wfile.write(TEXT[:1000])


def cut_chunk(handler: Handler) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.head(Transfer_Encoding="chunked", Connection="close")
    handler.wfile.write(b"400\r\n" + TEXT[:1000])


def too_short_a_length(handler: Handler) -> None:
    handler.head(Content_Length=1000)
    handler.wfile.write(TEXT)


def too_large(handler: Handler) -> None:
    handler.head(Content_Length=GIGABYTE + 1)
    handler.wait()


def endless(handler: Handler) -> None:
    handler.head(Content_Length="9" * 5000)  # no number that anybody reads
    for _ in itertools.repeat(None):
        handler.wfile.write(TEXT)


def silent(handler: Handler) -> None:
    handler.wait()


def stalled(handler: Handler) -> None:
    handler.head(Content_Length=len(TEXT))
    handler.wfile.write(TEXT[:1000])
    handler.wfile.flush()
    handler.wait()


def no_answer(handler: Handler) -> None:
    """Close the connection."""


def no_http(handler: Handler) -> None:
    handler.wfile.write(b"220 mail.example.org ready\r\n")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (circle, f"@: the server {NOT_FOLLOWED}"),
        (nowhere, f"@: the server {NOT_FOLLOWED}"),
        (missing, "@: the server answers 404 Not Found"),
        (broken, "@: the server answers 500 Internal Server Error"),
        (cut, "@: the server stopped after 1,000 of 2,900 bytes; try again"),
        (cut_chunk, "@: the server stopped after 0 bytes of a chunk; try again"),
        (too_short_a_length, f"@ has SHA-256 {sha256(TEXT[:1000])}, but {sha256(TEXT)} was"),
        (too_large, "@ has 1,000,000,001 bytes, over the limit of 1,000,000,000; --max-gb raises it"),
        (silent, "@: the server sends nothing, or too little, for 0.5 s; try again"),
        (stalled, "@: the server sends nothing, or too little, for 0.5 s; try again"),
        (no_answer, "@: the connection fails (Remote end closed connection without response); without a net"),
        (no_http, "@: the connection fails (220 mail.example.org ready); without a network, fetch the file"),
    ],
)
def test_a_server_that_fails_is_one_line(server, refusal, monkeypatch, answer, message):
    monkeypatch.setattr(download, "TIMEOUT", 0.5)
    server.answers["/asked"] = answer
    assert refusal(server.url("/asked")).startswith(message.replace("@", server.url("/asked")))


def test_a_wrong_checksum_keeps_nothing(server, refusal):
    url = server.offer("/a.txt", TEXT)
    assert refusal(url, "0" * 64) == (
        f"{url} has SHA-256 {sha256(TEXT)}, but {'0' * 64} was asked for; nothing is kept"
    )


def test_nothing_is_opened_before_its_checksum_is_right(server, refusal, monkeypatch):
    for name in ("head_of", "_ending"):
        monkeypatch.setattr(download, name, pytest.fail)
    refusal(server.offer("/a.zip", zip_of(named(["one"]))), "0" * 64)


def test_a_download_without_end_stops_at_the_limit(server, refusal):
    server.answers["/endless"] = endless
    url = server.url("/endless")
    assert refusal(url, max_bytes=100_000) == f"{url} has more than 100,000 bytes; --max-gb raises the limit"


def test_a_server_that_trickles_is_left(server, refusal, monkeypatch):
    clock = itertools.count(0, 20)  # seconds from one look to the next
    monkeypatch.setattr(download.time, "monotonic", lambda: next(clock))

    def trickle(handler: Handler) -> None:
        handler.head(Content_Length=len(TEXT))
        for byte in TEXT:
            handler.wfile.write(bytes([byte]))

    monkeypatch.setattr(download, "BLOCK", 1)
    server.answers["/trickle"] = trickle
    assert "the server sends nothing, or too little, for 30 s" in refusal(server.url("/trickle"))


def test_a_certificate_that_nobody_vouches_for(server, refusal, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    url = server.offer("/a.txt", TEXT)
    message = refusal(url)
    assert message.startswith(f"{url}: the server's certificate is not trusted (")
    assert server.asked == []


def test_a_certificate_of_another_host(server, refusal):
    url = server.offer("/a.txt", TEXT).replace("127.0.0.1", "localhost")
    assert refusal(url).startswith(f"{url}: the server's certificate is not trusted (Hostname mismatch")


def test_a_server_without_https(refusal):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/a.txt"
        message = refusal(url)
        thread.join()
    assert message.startswith(f"{url}: the connection fails ([SSL")


def test_nobody_listens(refusal):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/a.txt"
    message = refusal(url)
    assert message.startswith(f"{url}: the connection fails ([Errno")
    assert message.endswith(download.WITHOUT_NETWORK)


def test_offline_says_what_to_do(refusal):
    assert refusal("https://example.org/a.txt") == (
        "https://example.org/a.txt: the name of the server cannot be looked up; without a network, fetch the "
        "file on another machine, and give --corpus the path of the copy"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.org/a.txt", "http://example.org/a.txt begins with http://; only https:// is read"),
        ("https://", "'https://' is no address: no host, or a blank or letter that must be written as %XX"),
        ("https://example.org/a b.txt", "'https://example.org/a b.txt' is no address: no host, or a blank"),
        ("https://example.org/ä.txt", "'https://example.org/ä.txt' is no address: no host, or"),
        ("https://example.org:port/", "'https://example.org:port/' is no address: Port could not be cast"),
        ("https://[::1/a.txt", "'https://[::1/a.txt' is no address: Invalid IPv6 URL"),
        ("https://me:secret@example.org/a.txt", "the address holds a user or password, which a run record"),
    ],
)
def test_an_address_that_is_none(refusal, url, message):
    assert refusal(url).startswith(message)


@pytest.mark.parametrize("checksum", ["", "abc", "0" * 63, "0" * 65, "g" * 64, sha256(TEXT) + "\n"])
def test_a_checksum_that_is_none(refusal, checksum):
    assert refusal("https://example.org/a.txt", checksum) == (
        f"--sha256 {checksum!r} is no SHA-256: it must be 64 digits of 0-9 and a-f"
    )


UNSAFE = {
    "/up.tar": tar_of({"../out.txt": b"bad"}),
    "/absolute.tar.gz": COMPRESS[".gz"](tar_of({"/tmp/out.txt": b"bad"})),
    "/link.tar": tar_of({}, tar_member("a.txt", tarfile.SYMTYPE, "/etc/passwd")),
    "/hard.tar": tar_of({}, tar_member("a.txt", tarfile.LNKTYPE, "/etc/passwd")),
    "/device.tar": tar_of({}, tar_member("a.txt", tarfile.CHRTYPE)),
    "/up.zip": zip_of({"../../out.txt": b"bad"}),
    "/bomb.zip": zip_of({"a.txt": bytes(2**21)}),
    "/bomb.tar.gz": COMPRESS[".gz"](tar_of({"a.txt": bytes(2**21)})),
    "/bomb.txt.gz": COMPRESS[".gz"](bytes(2**21)),
}


@pytest.mark.parametrize("path", sorted(UNSAFE))
def test_an_unsafe_archive_leaves_nothing_but_itself(server, run, checkpoint, tmp_path, monkeypatch, path):
    monkeypatch.setattr("lmcore.sources.compressed.RATIO_FROM_BYTES", 2**20)
    url, cache = server.offer(path, UNSAFE[path]), tmp_path / "cache"
    options = ["--corpus", url, "--sha256", sha256(UNSAFE[path]), "--cache", cache]
    status, _, error = run("evaluate", "--checkpoint", checkpoint, *options)
    assert (status, error.count("\n")) == (2, 1)
    expected = "that is no text" if "bomb" in path else "is not unpacked: its member"
    assert expected in error
    assert [name for name in everything_in(cache) if not name.startswith("downloads")] == [
        "unpacked" if path.endswith(".txt.gz") else "archives"
    ]
    assert not list(tmp_path.parent.rglob("out.txt"))


def test_train_on_a_download(server, run, tmp_path, documents):
    content = zip_of(named(documents))
    url = server.offer("/texts.zip", content)
    options = ["--corpus", url, "--sha256", sha256(content), "--cache", tmp_path / "cache"]
    small = ["--tokenizer=char", "--emb-dim=8", "--batch-size=2", "--seq-len=12", "--max-steps=3"]
    status, printed, error = run("train", *options, *small, "--device=cpu", "--out", tmp_path / "out")
    assert (status, error) == (0, "")
    assert f"downloading {url}" in printed
    record = lmcore.load_record(tmp_path / "out" / "record.json")
    assert record.settings["corpus_sha256"] == split_documents("texts", documents).sha256
