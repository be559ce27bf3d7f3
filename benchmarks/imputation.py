"""Coverage of the intervals of imputed values, on a Gaussian whose conditional distributions are known.

    python -m benchmarks.imputation --output=benchmarks/results/imputation.md    (some minutes)
    python -m benchmarks.imputation --steps=200 --rows=2000 --test_rows=200      (seconds)

Rows of a Gaussian of correlated columns lose values completely at random, each with the same probability. A flow is
trained on them as `launch.train --missing=keep` does, and `columns.impute` fills each gap of new rows 199 times. The
interval from draw k to draw 200 - k in ascending order would contain an exact draw with probability 1 - k / 100:

    coverage = mean over gaps of P(interval | values that are there),    by the Gaussian's own conditional distribution

so that the test values themselves add no noise. Imputation by a column's own distribution has the same coverage with
wider intervals; therefore the width is divided by that of the exact interval.
"""

from __future__ import annotations

import dataclasses
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from scipy import stats

import tfp_realnvp as nvp
from benchmarks import interleaved
from tfp_realnvp import training

NOMINAL = (50, 80, 90, 95)
_DRAWS = 199
_BATCH = 256
_WIDTH = 64
# Units as different as those of a table.
MEAN = np.array([0.0, 3.0, -1.0, 20.0, 0.5])
_STD = np.array([1.0, 2.0, 0.1, 5.0, 0.7])
_CORRELATION = 0.8
_PLACES = np.arange(len(MEAN))
COVARIANCE = np.outer(_STD, _STD) * _CORRELATION ** np.abs(_PLACES[:, np.newaxis] - _PLACES)


@dataclasses.dataclass(frozen=True)
class Result:
    """The intervals of all gaps.

    Attributes:
      gaps: how many.
      coverage: the mean probability of the intervals of each nominal one, in percent.
      column_coverage: the same of each column alone, `[columns, nominal]`.
      width: the mean width of the 90 % intervals over that of the exact ones.
      marginal_width: the same of a column's own distribution.
    """

    gaps: int
    coverage: np.ndarray
    column_coverage: np.ndarray
    width: float
    marginal_width: float


