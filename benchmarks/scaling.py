"""What a training step costs as one size grows: vocabulary, width, time steps, batch, layers.

Tokens are random and without padding, so that every position counts; the step is lmcore's. An exponent p
means cost c size^p, fitted over the range that is stated with it, and says nothing outside.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import repeat
from statistics import median
from typing import Any

import torch

import lmcore
from benchmarks import setting
from benchmarks.measure import exponent, in_child, interleave, new_record, peak_bytes, say, text_table
from benchmarks.setting import Sizes
from benchmarks.ways import Step, lmcore_step

BASE = Sizes(vocab_size=8192, emb_dim=128, num_layers=2, batch_size=32, seq_len=33)
VARIED = {
    "vocab_size": (2048, 4096, 8192, 16_384, 32_768),
    "emb_dim": (64, 128, 256, 512, 1024),
    "seq_len": (9, 17, 33, 65, 129),  # one more than the time steps
    "batch_size": (8, 16, 32, 64, 128),
    "num_layers": (1, 2, 4, 8, 16),
}
TINY = Sizes(vocab_size=50, emb_dim=8, num_layers=1, batch_size=2, seq_len=5)
QUICK_BASE = replace(TINY, vocab_size=8000)
QUICK_VARIED = {"vocab_size": (4000, 8000)}
ROUNDS, MEMORY_STEPS = 5, 3
PAD_ID = 0


def make_step(sizes: Sizes) -> Step:
    """A training step on one batch of random tokens."""
    model = setting.new_model(sizes, PAD_ID)
    rows = torch.randint(1, sizes.vocab_size, (sizes.batch_size, sizes.seq_len))
    batch = lmcore.Batch(rows[:, :-1], rows[:, 1:], carries_state=False)
    return lmcore_step(model, repeat(batch), PAD_ID)


def points(base: Sizes, varied: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, Sizes]]:
    """Every setting, one size at a time away from the base."""
    for name, values in varied.items():
        for value in values:
            yield name, replace(base, **{name: value})


def run(quick: bool) -> dict[str, Any]:
    base, varied = (QUICK_BASE, QUICK_VARIED) if quick else (BASE, VARIED)
    settings = sorted({sizes for _, sizes in points(base, varied)}, key=str)
    say(f"{len(settings)} settings, interleaved")
    steps = {sizes: make_step(sizes) for sizes in settings}
    seconds, _ = interleave(steps, rounds=2 if quick else ROUNDS)
    memory = {sizes: _memory(sizes) for sizes in settings}
    record = new_record("scaling", quick, base=asdict(base), varied=varied)
    record["points"] = [
        {"varied": name, "size": getattr(sizes, name), "seconds": seconds[sizes], "bytes": memory[sizes]}
        for name, sizes in points(base, varied)
    ]
    return record


def _memory(sizes: Sizes) -> int:
    """Peak bytes of a process that takes a few steps, above those it had before it made the model."""
    before, peak = in_child("benchmarks.scaling:take_steps", sizes=asdict(sizes))
    return peak - before


def take_steps(sizes: dict[str, int]) -> int:
    """The child process of `_memory`; returns its peak bytes before the model was made.

    A tiny step comes first, because torch loads parts of itself late.
    """
    make_step(TINY)()
    before = peak_bytes()
    step = make_step(Sizes(**sizes))
    for _ in range(MEMORY_STEPS):
        step()
    return before


def curve(record: dict[str, Any], name: str) -> tuple[list[int], list[float], list[int]]:
    """Sizes, median seconds and bytes along one varied size; time steps, not tokens, for ``seq_len``."""
    found = [point for point in record["points"] if point["varied"] == name]
    sizes = [point["size"] - (name == "seq_len") for point in found]
    return sizes, [median(point["seconds"]) for point in found], [point["bytes"] for point in found]


def table(record: dict[str, Any]) -> str:
    rows = []
    for name in record["settings"]["varied"]:
        sizes, seconds, sizes_in_bytes = curve(record, name)
        label = "time steps" if name == "seq_len" else name
        rows.append(
            [
                label,
                f"{sizes[0]:,}..{sizes[-1]:,}",
                " ".join(f"{s * 1e3:,.0f}" for s in seconds),
                f"{exponent(sizes, seconds):.2f}",
                " ".join(f"{b / 1e6:,.0f}" for b in sizes_in_bytes),
                f"{exponent(sizes, sizes_in_bytes):.2f}",
            ]
        )
    base = ", ".join(f"{name} {value:,}" for name, value in record["settings"]["base"].items())
    header = ["varied", "range", "ms per step", "exponent", "MB above start", "exponent"]
    return f"base: {base}\n{text_table(header, rows)}"
