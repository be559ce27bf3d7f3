"""The radial flow's layer."""

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector


class Radial(Bijector):
    """Expands or contracts around a centre.

    With `r = |x - c|`, `alpha = softplus(a)` and `beta = softplus(b) - alpha`:

        forward:  z = c + g (x - c),  g = 1 + beta / (alpha + r)
        inverse:  x = c + (z - c) / g,  r the positive root of r^2 + (alpha + beta - R) r - alpha R = 0,  R = |z - c|
        log|det df/dx| = (D - 1) log(g) + log(1 + alpha beta / (alpha + r)^2)

    `c`, `a` and `b` are learned; `beta > -alpha` makes the map invertible. Both directions have closed forms.

    Args:
      size: number of entries of the vector, D.
      seed: seed of the initial centre.

    ```python
    radial = nvp.bijectors.Radial(size=2)
    z, log_det = radial.forward_and_log_det(tf.constant([[0.5, -1.0]]))
    ```

    Rezende, Mohamed. Variational inference with normalizing flows. ICML 2015. arXiv 1505.05770. Section 4.1.
    """

    _size: int

    takes_context = False

    def __init__(self, size: int, *, seed: int = 0, dtype: str = "float32", name: str = "radial"):
        super().__init__(event_ndims=1, size=size, name=name)
        self.center = self._variable(np.random.default_rng(seed).normal(size=[size]), f"{name}_center", dtype)
        # The map starts as the identity: beta is 0.
        self.raw_alpha = self._variable(0, f"{name}_raw_alpha", dtype)
        self.raw_beta = self._variable(0, f"{name}_raw_beta", dtype)

    def _weights(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """The vector from the centre to `x`, its length, alpha and alpha + beta."""
        away = x - self.center.value
        # Dividing by the largest entry keeps squares from overflowing. At the centre the length has a gradient of 0.
        least = tf.constant(np.sqrt(np.finfo(x.dtype.as_numpy_dtype).tiny), x.dtype)
        largest = tf.maximum(tf.stop_gradient(tf.reduce_max(tf.abs(away), -1)), least)
        squares = tf.reduce_sum((away / largest[:, tf.newaxis]) ** 2, -1)
        length = largest * tf.sqrt(tf.maximum(squares, tf.ones_like(squares)))
        return away, length, tf.nn.softplus(self.raw_alpha.value), tf.nn.softplus(self.raw_beta.value)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        away, r, alpha, total = self._weights(x)
        growth, log_det = self._growth_and_log_det(r, alpha, total)
        return self.center.value + growth[:, tf.newaxis] * away, log_det

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        away, big_r, alpha, total = self._weights(z)
        half = (big_r - total) / 2
        # sqrt(half^2 + alpha R), scaled by the larger of the two so that no square overflows.
        other = tf.sqrt(alpha * big_r)
        largest = tf.stop_gradient(tf.maximum(tf.abs(half), other))
        root = largest * tf.sqrt((half / largest) ** 2 + (other / largest) ** 2)
        # Of two equivalent forms, use the one without cancellation.
        is_beyond = half > 0
        r = tf.where(is_beyond, half + root, alpha * big_r / tf.where(is_beyond, root, root - half))
        growth, log_det = self._growth_and_log_det(r, alpha, total)
        return self.center.value + away / growth[:, tf.newaxis], -log_det

    def _growth_and_log_det(self, r: tf.Tensor, alpha: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`g` and the log-det as sums of positive terms: `alpha + beta` may be below the rounding of either."""
        near, far, added = alpha / (alpha + r), r / (alpha + r), total / (alpha + r)
        growth = far + added
        return growth, (self._size - 1) * tf.math.log(growth) + tf.math.log(far * (1 + near) + near * added)
