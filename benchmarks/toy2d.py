"""All flows on standard two-dimensional densities, in one picture.

    python -m benchmarks.toy2d --output=benchmarks/results/toy2d.md
    python -m benchmarks.toy2d --flows=maf,iaf --targets=rings --steps=5000

Each flow is trained on samples of each target by maximum likelihood, with the same number of steps on the same batches.
Targets have an exact density p, so the divergence of a flow q from it can be estimated:

    KL(p || q) = E_p [log p(x) - log q(x)],    as a mean over test points, with the standard error of that mean

A panel of the picture is one flow on one target. Its result is kept in a folder, and not computed again as long as its
settings stay the same: an interrupted run resumes, and a new flow adds only its own column. A change of the code is not
detected; pass another folder by --panels then.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import matplotlib.figure
import numpy as np
import PIL.Image
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved
from tfp_realnvp import training

BOUND = 4.5  # The picture shows [-4.5, 4.5]^2.
_TEST_POINTS = 20_000
_COLUMNS = 11  # Flows beside each other in the picture.


@dataclasses.dataclass(frozen=True)
class Target:
    """A density of the plane that can be drawn from.

    Attributes:
      sample: exact samples `[count, 2]`, of a generator and a count.
      log_prob: the exact log-density of points `[count, 2]`.
    """

    sample: Callable[[np.random.Generator, int], np.ndarray]
    log_prob: Callable[[np.ndarray], np.ndarray]


def _around(points: Sequence[np.ndarray], deviation: float) -> Target:
    """A mixture of equal round Gaussians; where points are closer than their deviation, a line of that width."""
    points = np.concatenate(points)

    def sample(random: np.random.Generator, count: int) -> np.ndarray:
        return points[random.integers(len(points), size=count)] + random.normal(0, deviation, [count, 2])

    def log_prob(x: np.ndarray) -> np.ndarray:
        return np.concatenate([_log_prob(part) for part in np.array_split(x, len(x) // 2_000 + 1)])

    def _log_prob(x: np.ndarray) -> np.ndarray:
        square = (x[:, :1] - points[:, 0]) ** 2 + (x[:, 1:] - points[:, 1]) ** 2
        nearest = np.min(square, -1, keepdims=True)
        mean = np.mean(np.exp((nearest - square) / (2 * deviation**2)), -1)
        return np.log(mean) - nearest[:, 0] / (2 * deviation**2) - np.log(2 * np.pi * deviation**2)

    return Target(sample, log_prob)


def _circle(angles: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angles), np.sin(angles)], -1)


def _moons() -> Target:
    arc = _circle(np.linspace(0, np.pi, 200)) - (0.5, 0.25)
    return _around([2 * arc, -2 * arc], deviation=0.2)


def _eight_gaussians() -> Target:
    return _around([2.8 * _circle(np.arange(8) * np.pi / 4)], deviation=0.35)


def _spirals() -> Target:
    # The root spreads the points evenly along the arm.
    angles = 3 * np.pi * np.sqrt((np.arange(800) + 0.5) / 800)
    arm = angles[:, np.newaxis] / 3 * _circle(angles)
    return _around([arm, -arm], deviation=0.12)


def _rings() -> Target:
    circle = _circle(np.arange(400) * np.pi / 200)
    return _around([radius * circle for radius in (1, 2, 3)], deviation=0.12)


def _checkerboard() -> Target:
    """Uniform on every other square of side 2 in [-4, 4]^2."""

    def sample(random: np.random.Generator, count: int) -> np.ndarray:
        column, row = random.integers(4, size=count), random.integers(2, size=count)
        corner = np.stack([column, 2 * row + column % 2], -1)
        return 2 * (corner + random.uniform(size=[count, 2])) - 4

    def log_prob(x: np.ndarray) -> np.ndarray:
        column, row = np.floor(x / 2).T
        inside = np.all(np.abs(x) < 4, -1) & ((column + row) % 2 == 0)
        return np.where(inside, -np.log(32), -np.inf)

    return Target(sample, log_prob)


TARGETS = {
    "moons": _moons(),
    "eight_gaussians": _eight_gaussians(),
    "spirals": _spirals(),
    "checkerboard": _checkerboard(),
    "rings": _rings(),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a flow, named after its factory or a transformer of `coupling_flow`, is made and trained.

    Attributes:
      settings: keywords of the factory.
      learning_rate: of Adam at the start; it falls to 0 along a cosine.
    """

    settings: dict[str, Any]
    learning_rate: float


