"""Monotone functions of an interval, continued by straight lines and inverted by bisection."""

import abc
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_realnvp.transformers.bisection import inverse_by_bisection
from tfp_realnvp.transformers.transformer import Transformer

# Maps entries to values and log-slopes.
Curve = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class LinearTails(Transformer):
    """A smooth function on [-bound, bound], continued outside by its tangents at both ends.

    The inverse bisects [-bound, bound], to 2^-32 of its width in float32 and 2^-64 in float64, and is exact outside. A
    subclass sets `outputs` and implements `_curve`.
    """

    def __init__(self, bound: float):
        if not 0 < bound < math.inf:
            raise ValueError(f"expected a finite positive bound, got {bound}")
        self.bound = bound

    @abc.abstractmethod
    def _curve(self, raw: tf.Tensor) -> Curve:
        """The function within the bound."""

    def forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        within = tf.clip_by_value(x, -self.bound, self.bound)
        value, log_slope = self._curve(raw)(within)
        return value + (x - within) * tf.exp(log_slope), log_slope

    def inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        curve = self._curve(raw)

        def value_and_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            value, log_slope = curve(x)
            return value, tf.exp(log_slope)

        high = tf.fill(tf.shape(z), tf.constant(self.bound, z.dtype))
        low = -high
        within = tf.maximum(tf.minimum(z, curve(high)[0]), curve(low)[0])
        x = inverse_by_bisection(value_and_slope, within, low, high)
        log_slope = -curve(x)[1]
        return x + (z - within) * tf.exp(log_slope), log_slope


def integral_from_zero(slope: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, points: int) -> tf.Tensor:
    """The integral of `slope` from 0 to each `x` by Gauss-Legendre quadrature, exact for degrees up to 2 points - 1.

    Args:
      slope: maps arguments `[points, *x.shape]` to values of that shape.
      x: the ends of the intervals.
      points: number of points, and of evaluations.
    """
    places, weights = np.polynomial.legendre.leggauss(points)
    places, weights = (tf.constant(part.reshape([-1] + [1] * x.shape.rank), x.dtype) for part in (places, weights))
    return x * tf.reduce_sum(weights / 2 * slope(x * (places + 1) / 2), 0)
