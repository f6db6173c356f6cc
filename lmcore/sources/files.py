"""Documents in files of plain text and of lines of JSON.

A file is looked through once when a corpus is opened (that it is UTF-8, how long the documents are, with
which checksums) and read again, document by document, when they are used: no text stays in memory.
"""

from collections.abc import Callable, Iterator
from io import BufferedIOBase, BytesIO

from lmcore.corpus import SPLIT_PERIOD, Passage, TextFile, measures
from lmcore.errors import InputError
from lmcore.sources.jsonl import BadLine, BadLines, lines_of, text_of_line

PIECE_BYTES = 256 * 1024  # of a long text: encoding a document takes 100 to 200 bytes per byte of text
LONG_BYTES = SPLIT_PERIOD * PIECE_BYTES  # 5 MiB; a text over that has enough pieces to split


def look_through(file: TextFile, name: str, skip_bad: bool, log: Callable[[str], None]) -> Iterator[Passage]:
    """The documents of a file, those without text left out.

    One document per line of JSON, or one in all; a text over 5 MiB is several of about 256 KiB, each cut
    after a line end where there is one. ``name`` is what messages call the file. Raises InputError for
    plain text that is not UTF-8, and for lines of JSON without text unless they are to be skipped.
    """
    with open(file.path, "rb") as opened:
        if file.field is None:
            yield from _plain(file, opened, name)
        else:
            yield from _lines(file, file.field, opened, BadLines(name), skip_bad, log)


def _plain(file: TextFile, opened: BufferedIOBase, name: str) -> Iterator[Passage]:
    for start, content in _pieces(opened):
        text = _decode(content, name, start)
        if text.strip():
            yield Passage(file, start, len(content), 0, **measures(text, content))


def _lines(
    file: TextFile,
    field: str,
    opened: BufferedIOBase,
    bad: BadLines,
    skip_bad: bool,
    log: Callable[[str], None],
) -> Iterator[Passage]:
    for number, (start, line) in enumerate(lines_of(opened), 1):
        if line is not None and not line.strip():
            continue
        bad.total += 1
        try:
            if line is None:
                raise BadLine("has over 64 MiB")
            text = text_of_line(line, field)
        except BadLine as error:
            bad.add(number, str(error))
            continue
        skip = 0
        for piece, content in _pieces_of_text(text):
            if piece.strip():
                yield Passage(file, start, len(line), skip, **measures(piece, content))
            skip += len(piece)
    bad.settle(skip_bad, log)


def _pieces_of_text(text: str) -> Iterator[tuple[str, bytes]]:
    for _, content in _pieces(BytesIO(text.encode())):
        yield content.decode(), content


def _pieces(opened: BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    """Where each piece of a text starts, and the piece; one only, if the text is not long."""
    size = opened.seek(0, 2)
    pieces = size // PIECE_BYTES if size > LONG_BYTES else 1
    start = 0
    for k in range(1, pieces + 1):
        opened.seek(start)
        content = opened.read(size * k // pieces - start)
        if k < pieces:
            content = content[: _last_cut(content)]
        yield start, content
        start += len(content)


def _last_cut(content: bytes) -> int:
    """Where to cut: after the last line end, else before the last character, which may be half read."""
    line_end = content.rfind(b"\n")
    if line_end >= 0:
        return line_end + 1
    start = max(len(content) - 1, 0)
    while start > max(len(content) - 4, 0) and content[start] & 0xC0 == 0x80:  # inside a character
        start -= 1
    return start


def _decode(content: bytes, name: str, start: int) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte, offset = content[error.start], start + error.start
        raise InputError(
            f"{name}: byte 0x{byte:02x} at offset {offset} is not UTF-8; convert the file first"
        ) from None
