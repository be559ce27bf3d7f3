"""The piecewise linear spline of neural importance sampling."""

import tensorflow as tf

from tfp_realnvp.transformers.bins import Bins, Spline, fraction, sizes_of


class LinearSpline(Spline):
    """A monotone piecewise linear function on [-bound, bound], the identity outside.

    With raw heights `h` from the conditioner and bins of equal width:

        heights = 2 bound (least + (1 - bins least) softmax(h)),  least = 1e-3
        forward, in a bin with left knot (x_k, z_k) and slope s_k:  z = z_k + s_k (x - x_k)
        inverse:  x = x_k + (z - z_k) / s_k
        log dz/dx = log s_k

    The density jumps at the knots. Raw zeros give the identity.

    Args:
      bins: number of bins.
      bound: the spline covers [-bound, bound].

    Raises:
      ValueError: for fewer than 2 or more than 500 bins, or a bound that is not positive.

    Müller, McWilliams, Rousselle, Gross, Novák. Neural importance sampling. ACM Transactions on Graphics 2019. arXiv
    1808.03856. Section 4.
    """

    def __init__(self, bins: int = 16, bound: float = 3.0):
        super().__init__(bins, bound)
        self.outputs = bins

    def _sizes(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Widths and heights of the bins."""
        return tf.fill(tf.shape(raw), tf.constant(2 * self.bound / self.bins, raw.dtype)), sizes_of(raw, 2 * self.bound)

    def _forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._along(x, *self._sizes(raw))

    def _inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        widths, heights = self._sizes(raw)
        return self._along(z, heights, widths)

    def _along(self, x: tf.Tensor, widths: tf.Tensor, heights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        bins = Bins(x, widths, -self.bound)
        width, height = bins.of(widths), bins.of(heights)
        t = fraction(x + self.bound - bins.before(widths), width)
        return -self.bound + bins.before(heights) + t * height, tf.math.log(height) - tf.math.log(width)

    def __str__(self) -> str:
        return f"linear spline of {self.bins} bins on +-{self.bound:g}"
