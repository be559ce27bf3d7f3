"""Pictures of vectors: data beside samples, latents, log-densities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.axes
import matplotlib.figure
import numpy as np

COLUMNS = 4  # In a pair plot; more make panels too small to read.
_LETTERS = 14
_BINS = 30
_DATA, _MODEL = "C0", "C1"  # The same in all pictures.


def pair_plots(data: np.ndarray, samples: np.ndarray, columns: Sequence[str]) -> list[matplotlib.figure.Figure]:
    """A figure of data and one of samples: the histogram of each column on the diagonal, each pair of columns below it.

    A column has one axis in both figures, from the 0.5 % quantile of both together to the 99.5 % quantile, and its
    histograms have one height.

    Args:
      data: `[n, size]`.
      samples: `[n, size]`.
      columns: the names of the columns; the first `COLUMNS` are drawn.
    """
    size = min(len(columns), COLUMNS)
    limits = [_limits(np.concatenate([data[:, i], samples[:, i]]), 0.005) for i in range(size)]
    histograms = [
        [np.histogram(rows[:, i], _BINS, limits[i])[0] / len(rows) for i in range(size)] for rows in (data, samples)
    ]
    heights = 1.05 * np.max(histograms, axis=(0, 2))
    figures = []
    for rows, shares, color in zip((data, samples), histograms, (_DATA, _MODEL), strict=True):
        figure = matplotlib.figure.Figure(figsize=(1 + 1.3 * size, 1 + 1.3 * size), layout="constrained")
        axes = figure.subplots(size, size, squeeze=False)
        for i in range(size):
            for j in range(size):
                _panel(axes[i, j], rows, shares, limits, heights, color, i, j)
            axes[i, 0].set_ylabel(_short(columns[i]) if i else "share", parse_math=False)
            axes[-1, i].set_xlabel(_short(columns[i]), parse_math=False)
        figure.align_labels()
        figures.append(figure)
    return figures


def _panel(
    axes: matplotlib.axes.Axes,
    rows: np.ndarray,
    shares: Sequence[np.ndarray],
    limits: Sequence[tuple[float, float]],
    heights: np.ndarray,
    color: str,
    i: int,
    j: int,
) -> None:
    if j > i:
        axes.axis("off")
        return
    axes.set_xlim(limits[j])
    if i == j:
        axes.stairs(shares[i], np.linspace(*limits[i], _BINS + 1), fill=True, color=color)
        axes.set_ylim(0, heights[i])
    else:
        axes.scatter(rows[:, j], rows[:, i], s=4, alpha=0.3, linewidths=0, color=color)
        axes.set_ylim(limits[i])
    axes.tick_params(labelbottom=i == len(limits) - 1, labelleft=j == 0, labelsize=8)
    axes.tick_params(axis="x", labelrotation=45)
    axes.locator_params(nbins=3, steps=[1, 2, 5, 10])
    axes.ticklabel_format(scilimits=(-3, 4))


def transform_histogram(u: np.ndarray, bins: int = 20) -> matplotlib.figure.Figure:
    """The histogram of probability integral transforms, beside the band in which uniform numbers would lie.

    The band is two standard deviations of a bin's share of n independent uniform numbers, sqrt((1/k)(1 - 1/k)/n).

    Args:
      u: numbers between 0 and 1, of any shape.
      bins: k.
    """
    figure = matplotlib.figure.Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    shares, edges = np.histogram(u, bins, (0, 1))
    deviation = math.sqrt((1 - 1 / bins) / bins / u.size)
    axes.stairs(shares / u.size, edges, fill=True, color=_DATA, label="test data")
    axes.axhspan(1 / bins - 2 * deviation, 1 / bins + 2 * deviation, color="0.6", alpha=0.6, label="uniform")
    axes.set(xlabel="probability integral transform of a latent's entry", ylabel="share", xlim=(0, 1))
    axes.legend(loc="lower center")
    return figure


def log_prob_histogram(train: np.ndarray, test: np.ndarray) -> matplotlib.figure.Figure:
    """The histograms of log-densities in nats, finite ones, on one scale from their 0.5 % quantile up."""
    figure = matplotlib.figure.Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    low, high = _limits(np.concatenate([train, test]), 0.005)[0], max(train.max(), test.max())
    for name, log_probs, color, line in (("train", train, _DATA, "-"), ("test", test, _MODEL, "--")):
        shares, edges = np.histogram(log_probs, 40, (low, max(high, low + 1e-6)))
        axes.stairs(shares / len(log_probs), edges, color=color, linestyle=line, label=name)
        axes.axvline(np.mean(log_probs), color=color, linestyle=line, linewidth=0.8)
    axes.set(xlabel="log p(x), nats", ylabel="share")
    axes.legend(loc="upper left")
    return figure


def _limits(values: np.ndarray, tail: float) -> tuple[float, float]:
    """The range without the tails, which is never empty."""
    low, high = np.quantile(values, [tail, 1 - tail])
    margin = 0.02 * (high - low) or 0.5
    return float(low - margin), float(high + margin)


def _short(name: str) -> str:
    """A name that fits beside a panel."""
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
