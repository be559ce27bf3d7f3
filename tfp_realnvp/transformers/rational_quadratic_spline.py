"""The rational-quadratic spline of neural spline flows."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp import private
from tfp_realnvp.transformers.transformer import Transformer

# The minimum width and height of a bin, relative to the whole, and the minimum slope.
_LEAST = 1e-3


class RationalQuadraticSpline(Transformer):
    """A monotone rational-quadratic spline on [-bound, bound], the identity outside.

    With raw widths `w`, heights `h` and inner slopes `d` from the conditioner, in this order:

        widths  = 2 bound (least + (1 - bins least) softmax(w)),  heights likewise of h,  least = 1e-3
        slopes  = 1e-3 + softplus(d + log(exp(1 - 1e-3) - 1)) at the inner knots, 1 at both ends

    Forward and inverse have closed forms (the inverse is the root of a quadratic). Raw zeros give the identity.

    Args:
      bins: number of bins.
      bound: the spline covers [-bound, bound].

    Raises:
      ValueError: for fewer than 2 or more than 500 bins, or a bound that is not positive.

    Durkan, Bekasov, Murray, Papamakarios. Neural spline flows. NeurIPS 2019. arXiv 1906.04032.
    """

    def __init__(self, bins: int = 8, bound: float = 3.0):
        if not 2 <= bins <= 500:
            raise ValueError(f"expected 2 to 500 bins, got {bins}")
        if not bound > 0:
            raise ValueError(f"expected a positive bound, got {bound}")
        self.bins = bins
        self.bound = bound
        self.outputs = 3 * bins - 1

    def _spline(self, raw: tf.Tensor) -> _Spline:
        bins = self.bins
        w, h, d = tf.split(tf.linalg.matrix_transpose(raw), [bins, bins, bins - 1], -1)
        widths, heights = (2 * self.bound * (_LEAST + (1 - bins * _LEAST) * tf.nn.softmax(part)) for part in (w, h))
        # A raw slope of 0 gives a slope of 1.
        slopes = _LEAST + tf.nn.softplus(d + float(np.log(np.expm1(1 - _LEAST))))
        return _Spline(widths, heights, slopes, range_min=-self.bound)

    def forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._within_bound(self._spline(raw), x)

    def inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._within_bound(tfp.bijectors.Invert(self._spline(raw)), z)

    def _within_bound(self, spline: tfp.bijectors.Bijector, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The spline within its bound. Far outside, the gradients of its polynomials would overflow."""
        is_within = tf.abs(x) <= self.bound
        within = tf.where(is_within, x, tf.zeros_like(x))
        y, log_slope = spline.forward(within), spline.forward_log_det_jacobian(within, event_ndims=0)
        return tf.where(is_within, y, x), tf.where(is_within, log_slope, tf.zeros_like(x))

    def __str__(self) -> str:
        return f"spline of {self.bins} bins on +-{self.bound:g}"


class _Spline(tfp.bijectors.RationalQuadraticSpline):
    """TFP's spline, with an inverse free of cancellation.

    In a bin with end slopes `d_0` and `d_1` and mean slope `s`, the fraction `t` of the height is reached at this
    fraction of the width:

        2 s t / (2 s t + q + sqrt(q^2 + 4 s^2 t (1 - t))),    q = d_0 (1 - t) - d_1 t

    In steep splines the terms of TFP's `sqrt(b^2 - 4 a c)` cancel, and the argument of the root may fall below 0.
    """

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        bin_of = private.spline_bins(self, y)
        t = tf.where(bin_of.out_of_bounds, tf.zeros([], y.dtype), (y - bin_of.y_k) / bin_of.h_k)
        q = bin_of.d_k * (1 - t) - bin_of.d_kp1 * t
        product = 4 * bin_of.s_k**2 * t * (1 - t)
        # For q < 0, (root + q) (root - q) = product.
        added = tf.where(q < 0, -q, q) + tf.sqrt(q**2 + product)
        part = 2 * bin_of.s_k * t
        x = bin_of.x_k + bin_of.w_k * part / (part + tf.where(q < 0, product / added, added))
        return tf.where(bin_of.out_of_bounds, y, x)
