"""Bits per dimension, the unit for comparing image models."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def bits_per_dim(log_prob: np.ndarray | tf.Tensor, event_shape: int | Sequence[int]) -> np.ndarray | tf.Tensor:
    """Converts log-densities from nats to bits per dimension; lower is better.

        bits/dim = -log p(x) / (D log 2),  with D the number of entries of an event

    `p` is a density over pixels in [0, levels), as from a flow with its preprocessing, or the probability of an integer
    image. The uniform distribution has log2(levels) bits/dim: 8 for 8-bit images.

    Args:
      log_prob: log-densities in nats: an array or a tensor of any shape, or a number.
      event_shape: shape of one event; an integer is the size of a vector.

    Returns:
      Bits per dimension, with the shape and dtype of `log_prob`.

    Raises:
      ValueError: if a size in the event shape is unknown or 0.

    ```python
    bits_per_dim(-3072 * math.log(256), (32, 32, 3))  # 8.0, up to rounding
    ```
    """
    sizes = [event_shape] if isinstance(event_shape, int) else list(event_shape)
    if not all(sizes):
        raise ValueError(f"expected an event shape of known sizes above 0, got {event_shape}")
    return -log_prob / (math.prod(sizes) * math.log(2))
