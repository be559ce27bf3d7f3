"""What simple models give a table with columns of several types."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.columns import Columns
from tfp_realnvp.evaluation.baselines import NoBaselineError
from tfp_realnvp.evaluation.score import NATS, Score, bound_of


def column_log_likelihoods(
    columns: Columns, train: Iterable[np.ndarray], test: Iterable[np.ndarray], *, seed: int = 0
) -> dict[str, Score]:
    """The log-likelihoods of columns that are independent, and of a Gaussian copula.

        log p(row) >= E[log N(v; 0, I) - log q(v | row)]       independent: each has its distribution in training
        log p(row) >= E[log N(v; m, S) - log q(v | row)]       copula: mean and covariance of the training rows' v

    `v` and `q` are those of `Columns`. One draw of the noise, as in `evaluate`. Without the copula where values are
    missing.

    Args:
      columns: of the table.
      train: batches of rows float32 `[batch, size]`.
      test: the same of the rows to evaluate on.
      seed: of the noise.

    ```python
    table = {"a": np.random.default_rng(0).normal(size=100), "b": np.arange(100) % 3}
    columns = nvp.columns.infer(table)
    rows = columns.encode(table)
    column_log_likelihoods(columns, [rows[:80]], [rows[80:]])["independent columns"]
    ```
    """
    size = columns.entries
    densities: dict[str, tfd.Distribution] = {
        "independent columns": tfd.MultivariateNormalDiag(tf.zeros([size], tf.float64))
    }
    if not columns.is_partial:
        count, mean, covariance = _moments(columns, train, seed)
        if count <= size:
            raise NoBaselineError(f"expected more than {size:,} training rows for {size:,} entries, got {count:,}")
        factor = np.linalg.cholesky(covariance + 1e-6 * np.eye(size))
        densities["Gaussian copula"] = tfd.MultivariateNormalTriL(mean, factor)
    log_probs: dict[str, list[np.ndarray]] = {name: [] for name in densities}
    weights: list[np.ndarray] = []
    for number, batch in enumerate(test):
        rows = tf.constant(np.asarray(batch))
        v, _, log_q = columns.dequantize(rows, columns.noise(rows, seed=_noise_seed(seed, number, 0)))
        if (of_rows := columns.weights_of(rows)) is not None:
            weights.append(of_rows.numpy().astype(np.float64))
        for name, density in densities.items():
            log_probs[name].append(density.log_prob(tf.cast(v, tf.float64)).numpy() - log_q.numpy())
    weight = np.concatenate(weights) if weights else None
    bound = None if columns.is_exact else bound_of("uniform", 1)
    return {name: Score.of(np.concatenate(parts), NATS, bound, weight) for name, parts in log_probs.items()}


def _moments(columns: Columns, train: Iterable[np.ndarray], seed: int) -> tuple[int, np.ndarray, np.ndarray]:
    """The number of rows, and the mean and covariance of their `v`, whose columns are about standard normal."""
    count, total, square = 0, np.zeros(columns.entries), np.zeros([columns.entries] * 2)
    for number, batch in enumerate(train):
        rows = tf.constant(np.asarray(batch))
        v, _, _ = columns.dequantize(rows, columns.noise(rows, seed=_noise_seed(seed, number, 1)))
        v = v.numpy().astype(np.float64)
        count, total, square = count + len(v), total + v.sum(0), square + v.T @ v
    mean = total / max(count, 1)
    return count, mean, (square - count * np.outer(mean, mean)) / max(count - 1, 1)


def _noise_seed(seed: int, batch: int, part: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in([seed, batch], part)
