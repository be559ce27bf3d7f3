"""Parsing of event shapes."""

import operator
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def event_shape_of(event_shape: int | Sequence[int] | tf.TensorShape, *, scalars: bool = False) -> tuple[int, ...]:
    """An event shape as a tuple of positive integers; an integer is a vector's size. With `scalars` it may be empty."""
    try:
        # An unknown rank or size of a `tf.TensorShape` raises here, too.
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
    """The size of vectors, at least `least`: a coupling needs an entry to keep and one to change."""
    shape = event_shape_of(event_shape)
    if len(shape) != 1 or shape[0] < least:
        expected = "of at least 2 entries" if least == 2 else "of vectors"
        raise ValueError(f"expected an event shape (size,) {expected}, got {shape}")
    return shape[0]


def image_of(event_shape: Sequence[int]) -> tuple[int, int, int]:
    """The event shape of images, as a tuple."""
    shape = event_shape_of(event_shape)
    if len(shape) != 3:
        raise ValueError(f"expected an event shape (height, width, channels), got {shape}")
    return shape


def is_image(event_shape: int | Sequence[int]) -> bool:
    """Whether an event shape belongs to images; otherwise it must belong to vectors."""
    shape = event_shape_of(event_shape)
    if len(shape) not in (1, 3):
        raise ValueError(f"expected an event shape (height, width, channels) or (size,), got {shape}")
    return len(shape) == 3
