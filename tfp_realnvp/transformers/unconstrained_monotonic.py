"""Unconstrained monotonic neural networks."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.transformers.linear_tails import Curve, LinearTails, integral_from_zero
from tfp_realnvp.transformers.rational_quadratic import slopes_of


class UnconstrainedMonotonic(LinearTails):
    """The integral of a positive neural network on [-bound, bound], linear outside.

    With a shift `t` and a signal `h` of several numbers from the conditioner, in this order, and a dense network `g`
    that all entries share:

        f(x)     = 1e-3 + softplus(g(x, h) + log(exp(1 - 1e-3) - 1))
        forward:  z = t + integral of f(x; h) from 0 to x, by Gauss-Legendre quadrature
        inverse:  by bisection of [-bound, bound]: to 2^-32 of it in float32, 2^-64 in float64
        log dz/dx = log f(x)

    The log-slope is exact. The error of the integral falls exponentially with the number of points, faster for smoother
    `g`; the activation of hidden layers is `tanh`. A density takes `points + 1` evaluations of `g` per entry, a sample
    about 33 times as many. The network starts at `f = 1`, the identity.

    Args:
      signal: number of entries of `h`.
      hidden_units: sizes of the hidden layers of `g`.
      points: number of points of the quadrature.
      bound: the integral covers [-bound, bound]; outside, the function continues with the slope at the end.
      seed: seed of the initial weights.

    Raises:
      ValueError: for a signal, hidden layers or points fewer than 1, or a bound that is not positive.

    Wehenkel, Louppe. Unconstrained monotonic neural networks. NeurIPS 2019. arXiv 1908.05164.
    """

    kernels: list[keras.Variable]  # Made by `build`, as are the biases.
    biases: list[keras.Variable]

    def __init__(
        self,
        signal: int = 8,
        hidden_units: Sequence[int] = (32, 32),
        *,
        points: int = 24,
        bound: float = 6.0,
        seed: int = 0,
    ):
        if min(signal, points, len(hidden_units), *hidden_units) < 1:
            given = f"{signal}, {tuple(hidden_units)} and {points}"
            raise ValueError(f"expected a signal, hidden layers and points of 1 or more, got {given}")
        super().__init__(bound)
        self.signal = signal
        self.hidden_units = tuple(hidden_units)
        self.points = points
        self.seed = seed
        self.outputs = 1 + signal

    def build(self, dtype: str, name: str) -> None:
        random = np.random.default_rng(self.seed)
        self.kernels, self.biases = [], []
        inputs = 1 + self.signal
        for i, units in enumerate((*self.hidden_units, 1)):
            # The last kernel starts at 0, so that f starts at 1.
            reach = inputs**-0.5 if i < len(self.hidden_units) else 0.0
            for kind, shape, into in (("kernel", (inputs, units), self.kernels), ("bias", (units,), self.biases)):
                start = random.uniform(-reach, reach, shape).astype(dtype)
                into.append(keras.Variable(start, dtype=dtype, autocast=False, name=f"{name}_{kind}_{i}"))
            inputs = units
        self.variables = (*self.kernels, *self.biases)

    def _curve(self, raw: tf.Tensor) -> Curve:
        kernels, biases = ([v.value for v in variables] for variables in (self.kernels, self.biases))
        # The first layer's part that does not depend on x, once for all points: `[..., entries, units]`.
        of_x, of_signal = kernels[0][0], kernels[0][1:]
        signal = tf.linalg.matrix_transpose(raw[..., 1:, :])
        fixed = tf.tensordot(signal, of_signal, 1) + biases[0]

        def slope(x: tf.Tensor) -> tf.Tensor:
            hidden = tf.tanh(fixed + x[..., tf.newaxis] * of_x)
            for kernel, bias in zip(kernels[1:-1], biases[1:-1]):
                hidden = tf.tanh(tf.tensordot(hidden, kernel, 1) + bias)
            # A sum of products, since a matrix with one column is slow to multiply by.
            return slopes_of(tf.reduce_sum(hidden * kernels[-1][:, 0], -1) + biases[-1])

        def curve(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return raw[..., 0, :] + integral_from_zero(slope, x, self.points), tf.math.log(slope(x))

        return curve

    def __str__(self) -> str:
        return f"integral of a network {'x'.join(map(str, self.hidden_units))} on +-{self.bound:g}"
