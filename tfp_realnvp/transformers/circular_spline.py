"""The circular spline, for angles."""

import math

import tensorflow as tf

from tfp_realnvp.transformers.bins import sizes_of
from tfp_realnvp.transformers.rational_quadratic import RationalQuadratic, slopes_of
from tfp_realnvp.transformers.transformer import Transformer


class CircularSpline(Transformer):
    """A monotone rational-quadratic spline on the circle, then a rotation.

    Entries are angles in radians; `x` and `x + 2 pi` are the same angle. With raw widths, heights, slopes and an angle
    `t` from the conditioner, in this order, and a spline made of them as in `RationalQuadraticSpline`:

        forward:  z = spline(x mod 2 pi) + t  mod 2 pi
        inverse:  x = spline^{-1}(z - t  mod 2 pi)
        log dz/dx = log-slope of the spline

    Results lie in [-pi, pi]. The spline maps [-pi, pi] to itself and has the same slope at both ends, so the density
    joins there, as at every other knot: the slope is continuous, its derivative is not. Forward and inverse have closed
    forms. Raw zeros give the identity.

    A flow of angles needs a base on the circle, and conditioners that are periodic in their inputs. The option
    `circular` of `coupling_flow` and `autoregressive_flow` provides both.

    Args:
      bins: number of bins.

    Raises:
      ValueError: for fewer than 2 or more than 500 bins.

    Rezende et al. Normalizing flows on tori and spheres. ICML 2020. arXiv 2002.02428. Section 2.1.
    """

    def __init__(self, bins: int = 8):
        if not 2 <= bins <= 500:
            raise ValueError(f"expected 2 to 500 bins, got {bins}")
        self.bins = bins
        self.outputs = 3 * bins + 1

    def _spline_and_turn(self, raw: tf.Tensor) -> tuple[RationalQuadratic, tf.Tensor]:
        w, h, d, turn = tf.split(raw, [self.bins, self.bins, self.bins, 1], -2)
        slopes = slopes_of(d)
        slopes = tf.concat([slopes, slopes[..., :1, :]], -2)  # The last knot is the first.
        spline = RationalQuadratic(sizes_of(w, 2 * math.pi), sizes_of(h, 2 * math.pi), slopes, -math.pi)
        return spline, tf.squeeze(turn, -2)

    def forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        spline, turn = self._spline_and_turn(raw)
        z, log_slope = spline.forward(_within_period(x))
        return _within_period(z + turn), log_slope

    def inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        spline, turn = self._spline_and_turn(raw)
        return spline.inverse(_within_period(z - turn))

    def __str__(self) -> str:
        return f"circular spline of {self.bins} bins"


def _within_period(x: tf.Tensor) -> tf.Tensor:
    """The same angle within [-pi, pi]; bit for bit what is there already."""
    return tf.where(tf.abs(x) <= math.pi, x, tf.math.floormod(x + math.pi, 2 * math.pi) - math.pi)
