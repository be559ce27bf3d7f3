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
    fitted_to, rows = (tf.constant(np.concatenate([np.asarray(batch) for batch in part])) for part in (train, test))
    v, _, log_q = columns.dequantize(rows, columns.noise(rows, seed=(seed, 0)))
    weights = columns.weights_of(rows)
    weights = 1.0 if weights is None else weights.numpy() / np.mean(weights)
    bound = None if columns.is_exact else bound_of("uniform", 1)

    def score(density: tfd.Distribution) -> Score:
        log_prob = density.log_prob(tf.cast(v, tf.float64)).numpy() - log_q.numpy()
        return Score.of(log_prob * weights, NATS, bound)

    size = columns.entries
    scores = {"independent columns": score(tfd.MultivariateNormalDiag(tf.zeros([size], tf.float64)))}
    if columns.is_partial:
        return scores
    if len(fitted_to) <= size:
        raise NoBaselineError(f"expected more than {size:,} training rows for {size:,} entries, got {len(fitted_to):,}")
    fitted = columns.dequantize(fitted_to, columns.noise(fitted_to, seed=(seed, 1)))[0].numpy().astype(np.float64)
    covariance = np.cov(fitted.T) + 1e-6 * np.eye(size)
    factor = np.linalg.cholesky(covariance)
    scores["Gaussian copula"] = score(tfd.MultivariateNormalTriL(fitted.mean(0), factor))
    return scores
