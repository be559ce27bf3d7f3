"""What a conditional network is told besides its input."""

from __future__ import annotations

import tensorflow as tf


def check_context(context: tf.Tensor | None, expected_size: int | None) -> None:
    """Raises a ValueError unless `context` has the expected last axis, or is None where none is expected."""
    size = None if context is None else context.shape[-1]
    if size != expected_size:
        expected = "no context" if expected_size is None else f"a context of size {expected_size}"
        raise ValueError(f"expected {expected}, got {'none' if context is None else f'shape {context.shape}'}")
