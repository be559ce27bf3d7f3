"""Bernstein polynomials."""

import math

import numpy as np
import tensorflow as tf

from tfp_realnvp.transformers.linear_tails import Curve, LinearTails
from tfp_realnvp.transformers.rational_quadratic import slopes_of


class Bernstein(LinearTails):
    """A Bernstein polynomial with increasing coefficients on [-bound, bound], linear outside.

    With a shift `t` and raw increments `d_1 ... d_n` from the conditioner, and with `u = (x / bound + 1) / 2`:

        r_k = 1e-3 + softplus(d_k + log(exp(1 - 1e-3) - 1))
        a_k = t + (2 bound / n) (r_1 + ... + r_k - (r_1 + ... + r_n) / 2)
        forward:  z = sum_k a_k C(n, k) u^k (1 - u)^(n - k),  k = 0 ... n
        inverse:  by bisection of [-bound, bound]: to 2^-32 of it in float32, 2^-64 in float64
        dz/dx = sum_k r_{k+1} C(n - 1, k) u^k (1 - u)^(n - 1 - k)

    The slope lies between the smallest and the largest `r`, and is continuous. Raw zeros give the identity.

    Args:
      degree: n.
      bound: the polynomial covers [-bound, bound]; outside, the function continues with the slope at the end.

    Raises:
      ValueError: for a degree below 1 or above 64, or a bound that is not positive.

    Ramasinghe, Fernando, Khan, Barnes. Robust normalizing flows using Bernstein-type polynomials. 2021. arXiv
    2102.03509.
    """

    def __init__(self, degree: int = 16, bound: float = 3.0):
        if not 1 <= degree <= 64:
            raise ValueError(f"expected a degree from 1 to 64, got {degree}")
        super().__init__(bound)
        self.degree = degree
        self.outputs = degree + 1

    def _curve(self, raw: tf.Tensor) -> Curve:
        n = self.degree
        shift, increments = raw[..., :1, :], slopes_of(raw[..., 1:, :])
        total = tf.reduce_sum(increments, -2, keepdims=True)
        before = tf.concat([tf.zeros_like(total), tf.cumsum(increments, -2)], -2)
        coefficients = shift + (2 * self.bound / n) * (before - total / 2)

        def curve(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            u = (x / self.bound + 1) / 2
            up, down = _powers(u, n), _powers(1 - u, n)
            slope = tf.reduce_sum(increments * _basis(up[:-1], down[:-1]), -2)
            return tf.reduce_sum(coefficients * _basis(up, down), -2), tf.math.log(slope)

        return curve

    def __str__(self) -> str:
        return f"Bernstein polynomial of degree {self.degree} on +-{self.bound:g}"


def _powers(u: tf.Tensor, degree: int) -> list[tf.Tensor]:
    """`u^0 ... u^degree`, by products: the gradient of `tf.pow` is not finite at 0."""
    powers = [tf.ones_like(u)]
    for _ in range(degree):
        powers.append(powers[-1] * u)
    return powers


def _basis(up: list[tf.Tensor], down: list[tf.Tensor]) -> tf.Tensor:
    """The Bernstein polynomials of one degree, `[..., degree + 1, entries]`: all positive, with the sum 1."""
    degree = len(up) - 1
    counts = np.array([[math.comb(degree, k)] for k in range(degree + 1)], float)
    return tf.constant(counts, up[0].dtype) * tf.stack(up, -2) * tf.stack(down[::-1], -2)
