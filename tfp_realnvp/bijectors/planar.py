"""The planar flow's layer."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.bisection import inverse_by_bisection


class Planar(Bijector):
    """Pushes and pulls along one direction, by a step across a plane.

        forward:  z = x + u tanh(w.x + b),   u = v + (softplus(w.v) - 1 - w.v) w / |w|^2
        inverse:  x = z - u tanh(a),         a the root of a + (w.u) tanh(a) = w.z + b
        log|det df/dx| = log(1 + (w.u) (1 - tanh(a)^2)),   a = w.x + b

    `v`, `w` and `b` are learned; `u` has `w.u > -1`, without which the map would not be invertible. Forward is a closed
    form. The inverse finds its root by bisection, in 32 cheap steps (64 in float64) to 2^-32 of a bracket of width
    `2 |w.u|`; no solver fails. For variational inference, where samples are drawn and scored, put `tfb.Invert` of it
    into a flow: sampling is the closed form then.

    Args:
      size: of an event, a vector.
      seed: of the first direction.
      dtype: of the variables, and of the flow.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: for an input of another size.

    #### Examples

    ```python
    planar = nvp.bijectors.Planar(size=2)
    z, log_det = planar.forward_and_log_det(tf.constant([[0.5, -1.0]]))
    ```

    #### References

    Rezende, Mohamed. Variational inference with normalizing flows. ICML 2015. arXiv 1505.05770. Section 4.1.
    """

    def __init__(
        self,
        size: int,
        *,
        seed: int = 0,
        dtype: str = "float32",
        validate_args: bool = False,
        name: str = "planar",
    ):
        parameters = dict(locals())
        self.size = size
        random = np.random.default_rng(seed)
        self.direction = self._variable(random.normal(size=[size]) / np.sqrt(size), f"{name}_direction", dtype)
        self.push = self._variable(0.1 * random.normal(size=[size]), f"{name}_push", dtype)
        self.offset = self._variable(0, f"{name}_offset", dtype)
        super().__init__(
            event_ndims=1,
            parameters=parameters,
            layers=(self.direction, self.push, self.offset),
            validate_args=validate_args,
            name=name,
        )

    def _weights(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """w, u and w.u."""
        if x.shape[-1] != self.size:
            raise ValueError(f"{self.name}: expected vectors of size {self.size}, got {x.shape[-1]}")
        w, v = tf.convert_to_tensor(self.direction.value), self.push.value
        along, square = tf.reduce_sum(w * v), tf.reduce_sum(w * w)
        allowed = tf.nn.softplus(along) - 1
        return w, v + (allowed - along) * w / square, allowed

    def _forward_and_log_det(self, x, context, training):
        w, u, along = self._weights(x)
        step = tf.tanh(tf.linalg.matvec(x, w) + self.offset.value)
        return x + step[:, tf.newaxis] * u, tf.math.log1p(along * (1 - step**2))

    def _inverse_and_log_det(self, z, context, training):
        w, u, along = self._weights(z)
        step = tf.tanh(_root(tf.linalg.matvec(z, w) + self.offset.value, along))
        return z - step[:, tf.newaxis] * u, -tf.math.log1p(along * (1 - step**2))


def _root(y: tf.Tensor, along: tf.Tensor) -> tf.Tensor:
    """The `a` of which `a + along * tanh(a)` is `y`, for `along > -1`: the left side then rises with `a`."""

    def value_and_slope(a: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        step = tf.tanh(a)
        return a + along * step, 1 + along * (1 - step**2)

    return inverse_by_bisection(value_and_slope, y, y - tf.abs(along), y + tf.abs(along))