def define_flags() -> None:
    flags.DEFINE_list("missing", ["10", "30", "50"], "Percentages of the values that are missing.")
    flags.DEFINE_integer("rows", 20_000, "Training rows.", lower_bound=_BATCH)
    flags.DEFINE_integer("test_rows", 2_000, "Rows whose gaps are filled.", lower_bound=1)
    flags.DEFINE_integer("steps", 5_000, "Training steps.", lower_bound=1)
    flags.DEFINE_string("output", None, "File to write the table to, too.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    names = ("missing", "gaps", *(f"{nominal} %" for nominal in NOMINAL), "worst column", "width", "marginal width")
    rows = []
    for percent in values.missing:
        found = measure(float(percent) / 100, values.rows, values.test_rows, values.steps)
        worst = np.max(np.abs(found.column_coverage - NOMINAL))
        coverages = [f"{coverage:.1f}" for coverage in found.coverage]
        widths = [f"{found.width:.3f}", f"{found.marginal_width:.3f}"]
        rows.append([f"{percent} %", f"{found.gaps:,}", *coverages, f"{worst:.1f}", *widths])
        print(" | ".join(rows[-1]), flush=True)
    about = (
        f"{len(MEAN)} columns, correlation {_CORRELATION} of neighbours, {values.rows:,} training rows with gaps, "
        f"{values.steps:,} steps of {_BATCH} rows. Under a nominal coverage in percent stands that of the imputed "
        "intervals. Worst column: the largest difference from nominal of one column and interval, in points. Widths of "
        "the 90 % intervals are divided by those of the exact conditional ones; 199 exact draws give 1.013."
    )
    lines = [*interleaved.heading("benchmarks.imputation", about, ""), *interleaved.table(names, rows)]
    print("\n".join(lines))
    if values.output:
        pathlib.Path(values.output).write_text("\n".join(lines))


def measure(missing: float, count: int, test_count: int, steps: int) -> Result:
    """Trains on rows with that share of missing values, and imputes others."""
    columns, flow = _trained(with_gaps(0, count, missing), steps)

    @tf.function(autograph=False)
    def sample(context: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return flow.sample(tf.shape(context)[0], seed=seed, context=context)

    test = with_gaps(1, test_count, missing)
    rows = columns.encode(_table(test))
    draws = np.stack(
        [nvp.columns.impute(sample, columns, rows, seed=tf.constant([0, draw])) for draw in range(_DRAWS)], 1
    )
    return intervals(test, draws)


def with_gaps(seed: int, count: int, missing: float) -> np.ndarray:
    """Rows of the Gaussian, NaN where a value is missing; each has at least one value."""
    random = np.random.default_rng(seed)
    rows = random.multivariate_normal(MEAN, COVARIANCE, count)
    is_missing = random.random(rows.shape) < missing
    is_missing[np.all(is_missing, -1), 0] = False
    return np.where(is_missing, np.nan, rows)


def intervals(rows: np.ndarray, draws: np.ndarray) -> Result:
    """The intervals of draws `[n, draws, columns]` that fill the gaps of rows `[n, columns]`."""
    mean, std = conditional(rows)
    ordered = np.sort(draws, 1)
    tails = [round((_DRAWS + 1) * (1 - nominal / 100) / 2) for nominal in NOMINAL]
    lower, upper = (ordered[:, [sign * tail - (sign > 0) for tail in tails]] for sign in (1, -1))
    of_gap = np.isnan(rows)
    probability = 100 * (stats.norm.cdf(upper, mean, std) - stats.norm.cdf(lower, mean, std))
    by_column = np.stack([probability[of_gap[:, column], :, column].mean(0) for column in range(rows.shape[1])])
    widths = (upper - lower)[:, NOMINAL.index(90)]
    exact = 2 * stats.norm.ppf(0.95) * std[:, 0]
    marginal = 2 * stats.norm.ppf(0.95) * np.broadcast_to(_STD, rows.shape)
    return Result(
        int(np.sum(of_gap)),
        np.swapaxes(probability, 1, 2)[of_gap].mean(0),
        by_column,
        float(np.mean((widths / exact)[of_gap])),
        float(np.mean((marginal / exact)[of_gap])),
    )


def conditional(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and standard deviation of each gap given what is there, `[n, 1, columns]`."""
    mean, std = np.empty(rows.shape), np.ones(rows.shape)
    is_there = ~np.isnan(rows)
    for pattern in np.unique(is_there, axis=0):
        of_pattern = np.all(is_there == pattern, -1)
        gain = COVARIANCE[:, pattern] @ np.linalg.inv(COVARIANCE[np.ix_(pattern, pattern)])
        mean[of_pattern] = MEAN + (rows[of_pattern][:, pattern] - MEAN[pattern]) @ gain.T
        variance = np.diag(COVARIANCE - gain @ COVARIANCE[pattern])
        std[of_pattern] = np.where(pattern, 1, np.sqrt(np.maximum(variance, 0)))
    return mean[:, np.newaxis], std[:, np.newaxis]


def _trained(rows: np.ndarray, steps: int) -> tuple[nvp.columns.Columns, nvp.FlowDistribution]:
    table = _table(rows)
    columns = nvp.columns.infer(table, ",".join(f"{name}:real" for name in table), is_partial=True)
    flow = nvp.coupling_flow(
        event_shape=(columns.entries,),
        couplings=6,
        hidden_units=(_WIDTH, _WIDTH),
        context_size=columns.context_size,
    )
    model = nvp.FlowModel(flow, columns=columns, l2=0.0, clip_norm=10.0, average_decay=0.999)
    model.compile(training.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)))
    events = tf.data.Dataset.from_tensor_slices(columns.encode(table)).shuffle(len(rows), seed=0).repeat()
    model.fit(events.batch(_BATCH).take(steps), steps_per_epoch=steps, shuffle=False, verbose=0)
    model.average.copy_to_variables()
    return columns, flow


def _table(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {f"x{place}": column for place, column in enumerate(rows.T)}


if __name__ == "__main__":
    define_flags()
    app.run(main)
