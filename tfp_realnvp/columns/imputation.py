"""Draws of the missing values of rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.columns.columns import Columns


def impute(
    sample: Callable[[tf.Tensor, Any], tf.Tensor], columns: Columns, rows: np.ndarray, *, seed: Any = (0, 0)
) -> np.ndarray:
    """Rows in which each missing value is replaced by a draw from p(missing values | values that are there).

    Args:
      sample: draws an event for each row of a context, given a seed.
      columns: with `is_partial`.
      rows: as returned by `Columns.encode`, NaN where a value is missing.
      seed: seed of the draws.

    Raises:
      ValueError: for columns without `is_partial`.
    """
    if not columns.is_partial:
        raise ValueError("expected a model that was trained on random choices of columns, got one of whole rows")
    return with_draws(columns, rows, sample(context_of_gaps(columns, rows), seed))


def context_of_gaps(columns: Columns, rows: np.ndarray) -> tf.Tensor | None:
    """The flow's context for draws of the missing values of rows `[n, size]`; None for a flow without context.

    Without `is_partial`, the values that are there do not change the draws, apart from those of the context's columns.
    """
    size = len(columns.columns)
    if not columns.is_partial and not columns.context:
        return None
    if not columns.is_partial:
        return columns.context_of(tf.constant(rows[:, size : size + len(columns.context)]))
    is_missing = np.isnan(rows[:, :size])
    return columns.partial_context(tf.constant(rows), tf.constant(is_missing), tf.constant(~is_missing))


def with_draws(columns: Columns, rows: np.ndarray, v: tf.Tensor) -> np.ndarray:
    """Rows `[n, size]` with the values of events `v` `[n, entries]` where one is NaN."""
    own = rows[:, : len(columns.columns)]
    filled = rows.copy()
    filled[:, : len(columns.columns)] = np.where(np.isnan(own), columns.quantize(v).numpy(), own)
    return filled
