"""Bits per dimension, the unit in which image models are compared."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def bits_per_dim(
    log_prob: np.ndarray | tf.Tensor, event_shape: Sequence[int]
) -> np.ndarray | tf.Tensor:
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

    #### Examples

    ```python
    bits_per_dim(-3072 * math.log(256), (32, 32, 3))  # 8.0, to rounding
    ```
    """
    sizes = list(event_shape)
    if not all(sizes):
        raise ValueError(f"expected an event shape of known sizes above 0, got {event_shape}")
    return -log_prob / (math.prod(sizes) * math.log(2))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How well a model explains a set of images.

    Attributes:
      bits_per_dim: mean over the images.
      standard_error: of that mean, s / sqrt(num_examples), where s^2 is the variance over images
        with num_examples - 1 below the line. It says how far another test set of this size may
        lead, and nothing of another training run. NaN for a single image.
      num_examples: number of images.
      importance_samples: noise samples for each image, or 0 where the probability of an integer
        image was computed exactly.
      dequantization: "uniform", or "variational" where a flow made the noise.
    """

    bits_per_dim: float
    standard_error: float
    num_examples: int
    importance_samples: int
    dequantization: str = "uniform"

    @classmethod
    def of_images(cls, bits: np.ndarray, importance_samples: int, dequantization: str = "uniform") -> Evaluation:
        """The evaluation that the bits/dim of each image, `[num_examples]`, sum up to."""
        bits = np.asarray(bits, np.float64)
        with np.errstate(invalid="ignore"):  # An image of infinite bits/dim: the error is NaN then.
            deviation = np.std(bits, ddof=1) if len(bits) > 1 else math.nan
        return cls(
            bits_per_dim=float(np.mean(bits)),
            standard_error=float(deviation / math.sqrt(len(bits))),
            num_examples=len(bits),
            importance_samples=importance_samples,
            dequantization=dequantization,
        )

    def __str__(self) -> str:
        samples, images = self.importance_samples, self.num_examples
        how = f"{self.dequantization} dequantisation, {samples:,} sample{'s' * (samples != 1)}"
        return (
            f"{self.bits_per_dim:.4f} +- {self.standard_error:.4f} bits/dim "
            f"({how if samples else 'exact'}, {images:,} image{'s' * (images != 1)})"
        )
