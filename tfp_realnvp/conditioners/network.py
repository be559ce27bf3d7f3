"""The base class of the networks."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class Network(keras.layers.Layer):
    """A Keras layer that stores each constructor argument as an attribute of the same name: its configuration."""

    def get_config(self) -> dict[str, Any]:
        parameters = inspect.signature(type(self)).parameters.values()
        config = {p.name: getattr(self, p.name) for p in parameters if p.kind is not p.VAR_KEYWORD}
        if "activation" in config:
            config["activation"] = keras.activations.serialize(self.activation)
        return {**super().get_config(), **config}

    def compute_output_shape(self, input_shape: tuple[int | None, ...], **unused: Any) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.outputs)


def last_axis(shape: Sequence[int | None]) -> int:
    """The size of the last axis of an input, which a network must know to be built."""
    size = shape[-1]
    if size is None:
        raise ValueError(f"expected a known size of the last axis, got shape {tuple(shape)}")
    return size


def checked_angles(circular: Sequence[int], size: int) -> tuple[int, ...]:
    """Different positions below `size`, as a tuple of integers."""
    found = tuple(int(position) for position in circular)
    if len(set(found)) < len(found) or not all(0 <= position < size for position in found):
        raise ValueError(f"expected different positions of angles from 0 to {size - 1}, got {found}")
    return found


def with_angles(x: tf.Tensor, circular: Sequence[int]) -> tf.Tensor:
    """`x` with the cosines of its angles in their place, and their sines at the end: `[..., size + angles]`."""
    if not circular:
        return x
    is_angle = np.isin(np.arange(x.shape[-1]), circular)
    return tf.concat([tf.where(is_angle, tf.cos(x), x), tf.sin(tf.gather(x, circular, axis=-1))], -1)


def checked_context(context: tf.Tensor | None, expected_size: int | None) -> tf.Tensor | None:
    """`context`, checked to have the expected last-axis size; a size unknown when tracing is checked at run time."""
    size = None if context is None else context.shape[-1]
    if context is not None and size is None and expected_size is not None:
        return tf.ensure_shape(context, [*context.shape[:-1], expected_size], name="context")
    if (context is None) != (expected_size is None) or size != expected_size:
        expected = "no context" if expected_size is None else f"a context of size {expected_size}"
        raise ValueError(f"expected {expected}, got {'none' if context is None else f'shape {context.shape}'}")
    return context


def add_context(hidden: tf.Tensor, dense: keras.layers.Dense | None, context: tf.Tensor | None) -> tf.Tensor:
    """An image plus a dense layer of the context, which is a vector or an image; without a dense layer the image."""
    if dense is None:
        return hidden
    added = dense(context)
    return hidden + (added if added.shape.rank == 4 else added[:, tf.newaxis, tf.newaxis, :])
