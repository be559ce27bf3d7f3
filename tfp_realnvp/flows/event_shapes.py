"""Event shapes as users write them."""

import operator
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def event_shape_of(event_shape: int | Sequence[int] | tf.TensorShape, *, scalars: bool = False) -> tuple[int, ...]:
    """A user's event shape as a tuple: positive integers, one the size of a vector; with `scalars` perhaps none."""
    try:
        # Of a `tf.TensorShape`, an unknown rank or size is an error here, too.
        sizes = event_shape if np.iterable(event_shape) else [event_shape]
        shape = tuple(operator.index(size) for size in sizes)
    except (TypeError, ValueError):
        shape = (0,)
    if min(shape, default=int(scalars)) < 1:
        raise ValueError(
            f"expected an event shape of positive integers, such as (6,) or (32, 32, 3), got {event_shape!r}"
        )
    return shape


def size_of(event_shape: int | Sequence[int], least: int) -> int:
    """The size of vectors, which have at least 1 or 2 entries: a coupling keeps an entry and changes one."""
    shape = event_shape_of(event_shape)
    if len(shape) != 1 or shape[0] < least:
        expected = "of at least 2 entries" if least == 2 else "of vectors"
        raise ValueError(f"expected an event shape (size,) {expected}, got {shape}")
    return shape[0]


def image_of(event_shape: Sequence[int]) -> tuple[int, int, int]:
    """The event shape of images as a tuple."""
    shape = event_shape_of(event_shape)
    if len(shape) != 3:
        raise ValueError(f"expected an event shape (height, width, channels), got {shape}")
    return shape


def is_image(event_shape: int | Sequence[int]) -> bool:
    """Whether an event shape is that of images; otherwise it must be that of vectors."""
    shape = event_shape_of(event_shape)
    if len(shape) not in (1, 3):
        raise ValueError(f"expected an event shape (height, width, channels) or (size,), got {shape}")
    return len(shape) == 3
