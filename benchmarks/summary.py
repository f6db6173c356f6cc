"""The table of the README, made from the committed records; a test compares the two.

python -m benchmarks.summary
"""

import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import generation, quality, step
from benchmarks.measure import ROOT
from benchmarks.ways import LMCORE, REFERENCE

FOLDER = ROOT / "book" / "records" / "benchmarks"


def load(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def markdown(folder: Path = FOLDER) -> str:
    """One row per question: the reference way, lmcore, and how they compare."""
    rows = [*_step_rows(load("step", folder)), _generation_row(load("generation", folder))]
    rows.append(_quality_row(load("quality", folder)))
    head = ["| two cores, no GPU | reference way | lmcore | |", "|---|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def _step_rows(record: dict[str, Any]) -> list[list[str]]:
    slow, fast = (step.speed(record, way) for way in (REFERENCE, LMCORE))
    peaks = [record["peak_bytes"][way] / 1e6 for way in (REFERENCE, LMCORE)]
    return [
        ["training, predictions/s", f"{slow:,.0f}", f"{fast:,.0f}", f"{fast / slow:.1f} times as fast"],
        ["training, peak memory", *(f"{peak:,.0f} MB" for peak in peaks), f"{peaks[1] / peaks[0]:.0%}"],
    ]


def _generation_row(record: dict[str, Any]) -> list[str]:
    (entry,) = (entry for entry in record["lengths"] if entry["new_tokens"] == 256)
    slow, fast = (256 / median(entry["seconds"][way]) for way in (generation.RERUN, generation.CARRIED))
    return [
        "writing 256 tokens, tokens/s",
        f"{slow:,.0f}",
        f"{fast:,.0f}",
        f"{fast / slow:.0f} times as fast",
    ]


def _quality_row(record: dict[str, Any]) -> list[str]:
    goal, reached = quality.find(record, quality.PLAIN, REFERENCE)[0], quality.first_to_reach(record)
    if reached is None:
        raise ValueError(f"no run reached perplexity {goal['perplexity']:.1f}")
    return [
        f"to perplexity {goal['perplexity']:.0f} on held-out sentences",
        f"{goal['seconds']:,.0f} s",
        f"{reached['seconds']:,.0f} s",
        f"{goal['seconds'] / reached['seconds']:.0f} times sooner",
    ]


if __name__ == "__main__":
    print(markdown())
