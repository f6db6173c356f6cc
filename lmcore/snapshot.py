"""A snapshot: one file with everything that a training run needs to go on, which knows when it is damaged.

The file is safetensors: tensors, and in its metadata ``about``, a JSON text, and ``sha256``, which is over
all other bytes of the file. It stands at a fixed place at the start, so that it is checked before anything
else is understood: a file cut or changed at any byte is refused. Nothing is unpickled.

Left out: machines that store the high byte first.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from lmcore.durable import replace_file
from lmcore.errors import InputError

FORMAT = 1  # goes up when what a snapshot holds changes
START = b'{"__metadata__":{"sha256":"'  # of the JSON header, which follows its length in 8 bytes
DIGEST_AT, DIGEST_SIZE = 8 + len(START), 64
BLANK = b"0" * DIGEST_SIZE  # stands for the checksum while it is computed
BLOCK = 2**20
TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class Snapshot(NamedTuple):
    """What a file holds: ``about`` as JSON has it, tensors by name, on the CPU."""

    about: dict[str, Any]
    tensors: dict[str, Tensor]


def write_snapshot(path: str | Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> str:
    """Write the file, whole or not at all, and flush it to the disk; returns its SHA-256 field.

    Raises InputError for a tensor of a kind that is not stored, OSError if it cannot be written.
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # so each is aligned
    payloads = [_bytes_of(name, tensors[name]) for name in names]
    header = _header(names, tensors, {"format": FORMAT, **about})
    digest = hashlib.sha256(header)
    for payload in payloads:
        digest.update(payload)
    signed = header[:DIGEST_AT] + digest.hexdigest().encode() + header[DIGEST_AT + DIGEST_SIZE :]

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            for part in (signed, *payloads):
                file.write(part)

    replace_file(path, write)
    return digest.hexdigest()


def _bytes_of(name: str, tensor: Tensor) -> memoryview:
    if tensor.dtype not in TYPES:
        raise InputError(f"{name} is {tensor.dtype}; a snapshot can hold {', '.join(TYPES.values())}")
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy())


def _header(names: list[str], tensors: dict[str, Tensor], about: dict[str, Any]) -> bytes:
    """Length and JSON, with a blank for the checksum."""
    content: dict[str, Any] = {"__metadata__": {"sha256": BLANK.decode(), "about": json.dumps(about)}}
    stop = 0
    for name in names:
        start, stop = stop, stop + tensors[name].numel() * tensors[name].element_size()
        content[name] = {
            "dtype": TYPES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, stop],
        }
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def check_snapshot(path: str | Path) -> str:
    """The SHA-256 field of a file that is whole. Raises InputError for any other, OSError if unreadable."""
    with open(path, "rb") as file:
        head = file.read(DIGEST_AT + DIGEST_SIZE)
        if head[8:DIGEST_AT] != START or len(head) < DIGEST_AT + DIGEST_SIZE:
            raise InputError(f"{path} is not a snapshot, or its start is damaged")
        digest = hashlib.sha256(head[:DIGEST_AT] + BLANK)
        while block := file.read(BLOCK):
            digest.update(block)
    written = head[DIGEST_AT:].decode(errors="replace")
    if digest.hexdigest() != written:
        raise InputError(f"{path} is damaged: it has SHA-256 {digest.hexdigest()}, but {written} was written")
    return written


def read_about(path: str | Path) -> dict[str, Any]:
    """What `write_snapshot` got as ``about``. Raises InputError unless the file is whole."""
    check_snapshot(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            about = json.loads(file.metadata()["about"])
        found = about["format"]
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is not a snapshot: {_in_one_line(error)}") from None
    if found != FORMAT:
        raise InputError(f"{path} has format {found}, but this version of lmcore reads format {FORMAT}")
    return about


def read_snapshot(path: str | Path) -> Snapshot:
    """The whole file. Raises InputError unless it is whole, OSError if it cannot be read."""
    about = read_about(path)
    try:
        return Snapshot(about, load_file(str(path)))
    except SafetensorError as error:
        raise InputError(f"{path} is not a snapshot: {_in_one_line(error)}") from None


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())


def describe(state: Any, tensors: list[Tensor]) -> Any:
    """A nested state as JSON; its tensors are appended to ``tensors``, and the JSON holds their numbers.

    How a tensor lies in memory is written down as well: some kernels take another path, and so another
    rounding, for a view than for a copy. Raises InputError for what is no tensor, list, tuple or number.
    """
    if isinstance(state, Tensor):
        tensors.append(state)
        words = 64 // state.element_size()  # kernels look at addresses modulo 64 bytes
        layout = {"stride": list(state.stride()), "offset": state.storage_offset() % words}
        return {"tensor": len(tensors) - 1, **layout}
    if isinstance(state, list | tuple):
        kind = "tuple" if isinstance(state, tuple) else "list"
        return {kind: [describe(part, tensors) for part in state]}
    if state is None or isinstance(state, bool | int | float | str):
        return {"value": state}
    raise InputError(f"a state holds a {type(state).__name__}; it may hold tensors, lists, tuples, numbers")


def rebuild(description: Any, tensors: Iterator[Tensor], device: torch.device) -> Any:
    """The opposite of `describe`; ``tensors`` come in the order in which it found them."""
    if "tensor" in description:
        return _laid_out(next(tensors), description["stride"], description["offset"], device)
    if "value" in description:
        return description["value"]
    ((kind, parts),) = description.items()
    return {"list": list, "tuple": tuple}[kind](rebuild(part, tensors, device) for part in parts)


def _laid_out(values: Tensor, stride: list[int], offset: int, device: torch.device) -> Tensor:
    """A copy with the given strides, ``offset`` numbers behind an aligned address."""
    pairs = [(size, step) for size, step in zip(values.shape, stride, strict=True) if size > 1]
    if any(not step for _, step in pairs):  # one number seen several times: nothing that could be written to
        return values.to(device, copy=True)
    extent = 1 + sum((size - 1) * step for size, step in pairs) if values.numel() else 0
    room = torch.empty(offset + extent, dtype=values.dtype, device=device)
    return room.as_strided(values.shape, stride, offset).copy_(values)
