"""Records in, Axes out: one look and one colour per model for the whole book.

Left out: saving, showing, sizes: they belong to the caller.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from lmcore.record import Run
from lmcore.runs.history import read_run

COLOURS = {  # from Okabe and Ito's palette, told apart by colour-blind readers
    "elman": "#0072B2",
    "gru": "#009E73",
    "lstm": "#D55E00",
    "mingru": "#56B4E9",
    "transformer": "#CC79A7",
    "n-gram": "#E69F00",
    "reference": "#7F7F7F",
}


def smooth(values: Sequence[float], window: int) -> np.ndarray:
    """Mean of the last ``window`` values at each place (of fewer at the start)."""
    sums = np.cumsum(np.asarray(values, dtype=float))
    sums[window:] = sums[window:] - sums[:-window]
    counts = np.minimum(np.arange(1, len(sums) + 1), window)
    return sums / counts


def reference_lines(ax: Axes, levels: dict[str, float]) -> Axes:
    """Dashed horizontal lines with their names, for example {"ln V": 9.01}."""
    for name, level in levels.items():
        ax.axhline(level, color=COLOURS["reference"], linestyle="--", linewidth=1)
        ax.annotate(
            name,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 3),
            textcoords="offset points",
            ha="right",
            color=COLOURS["reference"],
            fontsize="small",
        )
    return ax


def plot_loss(
    run: Run, ax: Axes | None = None, *, model: str = "elman", levels: dict[str, float] | None = None
) -> Axes:
    """Training loss per step (thin), its running mean (thick), validation (dots), in nats/token.

    ``levels`` adds reference lines; give at least ln V, where an untrained model stands.
    """
    ax = ax or plt.gca()
    colour = COLOURS[model]
    steps = [entry["step"] for entry in run.steps]
    losses = [entry["loss"] for entry in run.steps]
    ax.plot(steps, losses, color=colour, alpha=0.25, linewidth=0.6)
    ax.plot(steps, smooth(losses, max(1, len(losses) // 40)), color=colour, label="training")
    if run.validation:
        points = [(entry["step"], entry["nats_per_token"]) for entry in run.validation]
        ax.plot(*zip(*points, strict=True), "o-", color="black", markersize=4, label="validation")
    ax.set(xlabel="step", ylabel="loss (nats/token)")
    ax.legend(frameon=False)
    return reference_lines(ax, levels or {})


def plot_run(folder: str | Path, ax: Axes | None = None, **options: Any) -> Axes:
    """`plot_loss` of what is in a run's folder by now, also while it is going; in the model's colour.

    ``options`` go to `plot_loss`. Raises InputError if the folder holds no run.
    """
    run = read_run(folder)
    name = run.settings.get("model", {}).get("cell", "transformer")
    return plot_loss(run, ax, model=name if name in COLOURS else "reference", **options)


def plot_perplexity(
    run: Run, ax: Axes | None = None, *, model: str = "elman", levels: dict[str, float] | None = None
) -> Axes:
    """Validation perplexity against training seconds, on a logarithmic axis.

    ``levels`` are in nats/token, as for `plot_loss`.
    """
    ax = ax or plt.gca()
    points = [(entry["seconds"], entry["perplexity"]) for entry in run.validation]
    ax.plot(*zip(*points, strict=True), "o-", color=COLOURS[model], markersize=4)
    ax.set(xlabel="training time (s)", ylabel="validation perplexity", yscale="log")
    return reference_lines(ax, {name: math.exp(nats) for name, nats in (levels or {}).items()})


def plot_probabilities(
    tokens: Sequence[str], probs: Sequence[float], ax: Axes | None = None, *, model: str = "elman"
) -> Axes:
    """Horizontal bars, the first on top: candidates for the next token."""
    ax = ax or plt.gca()
    places = range(len(tokens))
    ax.barh(places, probs, color=COLOURS[model])
    ax.set_yticks(places, [repr(token)[1:-1] for token in tokens])
    ax.invert_yaxis()
    ax.set(xlabel="probability")
    return ax
