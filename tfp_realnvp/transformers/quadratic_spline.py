"""The piecewise quadratic spline of neural importance sampling."""

import tensorflow as tf

from tfp_realnvp.transformers.bins import Bins, Spline, fraction, sizes_of
from tfp_realnvp.transformers.rational_quadratic import slopes_of


class QuadraticSpline(Spline):
    """A monotone piecewise quadratic function on [-bound, bound], the identity outside.

    With raw widths `w` and inner slopes `d` from the conditioner, in this order:

        widths = 2 bound (least + (1 - bins least) softmax(w)),  least = 1e-3
        v_k    = (1e-3 + softplus(d_k + log(exp(1 - 1e-3) - 1))) / c,  1 at both ends

    where `c` makes the integral of the slope 2 bound. In a bin with slopes `a` and `b` at its ends, with the fraction
    `t` of its width and `u` of its height:

        forward:  u = t (a + (b - a) t / 2) / ((a + b) / 2)
        inverse:  t = u (a + b) / (a + s),  s = sqrt(a^2 (1 - u) + b^2 u)
        log dz/dx = log s = log(a + (b - a) t)

    The density is continuous, at the bound, too. Raw zeros give the identity.

    Args:
      bins: number of bins.
      bound: the spline covers [-bound, bound].

    Raises:
      ValueError: for fewer than 2 or more than 500 bins, or a bound that is not positive.

    Müller, McWilliams, Rousselle, Gross, Novák. Neural importance sampling. ACM Transactions on Graphics 2019. arXiv
    1808.03856. Section 4.
    """

    def __init__(self, bins: int = 12, bound: float = 3.0):
        super().__init__(bins, bound)
        self.outputs = 2 * bins - 1

    def _spline(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Widths and heights of the bins, slopes at their left and right ends."""
        w, d = tf.split(raw, [self.bins, self.bins - 1], -2)
        widths, inner = sizes_of(w, 2 * self.bound), slopes_of(d)
        # The integral is sum_k v_k (w_k + w_{k+1}) / 2 over inner knots, and the ends' part.
        of_inner = tf.reduce_sum(inner * (widths[..., :-1, :] + widths[..., 1:, :]) / 2, -2, keepdims=True)
        of_ends = (widths[..., :1, :] + widths[..., -1:, :]) / 2
        inner *= (2 * self.bound - of_ends) / of_inner
        ends = tf.ones_like(of_ends)
        left, right = tf.concat([ends, inner], -2), tf.concat([inner, ends], -2)
        return widths, widths * (left + right) / 2, left, right

    def _forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        widths, heights, lefts, rights = self._spline(raw)
        bins = Bins(x, widths, -self.bound)
        width, left, right = bins.of(widths), bins.of(lefts), bins.of(rights)
        t = fraction(x + self.bound - bins.before(widths), width)
        rise = width * t * (left * (1 - t / 2) + right * t / 2)
        return -self.bound + bins.before(heights) + rise, tf.math.log(left * (1 - t) + right * t)

    def _inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        widths, heights, lefts, rights = self._spline(raw)
        bins = Bins(z, heights, -self.bound)
        left, right = bins.of(lefts), bins.of(rights)
        u = fraction(z + self.bound - bins.before(heights), bins.of(heights))
        slope = tf.sqrt(left**2 * (1 - u) + right**2 * u)
        t = u * (left + right) / (left + slope)
        return -self.bound + bins.before(widths) + t * bins.of(widths), -tf.math.log(slope)

    def __str__(self) -> str:
        return f"quadratic spline of {self.bins} bins on +-{self.bound:g}"
