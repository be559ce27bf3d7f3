"""The Sylvester flow's layer."""

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.householder import product_of_reflections
from tfp_realnvp.bijectors.planar import slope_of_step
from tfp_realnvp.transformers.bisection import inverse_by_bisection


class Sylvester(Bijector):
    """Shifts along several directions by smooth steps: a planar layer with M hidden units instead of one.

        forward:  z = x + Q R tanh(a),  a = T Q^T x + b
        inverse:  x = z - Q R tanh(a),  a_M, ..., a_1 in turn, each the root of a + (r_i t_i) tanh(a) = t_i y_i + c_i
        log|det df/dx| = sum_i log(tanh(a_i)^2 + (1 + r_i t_i) / cosh(a_i)^2)

    Q has M orthonormal columns, the first of a product of M Householder reflections. R and T are upper triangular, with
    diagonals r and t. In the inverse `y_i` is entry i of `Q^T z` less the steps after i, and `c_i` what they add to
    `a_i`. `t_i = exp(log_t_i) > 0` and `1 + r_i t_i = softplus(raw_r_i) > 0` make the map invertible; the signs of t
    would change nothing.

    Forward has a closed form. The inverse is solved by M bisections, see `inverse_by_bisection`. For variational
    inference wrap it in `tfb.Invert`, so that sampling has the closed form.

    Args:
      size: number of entries of the vector.
      units: M, the number of hidden units, from 1 to `size`; by default `size`.
      seed: seed of the initial directions.

    Raises:
      ValueError: for another number of units.

    ```python
    sylvester = nvp.bijectors.Sylvester(size=3, units=2)
    z, log_det = sylvester.forward_and_log_det(tf.constant([[0.5, -1.0, 2.0]]))
    ```

    Van den Berg, Hasenclever, Tomczak, Welling. Sylvester normalizing flows for variational inference. UAI 2018. arXiv
    1803.05649.
    """

    takes_context = False

    def __init__(
        self, size: int, *, units: int | None = None, seed: int = 0, dtype: str = "float32", name: str = "sylvester"
    ):
        units = size if units is None else units
        if not 1 <= units <= size:
            raise ValueError(f"expected 1 to {size} units for vectors of size {size}, got {units}")
        super().__init__(event_ndims=1, size=size, name=name)
        self.units = units
        random = np.random.default_rng(seed)
        identity_like = np.log(np.expm1(1.0))  # softplus(raw_r) = 1: no step along a unit's own direction.
        self.reflections = self._variable(random.normal(size=[units, size]), f"{name}_reflections", dtype)
        self.r_above = self._variable(0.1 * random.normal(size=[units, units]), f"{name}_r_above", dtype)
        self.t_above = self._variable(0.1 * random.normal(size=[units, units]), f"{name}_t_above", dtype)
        self.raw_r = self._variable(identity_like + 0.1 * random.normal(size=[units]), f"{name}_raw_r", dtype)
        self.log_t = self._variable("zeros", f"{name}_log_t", dtype, shape=(units,))
        self.offset = self._variable("zeros", f"{name}_offset", dtype, shape=(units,))

    def describe(self) -> str:
        return f"{self.name}: {self.units} units"

    def _weights(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Q^T, R, T and 1 + r_i t_i."""
        tiny = tf.constant(np.finfo(x.dtype.as_numpy_dtype).tiny, x.dtype)
        log_t = self.log_t.value
        # Kept apart, since adding 1 to r_i t_i later would lose it to rounding.
        above = tf.maximum(tf.nn.softplus(self.raw_r.value), tiny)
        r = tf.linalg.set_diag(tf.linalg.band_part(self.r_above.value, 0, -1), (above - 1) * tf.exp(-log_t))
        t = tf.linalg.set_diag(tf.linalg.band_part(self.t_above.value, 0, -1), tf.exp(log_t))
        return tf.transpose(product_of_reflections(self.reflections.value))[: self.units], r, t, above

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        q, r, t, above = self._weights(x)
        a = tf.linalg.matvec(t, tf.linalg.matvec(q, x)) + self.offset.value
        steps = tf.linalg.matvec(r, tf.tanh(a))
        return x + tf.linalg.matvec(q, steps, transpose_a=True), _log_det(a, above)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        q, r, t, above = self._weights(z)
        y = tf.linalg.matvec(q, z)
        a = self._preactivations(y, r, t, above)
        steps = tf.linalg.matvec(r, tf.tanh(a))
        return z - tf.linalg.matvec(q, steps, transpose_a=True), -_log_det(a, above)

    def _preactivations(self, y: tf.Tensor, r: tf.Tensor, t: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
        """`a` for `y = Q^T z`, `[batch, units]`: the root of `a + T R tanh(a) - T y - b`."""
        offset = self.offset.value
        solved = self._solved(*map(tf.stop_gradient, (y, r, t, above, offset)))
        # A Newton step has the root's gradient; see `inverse_by_bisection`. Its matrix is upper triangular.
        h, tr = tf.tanh(solved), t @ r
        value = solved + tf.linalg.matvec(tr, h) - tf.linalg.matvec(t, y) - offset
        jacobian = tf.linalg.set_diag(tr * (1 - h**2)[:, tf.newaxis], slope_of_step(solved, above))
        change = (value - tf.stop_gradient(value))[..., tf.newaxis]
        return solved - tf.linalg.triangular_solve(tf.stop_gradient(jacobian), change, lower=False)[..., 0]

    def _solved(self, y: tf.Tensor, r: tf.Tensor, t: tf.Tensor, above: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
        """The values of `_preactivations`, from the last unit to the first."""
        y = tf.transpose(y)  # Units first.
        reach = tf.abs(above - 1)

        def solve_one_more(i: tf.Tensor, a: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            """`a_i`, and `u_i`, entry i of `Q^T x`; both are 0 for the units before i."""
            known = tf.expand_dims(y[i] - tf.linalg.matvec(tf.tanh(a), r[i], transpose_a=True), 0)
            target = t[i, i] * known + tf.linalg.matvec(u, t[i], transpose_a=True) + offset[i]
            above_i = above[i]

            def value_and_slope(a: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                return a + (above_i - 1) * tf.tanh(a), slope_of_step(a, above_i)

            a_i = inverse_by_bisection(value_and_slope, target, target - reach[i], target + reach[i])
            is_i = tf.equal(tf.range(self.units), i)[:, tf.newaxis]
            return i - 1, tf.where(is_i, a_i, a), tf.where(is_i, known - r[i, i] * tf.tanh(a_i), u)

        start = self.units - 1, tf.zeros_like(y), tf.zeros_like(y)
        _, a, _ = tf.while_loop(lambda *unused: True, solve_one_more, start, maximum_iterations=self.units)
        return tf.transpose(a)


def _log_det(a: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.math.log(slope_of_step(a, above)), -1)
