"""Damaged snapshots: each must be refused, or give exactly the tensors and the position that were saved.

    python tests/fuzz/snapshots.py --count 5000 --everywhere

Every third one is signed again after the damage, as only somebody who means it can do. Then other content
is no accident; but it still must not run, hang, take the memory, or end in an error of another kind.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random

import torch
from guard import Guard, limit_memory, report
from mutations import BYTES, from_the_command_line
from tensor_files import TENSORS

from lmcore.snapshot import BLANK, DIGEST_AT, DIGEST_SIZE, Snapshot, read_snapshot, write_snapshot

ABOUT = {"step": 7, "epoch": 1, "batch": 3, "seconds": 1.5, "best": None, "lines": [1, 2]}


def tensors() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return {
        "model.embedding.weight": torch.randn(9, 4, generator=random),
        "model.bias": torch.randn(4, generator=random),
        "optimizer.step": torch.tensor(7.0),
        "random.cpu": torch.randint(0, 256, (40,), generator=random, dtype=torch.uint8),
        "state.0": torch.randn(2, 4, generator=random, dtype=torch.float64),
    }


def is_right(found: Snapshot) -> bool:
    expected = tensors()
    same = [torch.equal(found.tensors[name], expected[name]) for name in expected if name in found.tensors]
    kinds = [found.tensors[name].dtype == expected[name].dtype for name in found.tensors]
    return (
        set(found.tensors) == set(expected) and all(same + kinds) and {**ABOUT, **found.about} == found.about
    )


def signed_again(content: bytes) -> bytes:
    """With the checksum that belongs to the damaged content."""
    before, after = content[:DIGEST_AT], content[DIGEST_AT + DIGEST_SIZE :]
    return before + hashlib.sha256(before + BLANK + after).hexdigest().encode() + after


def random_damage(whole: bytes, numbers: range) -> Iterator[tuple[str, bytes, bool]]:
    """A name, the damaged file, and whether it was signed again."""
    for i in numbers:
        random = Random(i)
        mutation = random.choice([*BYTES, *TENSORS])
        content = mutation(whole, random)
        if i % 3 == 0:
            yield f"{i} {mutation.__name__}, signed again", signed_again(content), True
        else:
            yield f"{i} {mutation.__name__}", content, False


def damage_everywhere(whole: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """Cut off before each byte, and with each byte changed."""
    for at in range(len(whole)):
        yield f"cut off at {at}", whole[:at], False
        yield f"changed at {at}", whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :], False


def main(numbers: range, everywhere: bool) -> Guard:
    guard = Guard()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "step-1.safetensors")
        write_snapshot(path, tensors(), ABOUT)
        whole = path.read_bytes()
        thorough = damage_everywhere(whole) if everywhere else ()
        for name, content, was_signed in chain(random_damage(whole, numbers), thorough):
            path.write_bytes(content)
            guard.read(
                name, lambda: read_snapshot(path), lambda found, signed=was_signed: signed or is_right(found)
            )
    return guard


if __name__ == "__main__":
    limit_memory()
    options = from_the_command_line()
    report(main(range(options.first, options.first + options.count), options.everywhere))
