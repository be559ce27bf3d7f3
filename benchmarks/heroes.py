"""The first picture of README: data of the plane beside samples and the density of a flow that learned them.

    python -m benchmarks.heroes --output=docs/images/plane.png

A spline flow is trained on points of each density by the lines that README shows. All points are drawn in the same
axes. Each density has its own scale of colours, because the two are not compared and one peaks five times as high.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import keras
import matplotlib.figure
import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import toy2d

_SHOWN = 4_000  # Points of a panel.
_CELLS = 300


def define_flags() -> None:
    flags.DEFINE_list("targets", ["spirals", "checkerboard"], f"Some of {', '.join(toy2d.TARGETS)}.")
    flags.DEFINE_integer("rows", 20_000, "Points of the training data.", lower_bound=1)
    flags.DEFINE_integer("epochs", 100, "Passes over the data.", lower_bound=1)
    flags.DEFINE_string("output", "docs/images/plane.png", "File of the picture.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    keras.utils.set_random_seed(0)
    rows = []
    for target in values.targets:
        points = toy2d.TARGETS[target].sample(np.random.default_rng(0), values.rows).astype(np.float32)
        flow = train(points, values.epochs)
        print(f"{target}: {nvp.evaluate(flow, [points[:_SHOWN]])}", flush=True)
        density = flow.prob(tf.constant(toy2d.grid(_CELLS), tf.float32)).numpy().reshape([_CELLS, _CELLS])
        rows.append((points[:_SHOWN], flow.sample(_SHOWN, seed=1).numpy(), density))
    draw(rows, pathlib.Path(values.output))


def train(points: np.ndarray, epochs: int) -> nvp.FlowDistribution:
    """Trains a flow on the points, as README shows."""
    flow = nvp.standardized(nvp.nsf(event_shape=(2,), bins=16), points.mean(0), points.std(0))
    model = nvp.FlowModel(flow)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(points) // 500)))
    model.fit(points, batch_size=500, epochs=epochs, verbose=0)
    return flow


def draw(rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], path: pathlib.Path) -> None:
    """A row for each density: its data, the flow's samples, the flow's density."""
    figure = matplotlib.figure.Figure(figsize=(9.6, 3 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), 3, squeeze=False, sharex=True, sharey=True)
    for row, (points, samples, density) in zip(axes, rows):
        for axis, shown in zip(row, (points, samples)):
            axis.plot(*shown.T, ".", color="#3949ab", markersize=1.2)
        extent = (-toy2d.BOUND, toy2d.BOUND, -toy2d.BOUND, toy2d.BOUND)
        # The few cells above the last colour would make all others dark.
        highest = np.quantile(density, 0.995)
        image = row[2].imshow(density, vmin=0, vmax=highest, cmap="magma", origin="lower", extent=extent)
        figure.colorbar(image, ax=row[2], label="density", shrink=0.9, extend="max")
        row[0].set_ylabel("column 2")
        for axis in row:
            axis.set(aspect="equal", xlim=extent[:2], ylim=extent[2:])
    for axis, title in zip(axes[0], ("data", "samples of the flow", "density of the flow")):
        axis.set_title(title)
    for axis in axes[-1]:
        axis.set_xlabel("column 1")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    define_flags()
    app.run(main)
