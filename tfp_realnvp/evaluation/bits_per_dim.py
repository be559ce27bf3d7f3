"""Bits per dimension, the unit in which image models are compared."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def bits_per_dim(log_prob: np.ndarray | tf.Tensor, event_shape: Sequence[int]) -> np.ndarray | tf.Tensor:
    """The nats of an event as bits for each of its entries; less is better.

        bits/dim = -log p(x) / (D log 2),  with D the number of entries of an event

    `p` is a density over pixels in [0, levels), which a flow with its preprocessing gives, or the
    probability of an integer image. A uniform one has log2(levels) bits/dim, 8 at 8 bits.

    Args:
      log_prob: nats, an array, a tensor or a number, of any shape.
      event_shape: shape of one event.

    Returns:
      Bits per dimension, of the shape and dtype of `log_prob`.

    Raises:
      ValueError: when a size in the event's shape is not known, or is 0.

    ```python
    bits_per_dim(-3072 * math.log(256), (32, 32, 3))  # 8.0, to rounding
    ```
    """
    sizes = list(event_shape)
    if not all(sizes):
        raise ValueError(f"expected an event shape of known sizes above 0, got {event_shape}")
    return -log_prob / (math.prod(sizes) * math.log(2))
