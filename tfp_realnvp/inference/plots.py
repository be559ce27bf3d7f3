"""Pictures of calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfp_realnvp.extras import extra
from tfp_realnvp.inference.calibration import Calibration

if TYPE_CHECKING:
    import matplotlib.figure

_COLUMNS = 4


def plot_ranks(calibration: Calibration) -> matplotlib.figure.Figure:
    """The histogram of the ranks of each statistic, beside the band of uniform ranks.

    The band is two standard deviations of a bin's share of n ranks, `sqrt((1/k)(1 - 1/k)/n)`. A U shape
    indicates a posterior that is too narrow, a hump one that is too wide, a slope one that is biased.

    Args:
      calibration: from `rank_statistics`, `expected_coverage` or `tarp`.

    Raises:
      MissingExtraError: without Matplotlib.

    ```python
    ranks = np.random.default_rng(0).integers(0, 100, [200, 2])
    figure = nvp.inference.plot_ranks(nvp.inference.Calibration(ranks, 99, ("loc", "scale")))
    figure.savefig("ranks.png")
    ```
    """
    with extra("plots"):
        import matplotlib.figure
    shares, bins = calibration.histogram(), calibration.bins
    columns = min(_COLUMNS, shares.shape[1])
    lines = -(-shares.shape[1] // columns)
    figure = matplotlib.figure.Figure(figsize=(2.4 * columns + 0.6, 1.9 * lines + 0.4), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    error = 2 * np.sqrt((1 - 1 / bins) / bins / len(calibration.ranks))
    edges = np.linspace(0, 1, bins + 1)
    for axes, name, part in zip(panels, calibration.names, shares.T):
        axes.stairs(part, edges, fill=True)
        axes.fill_between([0, 1], 1 / bins - error, 1 / bins + error, color="0.5", alpha=0.4, linewidth=0)
        axes.set_title(name, fontsize=9, parse_math=False)
        axes.set_xlabel("rank / samples")
    for axes in panels[shares.shape[1] :]:
        axes.axis("off")
    panels[0].set_ylabel("share of pairs")
    return figure


def plot_coverage(calibration: Calibration) -> matplotlib.figure.Figure:
    """The share of pairs within the credible region of each level, beside the diagonal and its band.

    The band is two standard errors, `2 sqrt(level (1 - level) / n)`. A curve of `expected_coverage` below the diagonal
    indicates a posterior that is too narrow, above it one that is too wide.

    Args:
      calibration: from `expected_coverage`, `tarp` or `rank_statistics`.

    Raises:
      MissingExtraError: without Matplotlib.

    ```python
    ranks = np.random.default_rng(0).integers(0, 100, [200, 1])
    figure = nvp.inference.plot_coverage(nvp.inference.Calibration(ranks, 99, ("density",)))
    figure.savefig("coverage.png")
    ```
    """
    with extra("plots"):
        import matplotlib.figure
    figure = matplotlib.figure.Figure(figsize=(3.6, 3.4), layout="constrained")
    axes = figure.subplots()
    levels = np.linspace(0, 1, 101)
    error = 2 * np.sqrt(levels * (1 - levels) / len(calibration.ranks))
    axes.fill_between(levels, levels - error, levels + error, color="0.5", alpha=0.3, linewidth=0)
    axes.plot(levels, levels, color="0.4", linewidth=0.8)
    for name, part in zip(calibration.names, calibration.coverage(levels).T):
        axes.plot(levels, part, label=name)
    axes.set(xlabel="level of the credible region", ylabel="share of pairs in it", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    return figure
