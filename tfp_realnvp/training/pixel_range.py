"""Detects float images outside a flow's pixel range, whose bits/dim would be meaningless."""

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors import DequantizedLogit
from tfp_realnvp.flows import FlowDistribution

_IMAGES = 100  # of an array; enough to decide


def warn_of_scaled_pixels(given: Any, distribution: FlowDistribution) -> None:
    """Warns if float images lie in [0, 1], or hold integers, but the flow expects pixels in [0, levels).

    Integers are dequantised in the training step; floats are used unchanged.

    Args:
      given: the argument of `fit`: an array, a tensor, a `tf.data.Dataset`, whose first batch is read, or a tuple that
        starts with images. Other kinds of data are not checked.
      distribution: the flow. Without a `DequantizedLogit` it models real numbers, and no warning is given.
    """
    levels = [part.levels for part in distribution.flow.submodules if isinstance(part, DequantizedLogit)]
    if not levels or (images := _first_floats(given)) is None or not images.size:
        return
    if levels[0] > 2 and 0 <= images.min() and images.max() <= 1:
        got = "values in [0, 1] only"
    elif np.array_equal(images, np.floor(images)):
        got = "integers as floats, which get no noise"
    else:
        return
    warnings.warn(
        f"expected integer images, or dequantized floats in [0, {levels[0]}), got {got}: bits/dim would be"
        f" meaningless; pass images as integers in 0 ... {levels[0] - 1}",
        stacklevel=3,
    )


def _first_floats(given: Any) -> np.ndarray | None:
    """Some of the images if they are floats, else None."""
    if isinstance(given, tf.data.Dataset):
        # Checked first, so that a data set of integers is not read.
        if not getattr(tf.nest.flatten(given.element_spec)[0], "dtype", tf.int32).is_floating:
            return None
        given = next(iter(given.take(1)), None)
    if isinstance(given, (tuple, list)) and given:
        given = given[0]
    if not (tf.is_tensor(given) or isinstance(given, np.ndarray)) or not tf.as_dtype(given.dtype).is_floating:
        return None
    return np.asarray(given[:_IMAGES])
