"""Monotone rational-quadratic functions between knots with given slopes.

In a bin of width `w` and height `h`, with mean slope `s = h / w` and slopes `a` and `b` at its left and right knot, and
with the fraction `t` of the width and `u` of the height:

    u = t (s t + a (1 - t)) / (s (t^2 + (1 - t)^2) + (a + b) t (1 - t))
    slope = s^2 (b t^2 + 2 s t (1 - t) + a (1 - t)^2) / (s (t^2 + (1 - t)^2) + (a + b) t (1 - t))^2
    t = 2 s u / (2 s u + q + sqrt(q^2 + 4 s^2 u (1 - u))),    q = a (1 - u) - b u

All sums are of positive terms, except `q` plus the root. In steep splines the terms of the textbook's
`sqrt(b^2 - 4 a c)` cancel, and the argument of the root may fall below 0.

Gregory, Delbourgo. Piecewise rational quadratic interpolation to monotonic data. IMA J. Numerical Analysis 1982.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_realnvp.transformers.bins import LEAST, Bins, fraction


def slopes_of(raw: tf.Tensor) -> tf.Tensor:
    """Positive slopes from raw numbers; 1 where they are 0."""
    return LEAST + tf.nn.softplus(raw + float(np.log(np.expm1(1 - LEAST))))


class RationalQuadratic(NamedTuple):
    """A function whose bins begin at `(start, start)`.

    Attributes:
      widths: of the bins, `[..., bins, entries]`.
      heights: of the bins, likewise.
      slopes: at the knots, `[..., bins + 1, entries]`.
      start: the left end of the first bin, on both axes.
    """

    widths: tf.Tensor
    heights: tf.Tensor
    slopes: tf.Tensor
    start: float

    def forward(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The value and the log-slope at each `x`."""
        bins = Bins(x, self.widths, self.start)
        t = fraction(x - self.start - bins.before(self.widths), bins.of(self.widths))
        u, log_slope = self._height(t, bins)
        return self.start + bins.before(self.heights) + u * bins.of(self.heights), log_slope

    def inverse(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The inverse and its log-slope at each `y`."""
        bins = Bins(y, self.heights, self.start)
        u = fraction(y - self.start - bins.before(self.heights), bins.of(self.heights))
        left, right, mean = self._slopes(bins)
        q = left * (1 - u) - right * u
        product = 4 * mean**2 * u * (1 - u)
        # For q < 0, (root + q) (root - q) = product.
        added = tf.where(q < 0, -q, q) + tf.sqrt(q**2 + product)
        part = 2 * mean * u
        t = part / (part + tf.where(q < 0, product / added, added))
        return self.start + bins.before(self.widths) + t * bins.of(self.widths), -self._height(t, bins)[1]

    def _slopes(self, bins: Bins) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The slopes at the left and right knots, and the mean slope."""
        mean = bins.of(self.heights) / bins.of(self.widths)
        return bins.of(self.slopes[..., :-1, :]), bins.of(self.slopes[..., 1:, :]), mean

    def _height(self, t: tf.Tensor, bins: Bins) -> tuple[tf.Tensor, tf.Tensor]:
        """The fraction of the height, and the log-slope."""
        left, right, mean = self._slopes(bins)
        both = t * (1 - t)
        below = mean * (t**2 + (1 - t) ** 2) + (left + right) * both
        rise = right * t**2 + 2 * mean * both + left * (1 - t) ** 2
        log_slope = 2 * (tf.math.log(mean) - tf.math.log(below)) + tf.math.log(rise)
        return t * (mean * t + left * (1 - t)) / below, log_slope
