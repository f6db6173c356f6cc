"""Damage to files: what disks, copies and editors do by accident, and what somebody could do on purpose.

Every mutation takes the content of a file and a random generator, and returns the content of the damaged
file. It may give back what it was given; whoever counts looks at the result, not at the name.
"""

import argparse
import json
import struct
from collections.abc import Callable
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random], bytes]
DEEP = 20_000  # levels of nesting; the interpreter's own limit is 1,000
LENGTH_BYTES = 8  # a safetensors file starts with the length of its JSON, little-endian


def place(content: bytes, random: Random) -> int:
    """Anywhere, or near the start, where headers are."""
    end = len(content) if random.random() < 0.6 else min(len(content), 64)
    return random.randrange(end) if end else 0


def flip_a_bit(content: bytes, random: Random) -> bytes:
    at = place(content, random)
    return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]


def flip_bits(content: bytes, random: Random) -> bytes:
    for _ in range(random.randrange(2, 30)):
        content = flip_a_bit(content, random)
    return content


def overwrite(content: bytes, random: Random) -> bytes:
    at, size = place(content, random), random.randrange(1, 40)
    noise = random.randbytes(size) if random.random() < 0.5 else bytes(size)
    return content[:at] + noise[: len(content) - at] + content[at + size :]


def cut_out(content: bytes, random: Random) -> bytes:
    at = place(content, random)
    return content[:at] + content[at + random.randrange(1, 40) :]


def insert(content: bytes, random: Random) -> bytes:
    at = place(content, random)
    return content[:at] + random.randbytes(random.randrange(1, 40)) + content[at:]


def repeat_a_part(content: bytes, random: Random) -> bytes:
    at, size = place(content, random), random.randrange(1, 200)
    return content[: at + size] + content[at:]


def truncate(content: bytes, random: Random) -> bytes:
    return content[: place(content, random)]


def append(content: bytes, random: Random) -> bytes:
    return content + random.choice([b"\0", b"\n", b" ", b"{}", random.randbytes(20), content])


def empty(content: bytes, random: Random) -> bytes:
    return b""


BYTES: list[Mutation] = [
    flip_a_bit,
    flip_bits,
    overwrite,
    cut_out,
    insert,
    repeat_a_part,
    truncate,
    append,
    empty,
]

CONFUSING: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    "", "4", "softmax", "\x00", "\ud800", "../../etc/passwd", [], [0], {}, {"a": 1}, [[[[]]]],
]  # fmt: skip


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Every place of a JSON value as (container, key)."""
    pairs = []
    todo = [value]
    while todo:
        here = todo.pop()
        keys = here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        for key in keys:
            pairs.append((here, key))
            todo.append(here[key])
    return pairs


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def confuse_a_type(content: bytes, random: Random) -> bytes:
    value = json.loads(content)
    container, key = random.choice(spots(value))
    container[key] = random.choice(CONFUSING)
    return dumped(value)


def drop_a_key(content: bytes, random: Random) -> bytes:
    value = json.loads(content)
    container, key = random.choice(spots(value))
    del container[key]
    return dumped(value)


def swap_two_values(content: bytes, random: Random) -> bytes:
    value = json.loads(content)
    (a, i), (b, j) = random.choices(spots(value), k=2)
    a[i], b[j] = (None, None) if contains(a[i], b) or contains(b[j], a) else (b[j], a[i])
    return dumped(value)


def contains(outer: Any, inner: Any) -> bool:
    """Whether a container is inside a value: a swap would then make a circle."""
    return outer is inner or any(container[key] is inner for container, key in spots(outer))


def add_a_key(content: bytes, random: Random) -> bytes:
    value = json.loads(content)
    value[random.choice(["colour", "", "__class__", "self", "\ud800"])] = random.choice(CONFUSING)
    return dumped(value)


def nudge_a_number(content: bytes, random: Random) -> bytes:
    """Off by one, doubled, halved: a number that is still plausible."""
    value = json.loads(content)
    numbers = [(c, k) for c, k in spots(value) if isinstance(c[k], int | float)]
    if not numbers:
        return content
    container, key = random.choice(numbers)
    old = container[key]
    container[key] = random.choice([not old, old + 1, old - 1, old * 2, old / 2, old // 2, float(old)])
    return dumped(value)


def repeat_a_key(content: bytes, random: Random) -> bytes:
    """The same key twice, which JSON allows and readers understand differently."""
    value = json.loads(content)
    key = random.choice(list(value))
    other = json.dumps(random.choice([*CONFUSING, *value.values()]))
    extra = f"{json.dumps(key)}: {other}"
    inside = content.strip()[1:-1].decode()
    return ("{" + random.choice([f"{extra}, {inside}", f"{inside}, {extra}"]) + "}").encode()


def nest_deeply(content: bytes, random: Random) -> bytes:
    value = json.loads(content)
    container, key = random.choice(spots(value))
    container[key] = "@deep@"
    opening, closing = random.choice([("[", "]"), ('{"a":', "}")])
    return dumped(value).replace(b'"@deep@"', (opening * DEEP + "1" + closing * DEEP).encode(), 1)


def write_otherwise(content: bytes, random: Random) -> bytes:
    """The same JSON in another spelling or encoding; or only its outermost value in a list."""
    text = content.decode()
    return random.choice(
        [
            text.encode("utf-16"),
            b"\xef\xbb\xbf" + content,
            f"[{text}]".encode(),
            json.dumps(text).encode(),
            json.dumps(json.loads(text), indent=1).encode(),
            text.replace(" ", "\N{NO-BREAK SPACE}").encode(),
            b"\x80\x04]\x94." + content,  # the opening of a pickle
        ]
    )


JSON: list[Mutation] = [
    confuse_a_type,
    drop_a_key,
    swap_two_values,
    add_a_key,
    nudge_a_number,
    repeat_a_key,
    nest_deeply,
    write_otherwise,
]


def on_one_line(mutation: Mutation) -> Mutation:
    """The same damage to one line of a file whose lines are JSON."""

    def mutate(content: bytes, random: Random) -> bytes:
        lines = content.splitlines()
        at = random.randrange(len(lines))
        lines[at] = mutation(lines[at], random)
        return b"\n".join(lines) + b"\n"

    mutate.__name__ = f"{mutation.__name__}_of_one_line"
    return mutate


JSON_LINES = [on_one_line(mutation) for mutation in JSON]


def parts(content: bytes) -> tuple[bytes, bytes]:
    """JSON header and numbers of a whole safetensors file."""
    (length,) = struct.unpack("<Q", content[:LENGTH_BYTES])
    return content[LENGTH_BYTES:][:length], content[LENGTH_BYTES + length :]


def joined(header: bytes, numbers: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + numbers


def from_the_command_line() -> argparse.Namespace:
    """Which damage to make."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=0, help="number of the first damage")
    parser.add_argument("--count", type=int, default=1000, help="how many")
    parser.add_argument("--everywhere", action="store_true", help="then each byte in turn")
    return parser.parse_args()
