"""Token ids as one flat array, in memory or in a file that is mapped into it.

A corpus is encoded once, on all cores, into a file named after a hash of the corpus and the tokenizer.
Pages of a mapped file count as this process's memory once they have been touched, so they are given back
as soon as a few hundred rows have been read: memory does not grow with the corpus.

A killed process may leave a file that ends in ``.part``; it is never read and can be deleted.
"""

import copy
import hashlib
import json
import mmap
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tokenizers
import torch
from jaxtyping import Int
from torch import Tensor

from lmcore.errors import InputError
from lmcore.tokenizer import Tokenizer

FORMAT = 1  # goes up when the layout of the file changes, or how texts are cut and encoded
HEADER_BYTES = 4096  # one line of JSON and blanks, then the ids, then the starts
START_BYTES = 8
BLOCK = 2**18  # ids at a time in passes over everything
ROWS_UNTIL_RELEASE = 256  # a touched page brings up to 64 KiB along: 16 MiB
UINT16_IDS = 2**16
ID_TYPES = ("uint16", "uint32")


class Tokens(Sequence[np.ndarray]):
    """Documents (or sentences) of token ids: ``tokens[i]`` is ``ids[starts[i] : starts[i + 1]]``.

    ``ids`` (N,) are int32 in memory, uint16 or uint32 in a file; ``starts`` (n + 1,) int64.
    """

    def __init__(self, ids: np.ndarray, starts: np.ndarray, mapping: mmap.mmap | None = None):
        self.ids, self.starts, self._mapping = ids, starts, mapping
        signed = {"uint16": np.int16, "uint32": np.int32}.get(ids.dtype.name, ids.dtype)
        self._flat = torch.from_numpy(ids.view(signed))  # torch does not index by unsigned types everywhere
        self._rows_since_release = 0

    @classmethod
    def of(cls, documents: Iterable[np.ndarray]) -> "Tokens":
        """The arrays of `Tokenizer.encode_documents` put together; a Tokens comes back as it is."""
        if isinstance(documents, Tokens):
            return documents
        documents = list(documents)
        starts = np.cumsum([0, *map(len, documents)], dtype=np.int64)
        return cls(np.concatenate([np.empty(0, np.int32), *documents], dtype=np.int32), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start, stop = self.starts[index % len(self) :][:2]
        return self.ids[start:stop]

    def to(self, device: torch.device) -> "Tokens":
        """With the ids on a CUDA device, if they take at most a quarter of its free memory; else self."""
        if device.type != "cuda" or self._flat.nbytes > torch.cuda.mem_get_info(device)[0] // 4:
            return self
        moved = copy.copy(self)
        moved._flat = self._flat.to(device)
        self.release()
        return moved

    def gather(self, places: Int[np.ndarray, "B T"], pad_id: int) -> Int[Tensor, "B T"]:
        """int64 ids at places of the flat array, ``pad_id`` where a place is negative.

        On the device of the ids, without waiting for it.
        """
        index = torch.from_numpy(places)
        if self._flat.is_cuda:
            index = index.pin_memory().to(self._flat.device, non_blocking=True)
        ids = self._flat[index.clamp(min=0)].long()
        if self._flat.dtype == torch.int16:
            ids &= UINT16_IDS - 1
        self._rows_since_release += len(places)
        if self._rows_since_release >= ROWS_UNTIL_RELEASE:
            self.release()
        return ids.masked_fill_(index < 0, pad_id)

    def count_predicted(self, vocab_size: int) -> Int[np.ndarray, " V"]:
        """How often each token comes, the first of every document not counted: nobody predicts it.

        Raises InputError if an id is outside the vocabulary.
        """
        counts = np.zeros(vocab_size, dtype=np.int64)
        for start in range(0, len(self.ids), BLOCK):
            block = self.ids[start : start + BLOCK]
            if block.max() >= vocab_size:
                raise InputError(f"token {block.max()} is outside vocab_size {vocab_size}")
            counts += np.bincount(block, minlength=vocab_size)
            left, right = np.searchsorted(self.starts, [start, start + len(block)])
            first = np.unique(self.starts[left:right])  # an empty document starts where the next one does
            counts -= np.bincount(block[first - start], minlength=vocab_size)
            self.release()
        return counts

    def release(self) -> None:
        """Give the pages of the file back to the system, which keeps them cached while it has room."""
        self._rows_since_release = 0
        if self._mapping is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            self._mapping.madvise(mmap.MADV_DONTNEED)


def token_file(
    tokenizer: Tokenizer,
    texts: Iterable[str],
    about: dict[str, str],
    folder: str | Path,
    log: Callable[[str], None] | None = None,
) -> Tokens:
    """The texts' ids, ``<bos> tokens <eos>`` each, from a file in ``folder`` that is written if missing.

    ``about`` identifies the texts (checksum of the corpus, part, unit): the file is found again by it
    and by the tokenizer, and then the texts are not looked at. The file appears under its name only
    when it is whole; several processes may prepare the same one. ``log`` is told where it is. Raises
    InputError if a file that was found is damaged.
    """
    known = {"format": FORMAT, "about": about, "tokenizers": tokenizers.__version__}
    identity = json.dumps({**known, "tokenizer": tokenizer.to_json()}, sort_keys=True)
    known["key"] = hashlib.sha256(identity.encode()).hexdigest()
    path = Path(folder) / f"{known['key'][:32]}.tokens"
    before, how = time.perf_counter(), "found"
    if not path.exists():
        _write(path, known, tokenizer, texts)
        how = f"written in {time.perf_counter() - before:.1f} s"
    tokens = _open(path, known["key"])
    if log is not None:
        log(f"token ids: {len(tokens.ids):,} in {path} ({how})")
    return tokens


def _write(path: Path, known: dict[str, Any], tokenizer: Tokenizer, texts: Iterable[str]) -> None:
    """Write under another name, then rename: whoever finds the file finds all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}.", suffix=".part")
    try:
        with open(descriptor, "w+b") as file, tempfile.TemporaryFile(dir=path.parent) as starts:
            file.seek(HEADER_BYTES)
            sizes = _write_ids(file, starts, tokenizer, texts)
            file.write(bytes(-file.tell() % START_BYTES))
            starts.seek(0)
            for block in _blocks(starts):
                file.write(block)
            header = {**known, **sizes, "sha256": _sha256(file)}
            file.seek(0)
            file.write(json.dumps(header).encode().ljust(HEADER_BYTES - 1) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # also when interrupted from the keyboard
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _write_ids(
    file: BinaryIO, starts: BinaryIO, tokenizer: Tokenizer, texts: Iterable[str]
) -> dict[str, int | str]:
    """Write ids and starts as they come; returns what the header says of them."""
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= UINT16_IDS else np.uint32)
    stop, num_documents = 0, 0
    starts.write(np.int64(0).tobytes())
    for group in tokenizer.encode_groups(texts):
        ids = np.concatenate(group)
        if ids.max() >= tokenizer.vocab_size:  # a published tokenizer with gaps
            raise InputError(f"token {ids.max()} is outside vocab_size {tokenizer.vocab_size}")
        file.write(ids.astype(dtype).tobytes())
        stops = stop + np.cumsum([len(document) for document in group], dtype=np.int64)
        starts.write(stops.tobytes())
        stop, num_documents = int(stops[-1]), num_documents + len(group)
    return {"dtype": dtype.name, "num_tokens": stop, "num_documents": num_documents}


def _open(path: Path, key: str) -> Tokens:
    with open(path, "rb") as file:
        header = _read_header(file, path)
        if header["key"] != key:
            raise _unusable(path, f"has key {header['key']}, but {key} was expected")
        dtype, num_tokens, num_starts = (
            np.dtype(header["dtype"]),
            header["num_tokens"],
            header["num_documents"] + 1,
        )
        offset = HEADER_BYTES + dtype.itemsize * num_tokens
        offset += -offset % START_BYTES
        size, expected = os.fstat(file.fileno()).st_size, offset + START_BYTES * num_starts
        if size != expected:
            raise _unusable(path, f"has {size:,} bytes, but {expected:,} were written")
        found = _sha256(file)
        if found != header["sha256"]:
            raise _unusable(path, f"has SHA-256 {found}, but {header['sha256']} was written")
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # torch wants to be able to write
    ids = np.frombuffer(mapping, dtype, num_tokens, HEADER_BYTES)
    return Tokens(ids, np.frombuffer(mapping, np.int64, num_starts, offset), mapping)


def _read_header(file: BinaryIO, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(file.read(HEADER_BYTES))
        counts = header["num_tokens"], header["num_documents"]
        if header["dtype"] not in ID_TYPES or not all(type(n) is int and n >= 0 for n in counts):
            raise ValueError
        header["key"], header["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _unusable(path, "is not a token file") from None
    return header


def _unusable(path: Path, reason: str) -> InputError:
    return InputError(f"{path} {reason}; delete it and run again")


def _sha256(file: BinaryIO) -> str:
    """Of everything behind the header."""
    digest = hashlib.sha256()
    file.seek(HEADER_BYTES)
    for block in _blocks(file):
        digest.update(block)
    return digest.hexdigest()


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file; plain reads, because mapped pages would count as memory of this process."""
    while block := file.read(BLOCK):
        yield block