_LIKE_NSF = dict(couplings=4, hidden_units=(64, 64), mix="linear", norm="act_first")
RECIPES = {
    "real_nvp": Recipe(dict(couplings=12, hidden_units=(64, 64)), 4e-3),
    "nice": Recipe(dict(couplings=8, hidden_units=(64, 64)), 4e-3),
    "nsf": Recipe(dict(couplings=4, hidden_units=(64, 64)), 4e-3),
    "glow": Recipe(dict(steps=12, hidden_units=(64, 64)), 4e-3),
    "flowpp": Recipe(dict(couplings=4, hidden_units=(64, 64)), 4e-3),
    "maf": Recipe(dict(layers=8, hidden_units=(64, 64)), 4e-3),
    "iaf": Recipe(dict(layers=8, hidden_units=(64, 64)), 4e-3),
    "naf": Recipe(dict(layers=4, hidden_units=(64, 64)), 4e-3),
    # Few parameters, which bear larger steps.
    "planar": Recipe(dict(layers=32), 3e-2),
    "radial": Recipe(dict(layers=32), 3e-2),
    "sylvester": Recipe(dict(layers=32), 1e-2),
    "residual": Recipe(dict(layers=8, hidden_units=(64, 64)), 4e-3),
    "bnaf": Recipe(dict(layers=3, units=16, depth=2), 1e-2),
    "triangular_spline": Recipe(dict(layers=8), 1e-2),
    "gaussianization": Recipe(dict(layers=8), 1e-2),
    "ffjord": Recipe(dict(hidden_units=(64, 64)), 4e-3),
    # Transformers, each in the couplings of nsf.
    **{
        name: Recipe(dict(_LIKE_NSF, transformer=name), 4e-3)
        for name in ("linear_spline", "quadratic_spline", "bernstein", "sum_of_squares", "unconstrained_monotonic")
    },
}


@dataclasses.dataclass(frozen=True)
class Budget:
    """What each panel may take.

    Attributes:
      steps: of training.
      batch_size: points in a step.
      cells: of the picture's grid, to a side.
      seed: of weights, batches and test points.
    """

    steps: int
    batch_size: int = 512
    cells: int = 240
    seed: int = 0


def define_flags() -> None:
    flags.DEFINE_list("targets", list(TARGETS), f"Some of {', '.join(TARGETS)}.")
    flags.DEFINE_list("flows", list(RECIPES), f"Some of {', '.join(RECIPES)}.")
    flags.DEFINE_integer("steps", 2_500, "Training steps of each panel.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of weights, batches and test points.", lower_bound=0)
    flags.DEFINE_bool("quick", False, "A twentieth of the steps and a coarse grid, to see that all runs.")
    flags.DEFINE_string("panels", "runs/toy2d", "Folder where panels are kept, and taken from.")
    flags.DEFINE_string(
        "output", None, "File to write the tables to, too. Beside it: the picture as .png, the figures as .json."
    )


