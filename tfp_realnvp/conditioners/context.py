"""The context of a conditional network."""

from __future__ import annotations

import tensorflow as tf


def checked_context(context: tf.Tensor | None, expected_size: int | None) -> tf.Tensor | None:
    """`context`, whose last axis must have the expected size; None where none is expected.

    Where the size is known only when the graph runs, it is checked there.

    Raises:
      ValueError: for a context where none or another is expected, or for none where one is.
    """
    size = None if context is None else context.shape[-1]
    if context is not None and size is None and expected_size is not None:
        return tf.ensure_shape(context, [*context.shape[:-1], expected_size], name="context")
    if (context is None) != (expected_size is None) or size != expected_size:
        expected = "no context" if expected_size is None else f"a context of size {expected_size}"
        raise ValueError(f"expected {expected}, got {'none' if context is None else f'shape {context.shape}'}")
    return context
