"""The rational-quadratic spline of neural spline flows."""

import tensorflow as tf

from tfp_realnvp.transformers.bins import Spline, sizes_of
from tfp_realnvp.transformers.rational_quadratic import RationalQuadratic, slopes_of


class RationalQuadraticSpline(Spline):
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
        super().__init__(bins, bound)
        self.outputs = 3 * bins - 1

    def _spline(self, raw: tf.Tensor) -> RationalQuadratic:
        w, h, d = tf.split(raw, [self.bins, self.bins, self.bins - 1], -2)
        ends = tf.ones_like(w[..., :1, :])
        slopes = tf.concat([ends, slopes_of(d), ends], -2)
        return RationalQuadratic(sizes_of(w, 2 * self.bound), sizes_of(h, 2 * self.bound), slopes, -self.bound)

    def _forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._spline(raw).forward(x)

    def _inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._spline(raw).inverse(z)

    def __str__(self) -> str:
        return f"spline of {self.bins} bins on +-{self.bound:g}"