def main(_: list[str]) -> None:
    values = flags.FLAGS
    for given, known in ((values.targets, TARGETS), (values.flows, RECIPES)):
        if not given or not set(given) <= set(known):
            raise app.UsageError(f"expected some of {', '.join(known)}, got {', '.join(given) or 'none'}")
    budget = Budget(values.steps, seed=values.seed)
    if values.quick:
        budget = dataclasses.replace(budget, steps=max(1, values.steps // 20), cells=60)
    folder = pathlib.Path(values.panels)
    panels = {}
    for target in values.targets:
        for flow in values.flows:
            panel = panels[target, flow] = cached_panel(folder, target, flow, budget)
            number = f"{len(panels)} of {len(values.targets) * len(values.flows)}"
            print(f"{number}: {target}, {flow}: {panel['nats']:.3f} nats, {panel['seconds']:.0f} s", flush=True)
    about = (
        f"Each flow on each target: {budget.steps:,} steps of {budget.batch_size} points, Adam with the rate falling "
        f"to 0; {_TEST_POINTS:,} test points; seed {budget.seed}. "
        f"All panels: {sum(panel['seconds'] for panel in panels.values()):,.0f} s."
    )
    lines = interleaved.heading("benchmarks.toy2d", about) + tables(panels)
    if values.output:
        output = pathlib.Path(values.output)
        draw(panels, budget.cells, output.with_suffix(".png"))
        figures = {target: {flow: _figures(panels[target, flow]) for flow in values.flows} for target in values.targets}
        output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
        lines += [f"![The densities]({output.with_suffix('.png').name})"]
    interleaved.publish(lines, values.output)


def cached_panel(folder: pathlib.Path, target: str, flow: str, budget: Budget) -> dict[str, Any]:
    """What `panel` gives, from the folder if the same was asked before."""
    asked = json.dumps([dataclasses.asdict(RECIPES[flow]), dataclasses.asdict(budget)])
    path = folder / f"{target}-{flow}.npz"
    if path.exists():
        with np.load(path) as kept:
            if str(kept["asked"]) == asked:
                return {**json.loads(str(kept["figures"])), "density": kept["density"]}
    result = panel(target, flow, budget)
    folder.mkdir(parents=True, exist_ok=True)
    # Complete or not there: a run may be stopped while it writes.
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, asked=asked, figures=json.dumps(_figures(result)), density=result["density"])
    os.replace(partial, path)
    return result


def _figures(panel: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in panel.items() if name != "density"}


def panel(target: str, flow: str, budget: Budget) -> dict[str, Any]:
    """Trains a flow on a target.

    Returns:
      `nats`, -log q of a test point on average; `divergence`, KL(p || q), and its `standard_error`; `outside`, the mass
      that q has beyond the grid; `parameters`; `skipped_steps`, whose gradient was not finite; `seconds` in all and
      `step_seconds`; `density` on the grid, `[y, x]`.
    """
    started = time.perf_counter()
    density, recipe = TARGETS[target], RECIPES[flow]
    keras.utils.set_random_seed(budget.seed)
    distribution = getattr(nvp, flow, nvp.coupling_flow)(event_shape=(2,), **recipe.settings)
    # Not a bare gradient tape: where a flow has an `ActNorm`, the model's first step sets it.
    model = nvp.FlowModel(distribution, clip_norm=10.0)
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, budget.steps)
    model.compile(training.Adam(rate), jit_compile=False)
    step = tf.function(model.train_step, autograph=False)
    random = np.random.default_rng(budget.seed)
    for number in range(budget.steps):
        step(tf.constant(density.sample(random, budget.batch_size), tf.float32))
        if number == 0:
            traced = time.perf_counter()
    step_seconds = (time.perf_counter() - traced) / max(budget.steps - 1, 1)

    def log_prob(x: np.ndarray) -> np.ndarray:
        # Not as a graph: for a single call, to trace one takes longer.
        return distribution.log_prob(tf.constant(x, tf.float32)).numpy().astype(np.float64)

    test = density.sample(np.random.default_rng([budget.seed, 1]), _TEST_POINTS)
    scores = log_prob(test)
    gaps = density.log_prob(test) - scores
    on_grid = np.exp(log_prob(grid(budget.cells)))
    return {
        "nats": -np.mean(scores),
        "divergence": np.mean(gaps),
        "standard_error": np.std(gaps) / np.sqrt(len(gaps)),
        "outside": 1 - np.sum(on_grid) * (2 * BOUND / budget.cells) ** 2,
        "parameters": nvp.trainable_parameters(distribution),
        "skipped_steps": int(model.skipped_steps.value),
        "step_seconds": step_seconds,
        "seconds": time.perf_counter() - started,
        "density": on_grid.reshape([budget.cells, budget.cells]).astype(np.float32),
    }


