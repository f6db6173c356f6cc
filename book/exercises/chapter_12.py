"""Chapter 12, scale."""

import hashlib
import itertools
import json
from collections.abc import Callable
from typing import Any

import torch

from lmcore_exercises.checking import NotYet, exercise, expect, expect_close, result, same


@exercise("12.1")
def file_bytes(answer: Callable[[int, int], int]) -> None:
    """Two bytes per id up to 65,536 tokens, four above."""
    for num_tokens, V in ((1000, 32_011), (3000, 128_000), (1000, 65_536), (1000, 65_537)):
        got = result(answer, num_tokens, V)
        per_id, other = (2, 4) if V <= 2**16 else (4, 2)
        mistakes = {
            f"with {V:,} tokens the ids go from 0 to {V - 1:,}. Is that last one a number of 16 bits?": other,
            "eight bytes are what PyTorch wants for the ids of a batch. The file has fewer.": 8,
            "that is a number of bits.": 8 * per_id,
            "there are no whole numbers of three bytes: ids have two or four.": 3,
            "one byte can tell only 256 tokens apart.": 1,
        }
        for message, bytes_each in mistakes.items():
            expect(not same(got, bytes_each * num_tokens), message)
        expect_close(got, per_id * num_tokens, f"for {num_tokens:,} tokens and V = {V:,} it is not {got}.")


@exercise("12.2")
def loss_factors(answer: Callable[[list[int]], list[float]]) -> None:
    """n N_r / N; the second case has a process without targets."""
    for counts in ([300, 100], [5, 0, 7, 8]):
        got = result(answer, list(counts))
        n, total = len(counts), sum(counts)
        mistakes = {
            "all the same: then a token among few others still counts for more.": [1] * n,
            "these make parts of the whole mean. But the processes' mean divides them by n.": [
                own / total for own in counts
            ],
            "n is right for nats that were divided by all targets. These were divided by their own.": [n] * n,
            "the wrong way round: whoever has more targets counts for more.": [
                total / (n * own) if own else 0 for own in counts
            ],
            "that turns the own mean into a total. Which mean is wanted in the end?": counts,
            "that is the mean of the totals. Which mean is wanted in the end?": [own / n for own in counts],
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        right = [n * own / total for own in counts]
        expect_close(got, right, f"for the numbers of targets {counts} these are not the factors.")


@exercise("12.3")
def is_whole(answer: Callable[[bytes], bool]) -> None:
    """Two files as they were written, and damage at the beginning, in the middle and at the end."""
    for body in (bytes(range(256)) * 40, b"other ids" * 600):
        content = _token_file(body)
        got = result(answer, content)
        expect(got in (True, False), "return True or False: compare the two checksums.")
        expect(
            got,
            "a whole file is called damaged. Is it the hexadecimal checksum, of what is behind the header?",
        )
        for place in (4096, 4096 + len(body) // 2, len(content) - 1):
            damaged = bytearray(content)
            damaged[place] ^= 1
            expect(not result(answer, bytes(damaged)), f"byte {place} was changed, and it went unnoticed.")
        expect(not result(answer, content[:-1]), "the last byte is missing, and it went unnoticed.")


def _token_file(body: bytes) -> bytes:
    header = json.dumps({"dtype": "uint16", "sha256": hashlib.sha256(body).hexdigest()})
    return header.encode().ljust(4095) + b"\n" + body


@exercise("12.4")
def advance(answer: Callable[..., tuple[float, Any]]) -> None:
    """Ten steps at once, and in parts: whatever the snapshot lacks is found by leaving it out."""
    whole, start, middle = _run(10), _run(0), _run(4)
    weight, _ = _pair(answer, 10)
    expect_close(weight, whole["weight"], "a run without a stop ends elsewhere. Leave its steps as they are.")
    _, snapshot = _pair(answer, 4)
    weight, _ = _pair(answer, 6, snapshot)
    for number in range(1, 5):
        for lost in itertools.combinations(middle, number):
            without = _run(6, middle | {name: start[name] for name in lost})["weight"]
            expect(not same(weight, without, 1e-9), f"lost on the way: {', '.join(lost)}.")
    expect_close(weight, whole["weight"], "a run that was stopped ends elsewhere.", 1e-9)
    again, later = _pair(answer, 6, snapshot)[0], _pair(answer, 3, snapshot)[1]
    expect(same(again, weight, 1e-9), "going on has changed the snapshot itself. Keep copies in it.")
    twice, _ = _pair(answer, 3, later)
    expect_close(
        twice, whole["weight"], "stopped twice, the run ends elsewhere. Count from its beginning.", 1e-9
    )


def _run(steps: int, begin: dict[str, Any] | None = None) -> dict[str, Any]:
    """The exercise's run, and all that it is made of after so many steps."""
    fresh = torch.Generator().manual_seed(0)
    known = begin or {"weight": 0.0, "velocity": 0.0, "step": 0, "noise": fresh.get_state()}
    weight, velocity, step = known["weight"], known["velocity"], known["step"]
    noise = torch.Generator()
    noise.set_state(known["noise"])
    for _ in range(steps):
        step += 1
        velocity = 0.9 * velocity + weight - 1 + torch.randn((), generator=noise).item()
        weight -= velocity / (10 + step)
    return {"weight": weight, "velocity": velocity, "step": step, "noise": noise.get_state()}


def _pair(answer: Callable, *arguments: Any) -> tuple[float, Any]:
    value = result(answer, *arguments)
    if not (isinstance(value, (tuple, list)) and len(value) == 2):
        raise NotYet("return two things: the weight, and one snapshot.")
    expect(value[1] is not None, "the snapshot is None: nothing is kept.")
    return value


@exercise("12.5")
def divided_speed_up(answer: Callable[[int, float, float, float], float]) -> None:
    """The passes and the update over n, and the whole ring."""
    for n, passes, update, turns in ((4, 0.08, 0.04, 0.005), (8, 0.03, 0.05, 0.002)):
        got = result(answer, n, passes, update, turns)
        work = passes + update
        mistakes = {
            "the update is divided now: each process does its part of it.": work
            / (passes / n + update + 2 * turns),
            "a third time round is not needed: the gradients' second way is saved.": work
            / (work / n + 3 * turns),
            "the new parameters have to travel, too.": work / (work / n + turns),
            "nothing travels there: every process needs all new parameters.": n,
            "the turns of the ring are not divided by n: they take as long as they take.": work
            / ((work + 2 * turns) / n),
            "that is a time. The speed-up is the time of one process divided by it.": work / n + 2 * turns,
            "upside down: more processes should give more than 1.": (work / n + 2 * turns) / work,
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, work / (work / n + 2 * turns), f"for n = {n} it is not {got}.")
