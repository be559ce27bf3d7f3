"""Sum-of-squares polynomials."""

import numpy as np
import tensorflow as tf

from tfp_realnvp.transformers.linear_tails import Curve, LinearTails, integral_from_zero

_LEAST = 1e-3  # The minimum slope.
_APART = 0.3  # How far the polynomials after the first start from 0, where they would have no gradient.


class SumOfSquares(LinearTails):
    """The integral of a sum of squares of polynomials on [-bound, bound], linear outside.

    With a shift `t` and raw coefficients `a_kl` from the conditioner, in this order, and `v = x / bound`:

        p_k(v) = b_k(v) + sum_l a_kl v^l,  l = 0 ... degree;  b_1 = 1, b_k = .3 v^(k - 1)
        dz/dx  = (1e-3 + sum_k p_k(v)^2) / 1.001
        forward:  z = t + integral of dz/dx from 0 to x, exact: a polynomial of degree 2 degree + 1
        inverse:  by bisection of [-bound, bound]: to 2^-32 of it in float32, 2^-64 in float64

    Any increasing polynomial has this form with two squares. Raw zeros are close to the identity: with `b_k = 0` for
    `k > 1` they would be the identity, and `p_k` would have no gradient. The slope is continuous.

    Args:
      polynomials: number of squares.
      degree: degree of each `p_k`.
      bound: the polynomial covers [-bound, bound]; outside, the function continues with the slope at the end.

    Raises:
      ValueError: for fewer than 1 polynomial, more polynomials than `degree + 1`, or a bound that is not positive.

    Jaini, Selby, Yu. Sum-of-squares polynomial flow. ICML 2019. arXiv 1905.02325.
    """

    def __init__(self, polynomials: int = 2, degree: int = 4, bound: float = 3.0):
        if not 1 <= polynomials <= degree + 1:
            raise ValueError(f"expected 1 to {degree + 1} polynomials of degree {degree}, got {polynomials}")
        super().__init__(bound)
        self.polynomials = polynomials
        self.degree = degree
        self.outputs = 1 + polynomials * (degree + 1)

    def _curve(self, raw: tf.Tensor) -> Curve:
        start = _APART * np.eye(self.polynomials, self.degree + 1)
        start[0, 0] = 1
        coefficients = raw[..., 1:, :] + tf.constant(start.reshape([-1, 1]), raw.dtype)
        polynomials = [tf.unstack(part, axis=-2) for part in tf.split(coefficients, self.polynomials, -2)]

        def slope(x: tf.Tensor) -> tf.Tensor:
            total = tf.fill(tf.shape(x), tf.constant(_LEAST, x.dtype))
            for highest_last in polynomials:
                value = highest_last[-1]
                for coefficient in highest_last[-2::-1]:
                    value = value * x / self.bound + coefficient
                total += value**2
            return total / (1 + _LEAST)

        def curve(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return raw[..., 0, :] + integral_from_zero(slope, x, self.degree + 1), tf.math.log(slope(x))

        return curve

    def __str__(self) -> str:
        squares = f"{self.polynomials} squares of degree {self.degree}"
        return f"integral of {squares} on +-{self.bound:g}"