def grid(cells: int) -> np.ndarray:
    """The midpoints of the picture's cells, `[cells^2, 2]`, y by y."""
    ticks = (np.arange(cells) + 0.5) * (2 * BOUND / cells) - BOUND
    return np.stack(np.meshgrid(ticks, ticks), -1).reshape([-1, 2])


def tables(panels: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    """The tables of divergences and of nats."""
    targets, flows = (list(dict.fromkeys(names)) for names in zip(*panels))
    lines = ["KL(target || flow) in nats:", ""]
    rows = []
    for flow in flows:
        column = [panels[target, flow] for target in targets]
        cells = [f"{panel['divergence']:.3f} +- {panel['standard_error']:.3f}" for panel in column]
        milliseconds = 1e3 * np.median([panel["step_seconds"] for panel in column])
        rows.append([flow, *cells, f"{column[0]['parameters']:,}", f"{milliseconds:.1f}"])
    lines += interleaved.table(["flow", *targets, "parameters", "ms/step"], rows)
    lines += ["Nats of a test point. The first row is the target's own density, the lower limit:", ""]
    rows = [["target", *(f"{_entropy(panels[target, flows[0]]):.3f}" for target in targets)]]
    rows += [[flow, *(f"{panels[target, flow]['nats']:.3f}" for target in targets)] for flow in flows]
    lines += interleaved.table(["flow", *targets], rows)
    lines += ["Mass beyond the picture: 1 less the sum over its grid, good to .1 %:", ""]
    rows = [[flow, *(f"{max(0, panels[target, flow]['outside']):.1%}" for target in targets)] for flow in flows]
    return lines + interleaved.table(["flow", *targets], rows)


def _entropy(panel: dict[str, Any]) -> float:
    """Of the target, on the same test points as the panel's nats."""
    return panel["nats"] - panel["divergence"]


def draw(panels: dict[tuple[str, str], dict[str, Any]], cells: int, path: pathlib.Path) -> None:
    """A row for each target: its density, then each flow's; more flows than fit are below, in rows of their own."""
    targets, flows = (list(dict.fromkeys(names)) for names in zip(*panels))
    blocks = np.array_split(flows, -(-len(flows) // _COLUMNS))
    rows = [(target, block) for block in blocks for target in targets]
    width, height = 1.3 * (len(blocks[0]) + 1), 1.45 * len(rows) + 0.2 * len(blocks)
    figure = matplotlib.figure.Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(len(rows), len(blocks[0]) + 1, squeeze=False)
    for number, (row, (target, block)) in enumerate(zip(axes, rows)):
        exact = np.exp(TARGETS[target].log_prob(grid(cells))).reshape([cells, cells])
        columns = [("target", exact, _entropy(panels[target, flows[0]]), 0.0)]
        for flow in block:
            panel = panels[target, flow]
            columns.append((flow, panel["density"], panel["nats"], panel["outside"]))
        for axis in row[len(columns) :]:
            axis.set_axis_off()
        for axis, (name, density, nats, outside) in zip(row, columns):
            # One scale for a row. The root shows what is thin, too.
            axis.imshow(np.sqrt(density), vmin=0, vmax=np.sqrt(np.max(exact)), cmap="magma", origin="lower")
            axis.set_xticks([])
            axis.set_yticks([])
            beyond = f", {outside:.0%} outside" if outside >= 0.005 else ""
            axis.set_xlabel(f"{nats:.2f} nats{beyond}", fontsize=7, labelpad=2)
            if number % len(targets) == 0:
                axis.set_title(name, fontsize=8)
        row[0].set_ylabel(target, fontsize=8)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    # A third of the size, and the colours of the map are not many more.
    PIL.Image.open(drawn).convert("RGB").quantize(128, dither=PIL.Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    define_flags()
    app.run(main)
