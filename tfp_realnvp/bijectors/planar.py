"""The planar flow's layer."""

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.transformers.bisection import inverse_by_bisection


class Planar(Bijector):
    """Shifts along one direction by a smooth step across a plane.

        forward:  z = x + u tanh(w.x + b),   u = v + (softplus(w.v) - 1 - w.v) w / |w|^2
        inverse:  x = z - u tanh(a),         a the root of a + (w.u) tanh(a) = w.z + b
        log|det df/dx| = log(tanh(a)^2 + (1 + w.u) / cosh(a)^2),   a = w.x + b

    `v`, `w` and `b` are learned; `w.u > -1` makes the map invertible. Where `|w| < 1e-3` the denominator is 1e-6 if
    `w.v > -1`. Forward has a closed form. The inverse is solved by bisection, see `inverse_by_bisection`. For
    variational inference wrap it in `tfb.Invert`, so that sampling has the closed form.

    Args:
      size: number of entries of the vector.
      seed: seed of the initial direction.

    ```python
    planar = nvp.bijectors.Planar(size=2)
    z, log_det = planar.forward_and_log_det(tf.constant([[0.5, -1.0]]))
    ```

    Rezende, Mohamed. Variational inference with normalizing flows. ICML 2015. arXiv 1505.05770. Section 4.1.
    """

    takes_context = False

    def __init__(self, size: int, *, seed: int = 0, dtype: str = "float32", name: str = "planar"):
        super().__init__(event_ndims=1, size=size, name=name)
        random = np.random.default_rng(seed)
        self.direction = self._variable(random.normal(size=[size]) / np.sqrt(size), f"{name}_direction", dtype)
        self.push = self._variable(0.1 * random.normal(size=[size]), f"{name}_push", dtype)
        self.offset = self._variable(0, f"{name}_offset", dtype)

    def _weights(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """w, u and 1 + w.u."""
        w, v = tf.convert_to_tensor(self.direction.value), self.push.value
        along, square = tf.reduce_sum(w * v), tf.reduce_sum(w * w)
        tiny = tf.constant(np.finfo(x.dtype.as_numpy_dtype).tiny, x.dtype)
        # 1 + w.u is computed directly: adding 1 to w.u later would lose it to rounding.
        above = tf.maximum(tf.nn.softplus(along), tiny)
        missing = above - 1 - along
        # Near w = 0, w / |w|^2 has no limit; if w.v > -1 already, v is used unchanged.
        least = tf.where(missing > 0, tiny, tf.constant(1e-6, x.dtype))
        given = missing / tf.maximum(square, least)
        return w, v + given * w, tf.where(square < least, 1 + along + given * tf.minimum(square, least), above)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        w, u, above = self._weights(x)
        a = tf.linalg.matvec(x, w) + self.offset.value
        return x + tf.tanh(a)[:, tf.newaxis] * u, tf.math.log(slope_of_step(a, above))

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        w, u, above = self._weights(z)
        y, reach = tf.linalg.matvec(z, w) + self.offset.value, tf.abs(above - 1)

        def value_and_slope(a: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return a + (above - 1) * tf.tanh(a), slope_of_step(a, above)

        a = inverse_by_bisection(value_and_slope, y, y - reach, y + reach)
        return z - tf.tanh(a)[:, tf.newaxis] * u, -tf.math.log(slope_of_step(a, above))


def slope_of_step(a: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
    """`1 + (above - 1) (1 - tanh(a)^2)`, as a sum of positive terms."""
    decay = tf.exp(-2 * tf.abs(a))
    return tf.tanh(a) ** 2 + above * 4 * decay / (1 + decay) ** 2
