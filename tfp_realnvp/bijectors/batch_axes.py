"""The batch axes of events and of their context."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

ValueAndLogDet = tuple[tf.Tensor, tf.Tensor]


def with_one_batch_axis(
    pass_fn: Callable[..., ValueAndLogDet], x: tf.Tensor, event_ndims: int, context: tf.Tensor | None
) -> ValueAndLogDet:
    """Calls `pass_fn(x, context)` with all batch axes flattened to one, as convolutions need."""
    if context is not None:
        x, context = broadcast_context(x, context, event_ndims)
    batch_ndims = x.shape.rank - event_ndims
    if batch_ndims == 1:
        return _evaluated(pass_fn, x, context)
    batch_shape = tf.shape(x)[:batch_ndims]

    def flat(tensor: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([[tf.reduce_prod(batch_shape)], tf.shape(tensor)[batch_ndims:]], 0)
        return tf.ensure_shape(tf.reshape(tensor, shape), [None, *tensor.shape[batch_ndims:]])

    y, log_det = _evaluated(pass_fn, flat(x), None if context is None else flat(context))
    y = tf.reshape(y, tf.concat([batch_shape, tf.shape(y)[1:]], 0))
    return y, tf.reshape(log_det, batch_shape)


def _evaluated(pass_fn: Callable[..., ValueAndLogDet], x: tf.Tensor, context: tf.Tensor | None) -> ValueAndLogDet:
    if x.shape[0] == 0:  # TensorFlow's oneDNN convolution returns a wrong shape for an empty batch.
        y, log_det = _evaluated(pass_fn, _one_row(x), None if context is None else _one_row(context))
        return y[:0], log_det[:0]
    y, log_det = pass_fn(x, context)
    if log_det.shape.rank not in (None, 1):
        raise ValueError(f"expected a log-det for each event, of shape [batch], got shape {log_det.shape}")
    return y, log_det


def _one_row(empty: tf.Tensor) -> tf.Tensor:
    return tf.zeros([1, *empty.shape[1:]], empty.dtype)


def broadcast_context(x: tf.Tensor, context: Any, event_ndims: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Broadcasts the batch axes of events and their context, as TFP broadcasts parameters.

    `x` is `[..., *event]`, the context `[..., size]`; for images also an image, `[..., height, width, size]`, with as
    many axes as `x`. A context with exactly the batch axes of `x` may have any further axes. Raises a `ValueError` if
    the batch axes do not broadcast.
    """
    if not tf.is_tensor(context):
        context = tf.convert_to_tensor(context, x.dtype)
    elif context.dtype.is_integer or context.dtype.is_bool:
        context = tf.cast(context, x.dtype)
    if context.dtype != x.dtype:
        raise TypeError(f"expected a context of {x.dtype.name}, as the events, got {context.dtype.name}")
    if not context.shape.rank:
        raise ValueError(f"expected a context of shape [..., size], got shape {context.shape}")
    batch_ndims = x.shape.rank - event_ndims
    is_image = event_ndims == 3 and context.shape.rank == x.shape.rank
    has_batch = context.shape.rank > batch_ndims if batch_ndims else is_image or context.shape.rank == 1
    # Two unknown axes are assumed to be equal, which costs nothing; a network refuses unequal ones.
    if has_batch and context.shape[:batch_ndims].as_list() == x.shape[:batch_ndims].as_list():
        return x, context
    parts = [(x, event_ndims), (context, event_ndims if is_image else 1)]
    batches = [tensor.shape[: tensor.shape.rank - ndims] for tensor, ndims in parts]
    try:
        batch = tf.broadcast_static_shape(*batches)
    except ValueError:
        raise ValueError(
            "expected a context with the batch axes of the events, or axes that broadcast with them, got events of "
            f"shape {x.shape} and a context of shape {context.shape}"
        ) from None
    shape = tf.broadcast_dynamic_shape(*(tf.shape(tensor)[: tensor.shape.rank - ndims] for tensor, ndims in parts))

    def repeated(tensor: tf.Tensor, ndims: int) -> tf.Tensor:
        event = tensor.shape.rank - ndims
        tensor_of_batch = tf.broadcast_to(tensor, tf.concat([shape, tf.shape(tensor)[event:]], 0))
        return tf.ensure_shape(tensor_of_batch, [*batch, *tensor.shape[event:]])

    return tuple(repeated(*part) for part in parts)
