"""The bins of piecewise functions, `[..., bins, entries]`, and the splines made of them."""

import abc
import math
from collections.abc import Callable

import tensorflow as tf

from tfp_realnvp.transformers.transformer import Transformer

# The minimum width and height of a bin, relative to the whole, and the minimum slope.
LEAST = 1e-3


def sizes_of(raw: tf.Tensor, total: float) -> tf.Tensor:
    """Sizes of bins with this sum, from raw numbers `[..., bins, entries]`."""
    return total * (LEAST + (1 - raw.shape[-2] * LEAST) * tf.nn.softmax(raw, -2))


class Bins:
    """The bin of each `x` among adjacent bins of these sizes; the first one begins at `start`.

    A value below the first bin belongs to the first bin, a value above the last bin to the last.
    """

    def __init__(self, x: tf.Tensor, sizes: tf.Tensor, start: float):
        ends = start + tf.cumsum(sizes, -2)
        never = tf.zeros_like(ends[..., -1:, :], tf.bool)
        # A comparison and a sum over few bins: the gradient of a gather takes longer.
        self._is_after = tf.concat([x[..., tf.newaxis, :] >= ends[..., :-1, :], never], -2)
        self._is_in = tf.concat([~never, self._is_after[..., :-1, :]], -2) & ~self._is_after

    def of(self, values: tf.Tensor) -> tf.Tensor:
        """The value of each entry's bin, of values `[..., bins, entries]`."""
        return tf.reduce_sum(tf.where(self._is_in, values, tf.zeros([], values.dtype)), -2)

    def before(self, sizes: tf.Tensor) -> tf.Tensor:
        """The sum of the sizes of all bins before it."""
        return tf.reduce_sum(tf.where(self._is_after, sizes, tf.zeros([], sizes.dtype)), -2)


def fraction(part: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
    """`part / whole` within [0, 1], which rounding may exceed; its gradient is that of the quotient."""
    quotient = part / whole
    return quotient + tf.stop_gradient(tf.clip_by_value(quotient, 0, 1) - quotient)


class Spline(Transformer):
    """A spline on [-bound, bound], the identity outside."""

    def __init__(self, bins: int, bound: float):
        if not 2 <= bins <= 500:
            raise ValueError(f"expected 2 to 500 bins, got {bins}")
        if not 0 < bound < math.inf:
            raise ValueError(f"expected a finite positive bound, got {bound}")
        self.bins = bins
        self.bound = bound

    @abc.abstractmethod
    def _forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`forward` within the bound."""

    @abc.abstractmethod
    def _inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`inverse` within the bound."""

    def forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._within_bound(self._forward, x, raw)

    def inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._within_bound(self._inverse, z, raw)

    def _within_bound(
        self, function: Callable[..., tuple[tf.Tensor, tf.Tensor]], x: tf.Tensor, raw: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        # Far outside, the gradients of polynomials would overflow.
        is_within = tf.abs(x) <= self.bound
        y, log_slope = function(tf.where(is_within, x, tf.zeros_like(x)), raw)
        return tf.where(is_within, y, x), tf.where(is_within, log_slope, tf.zeros_like(x))
