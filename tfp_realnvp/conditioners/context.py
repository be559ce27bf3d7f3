"""The context of a conditional network."""

import tensorflow as tf


def checked_context(context: tf.Tensor | None, expected_size: int | None) -> tf.Tensor | None:
    """`context`, whose last axis must have the expected size; None if none is expected.

    A size that is known only when the graph runs is checked there.

    Raises:
      ValueError: for an unexpected or a missing context.
    """
    size = None if context is None else context.shape[-1]
    if context is not None and size is None and expected_size is not None:
        return tf.ensure_shape(context, [*context.shape[:-1], expected_size], name="context")
    if (context is None) != (expected_size is None) or size != expected_size:
        expected = "no context" if expected_size is None else f"a context of size {expected_size}"
        raise ValueError(f"expected {expected}, got {'none' if context is None else f'shape {context.shape}'}")
    return context
