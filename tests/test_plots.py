"""Plots show the numbers of the record, with units, in the book's colours."""

import math

import matplotlib as mpl

mpl.use("Agg")  # no screen is needed

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from lmcore.plots import (
    COLOURS,
    plot_loss,
    plot_perplexity,
    plot_probabilities,
    reference_lines,
    smooth,
)
from lmcore.record import Run


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


@pytest.fixture
def run() -> Run:
    losses = [5.0, 4.0, 3.5, 3.0]
    return Run(
        settings={},
        environment={},
        steps=[{"step": i + 1, "loss": loss} for i, loss in enumerate(losses)],
        validation=[
            {"step": 0, "seconds": 0.0, "nats_per_token": 5.2, "perplexity": 181.3},
            {"step": 4, "seconds": 2.0, "nats_per_token": 3.1, "perplexity": 22.2},
        ],
    )


@pytest.mark.parametrize("window", [1, 2, 3, 7, 10, 50])
def test_smooth_is_the_mean_of_the_last_values(window):
    values = np.random.default_rng(0).normal(size=10)
    expected = [values[max(0, i + 1 - window) : i + 1].mean() for i in range(10)]
    np.testing.assert_allclose(smooth(list(values), window), expected, atol=1e-12)


def test_loss_curve_shows_every_step_and_every_validation(run, ax):
    assert plot_loss(run, ax, levels={"ln V": 6.0}) is ax
    raw, mean, validation, level = ax.get_lines()
    assert raw.get_xydata().tolist() == [[1, 5.0], [2, 4.0], [3, 3.5], [4, 3.0]]
    assert len(mean.get_xydata()) == 4
    assert validation.get_xydata().tolist() == [[0, 5.2], [4, 3.1]]
    assert list(level.get_ydata()) == [6.0, 6.0]
    assert [text.get_text() for text in ax.texts] == ["ln V"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "loss (nats/token)")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation"]
    assert to_hex(raw.get_color()) == to_hex(mean.get_color()) == COLOURS["elman"].lower()


def test_loss_curve_without_validation(run, ax):
    run.validation = []
    plot_loss(run, ax, model="gru")
    assert len(ax.get_lines()) == 2
    assert to_hex(ax.get_lines()[0].get_color()) == COLOURS["gru"].lower()


def test_perplexity_against_time_on_a_logarithmic_axis(run, ax):
    plot_perplexity(run, ax, levels={"unigram": math.log(100)})
    points, level = ax.get_lines()
    assert points.get_xydata().tolist() == [[0.0, 181.3], [2.0, 22.2]]
    assert level.get_ydata()[0] == pytest.approx(100)
    assert ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("training time (s)", "validation perplexity")


def test_probabilities_are_bars_with_the_first_on_top(ax):
    plot_probabilities([" law", "\n", "x"], [0.5, 0.3, 0.2], ax)
    assert [bar.get_width() for bar in ax.patches] == [0.5, 0.3, 0.2]
    assert [label.get_text() for label in ax.get_yticklabels()] == [" law", "\\n", "x"]
    bottom, top = ax.get_ylim()
    assert bottom > top
    assert ax.get_xlabel() == "probability"


def test_the_current_axes_are_the_default(run, ax):
    plt.sca(ax)
    assert plot_loss(run) is ax
    assert plot_perplexity(run) is ax
    ax.clear()
    assert plot_probabilities(["a"], [1.0]) is ax


def test_reference_lines_and_colours(ax):
    reference_lines(ax, {"a": 1.0, "b": 2.0})
    assert [line.get_ydata()[0] for line in ax.get_lines()] == [1.0, 2.0]
    assert len(set(COLOURS.values())) == len(COLOURS)
