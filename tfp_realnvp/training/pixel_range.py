"""Float images in another range than that of a flow's pixels, whose bits/dim would mean nothing."""

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors import DequantizedLogit
from tfp_realnvp.flows import FlowDistribution

_IMAGES = 100  # of an array; enough to tell


def warn_of_scaled_pixels(given: Any, distribution: FlowDistribution) -> None:
    """Warns where float images are in [0, 1], or integers as floats, and the flow expects pixels in [0, levels).

    Integers are dequantised in the training step; floats are taken as they are.

    Args:
      given: what `fit` takes: an array, a tensor or a `tf.data.Dataset`, of which the first batch is read, or a tuple
        whose first entry is one of images. Other kinds of data are not looked at.
      distribution: the flow. Without a `DequantizedLogit`, it is one of real numbers, and nothing is said.
    """
    levels = [part.levels for part in distribution.flow.submodules if isinstance(part, DequantizedLogit)]
    if not levels or levels[0] == 2 or (images := _first_floats(given)) is None or not images.size:
        return
    if 0 <= images.min() and images.max() <= 1:
        got = "values in [0, 1] only"
    elif np.array_equal(images, np.floor(images)):
        got = "integers as floats, which get no noise"
    else:
        return
    warnings.warn(
        f"expected integer images, or floats in [0, {levels[0]}) that were dequantized, got {got}: bits/dim means"
        f" nothing there; pass images as integers in 0 ... {levels[0] - 1}",
        stacklevel=3,
    )


def _first_floats(given: Any) -> np.ndarray | None:
    """Some images where they are floats."""
    if isinstance(given, tf.data.Dataset):
        # Asked first, so that nothing is read of a data set of integers.
        if not getattr(tf.nest.flatten(given.element_spec)[0], "dtype", tf.int32).is_floating:
            return None
        given = next(iter(given.take(1)), None)
    if isinstance(given, (tuple, list)) and given:
        given = given[0]
    if not (tf.is_tensor(given) or isinstance(given, np.ndarray)) or not tf.as_dtype(given.dtype).is_floating:
        return None
    return np.asarray(given[:_IMAGES])
