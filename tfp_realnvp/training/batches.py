"""Unpacks batches into events, context and sample weights."""

import math
from typing import Any

import numpy as np
import tensorflow as tf


def as_tuple(batch: Any) -> tuple[Any, Any, Any]:
    """The events, the context and the sample weights of a batch; None for missing parts.

    Args:
      batch: `events`, `(events, context)` or `(events, context, weights)`, with None for a missing context. A pair
        `(events, context)` may take the place of `events`, as when Keras passes it on.

    Raises:
      TypeError: for a dict.
      ValueError: for any other tuple.
    """
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    if isinstance(parts[0], dict):
        raise TypeError("expected a batch of events, (events, context) or (events, context, weights), got a dict")
    if isinstance(parts[0], (tuple, list)):
        pair, *rest = parts
        if len(pair) != 2 or (rest and rest[0] is not None):
            raise ValueError(
                f"expected (events, context) and no second context, got {len(pair)} parts"
                + (" and a context" if rest and rest[0] is not None else "")
            )
        parts = (*pair, *rest[1:])
    if len(parts) > 3:
        raise ValueError(f"expected events, (events, context) or (events, context, weights), got {len(parts)} parts")
    return (*parts, None, None)[:3]


def unpacked(batch: Any) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
    """Like `as_tuple`, with tensors."""
    events, context, weight = (None if part is None else tf.convert_to_tensor(part) for part in as_tuple(batch))
    if context is not None and context.shape[1:] == [0]:
        context = None
    return events, context, weight


def separated(x: Any, y: Any, weight: Any) -> tuple[Any, Any]:
    """The `x` and `y` to pass to `fit`, so that Keras keeps context and weights.

    Keras drops sample weights without a `y`. In that case `y` is a context of no entries, which `unpacked` removes.
    """
    if y is None and isinstance(x, (tuple, list)) and len(x) == 2:
        x, y = x
    # Data sets and generators have no shape. They contain their weights; Keras refuses separate ones.
    if y is None and weight is not None and hasattr(x, "shape"):
        y = np.zeros([len(x), 0], np.float32)
    return without_none(x), y


def without_none(data: Any) -> Any:
    """A data set of `(events, None, weights)` without the None, which Keras cannot distribute to several replicas."""
    spec = data.element_spec if isinstance(data, tf.data.Dataset) else None
    if not isinstance(spec, tuple) or len(spec) != 3 or hasattr(spec[1], "shape"):
        return data
    return data.map(lambda events, _, weights: (events, tf.zeros([tf.shape(weights)[0], 0]), weights))


def weighted(values: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
    """Values `[n]` times weights `[n]` or `[n, 1]`; 0 where a weight is 0, even for a NaN; NaN for one below 0."""
    if weight is None:
        return values
    if weight.shape.rank not in (None, 1) and weight.shape[1:].num_elements() != 1:
        raise ValueError(f"expected one sample weight for each event, of shape [n], got shape {weight.shape}")
    weight = tf.reshape(tf.cast(weight, values.dtype), tf.shape(values))
    # Training would go up the gradient of a value with a negative weight; an assertion would be lost under XLA.
    weight = tf.where(weight >= 0, weight, tf.constant(math.nan, values.dtype))
    return tf.math.multiply_no_nan(values, weight)
