"""Damage to a safetensors file that knows its format: lies in the header, numbers moved or replaced."""

import json
import struct
from random import Random
from typing import Any

from mutations import DEEP, JSON, LENGTH_BYTES, Mutation, joined, parts

DTYPES = ["F64", "F32", "F16", "BF16", "I64", "I32", "U8", "BOOL", "F8_E4M3", "F128", "", 32, None]
SIZES = [0, 1, -1, 2, 3, 2**31, 2**63, 2**64 - 1, 10**30, 0.5, "2", None]
NOT_NUMBERS = [struct.pack("<f", number) for number in (float("nan"), float("inf"), float("-inf"))]


def lie_about_the_length(content: bytes, random: Random) -> bytes:
    length = len(parts(content)[0])
    near = [length + change for change in (-1, 1, -8, 8) if length + change >= 0]
    lie = random.choice([0, 1, 2, *near, len(content), 2**31, 2**40, 2**63, 2**64 - 1])
    return struct.pack("<Q", lie) + content[LENGTH_BYTES:]


def damage_the_header(content: bytes, random: Random) -> bytes:
    header, numbers = parts(content)
    return joined(random.choice(JSON)(header.strip(), random), numbers)


def nest_the_whole_header(content: bytes, random: Random) -> bytes:
    return joined(b"[" * DEEP + b"]" * DEEP, parts(content)[1])


def with_entries(content: bytes, change) -> bytes:
    """The file with its header changed in place by ``change(entries, names of tensors)``."""
    header, numbers = parts(content)
    entries = json.loads(header)
    change(entries, [name for name in entries if name != "__metadata__"])
    return joined(json.dumps(entries).encode(), numbers)


def change_a_field(content: bytes, random: Random) -> bytes:
    """One tensor's dtype, one of its sizes, the number of its dimensions, or where it lies."""

    def change(entries: dict[str, Any], names: list[str]) -> None:
        entry = entries[random.choice(names)]
        what = random.choice(["dtype", "size", "dimensions", "order", "offsets"])
        if what == "dtype":
            entry["dtype"] = random.choice(DTYPES)
        elif what == "size" and entry["shape"]:
            entry["shape"][random.randrange(len(entry["shape"]))] = random.choice(SIZES)
        elif what == "dimensions":
            entry["shape"] = random.choice([[], [1, *entry["shape"]], [*entry["shape"], 1], [[2]], 4, None])
        elif what == "order":
            entry["shape"].reverse()
        else:
            entry["data_offsets"][random.randrange(2)] = random.choice([*SIZES, 4, 8])

    return with_entries(content, change)


def swap_two_tensors(content: bytes, random: Random) -> bytes:
    """Their names, or where their numbers lie: of one size, the file stays valid."""

    def change(entries: dict[str, Any], names: list[str]) -> None:
        a, b = random.choices(names, k=2)
        if random.random() < 0.5:
            entries[a], entries[b] = entries[b], entries[a]
        else:
            first, second = entries[a]["data_offsets"], entries[b]["data_offsets"]
            entries[a]["data_offsets"], entries[b]["data_offsets"] = second, first

    return with_entries(content, change)


def rename_a_tensor(content: bytes, random: Random) -> bytes:
    def change(entries: dict[str, Any], names: list[str]) -> None:
        name = random.choice(names)
        other = random.choice(["", "weight", name.upper(), f"{name}.", f"layers.9.{name}", "\x00"])
        entries[other] = entries.pop(name)

    return with_entries(content, change)


def change_the_tensors(content: bytes, random: Random) -> bytes:
    """One left out, one more over the same numbers, one more of size 0; or odd metadata."""

    def change(entries: dict[str, Any], names: list[str]) -> None:
        name = random.choice(names)
        what = random.randrange(4)
        if what == 0:
            del entries[name]
        elif what == 1:
            entries["more"] = dict(entries[name])
        elif what == 2:
            entries["none"] = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        else:
            entries["__metadata__"] = random.choice([{"a": 1}, {"a": None}, [], "x", {"format": "np"}, None])

    return with_entries(content, change)


def change_numbers(content: bytes, random: Random) -> bytes:
    """Numbers that are none, or are others: signs, zeros, bytes in another order, all moved by one."""
    header, numbers = parts(content)
    at = 4 * random.randrange(len(numbers) // 4)
    old = numbers[at : at + 4]
    what = random.randrange(4)
    if what == 0:
        new = random.choice([*NOT_NUMBERS, bytes(4), old[::-1], struct.pack("<f", random.gauss(0, 1))])
        return joined(header, numbers[:at] + new + numbers[at + 4 :])
    if what == 1:
        return joined(header, numbers[4:] + numbers[:4])
    if what == 2:
        return joined(header, bytes(len(numbers)))
    return joined(header, numbers[:at] + bytes([old[0], old[1], old[2], old[3] ^ 0x80]) + numbers[at + 4 :])


TENSORS: list[Mutation] = [
    lie_about_the_length,
    damage_the_header,
    nest_the_whole_header,
    change_a_field,
    swap_two_tensors,
    rename_a_tensor,
    change_the_tensors,
    change_numbers,
]
