"""Batch moments over the replicas of a `tf.distribute` step."""

from typing import Any

import tensorflow as tf


def moments_over_replicas(x: tf.Tensor, weights: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of each channel of the global batch; gradients flow through the reduction.

    Args:
      x: `[batch, ..., channels]`.
      weights: `[1, ..., 1]`, 1 for entries to include and 0 for others; None includes all.
    """
    axes, nothing = list(range(x.shape.rank - 1)), tf.zeros([], x.dtype)
    weights = tf.ones_like(x[:1, ..., :1]) if weights is None else weights
    count = tf.cast(tf.shape(x)[0], x.dtype) * tf.reduce_sum(weights)
    count, total = _over_replicas([count, tf.reduce_sum(tf.where(weights > 0, x, nothing), axes)])
    # If a checkerboard keeps an image's only pixel, no entry has a weight; the moments are then 0, not NaN.
    mean = tf.math.divide_no_nan(total, count)
    squares = tf.where(weights > 0, tf.square(x - mean), nothing)
    return mean, tf.math.divide_no_nan(_over_replicas(tf.reduce_sum(squares, axes)), count)


def _over_replicas(values: Any) -> Any:
    """The sum of a tensor, or of each of several, over the replicas."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return values
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, values)
