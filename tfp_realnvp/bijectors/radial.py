"""The radial flow's layer."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.bijector import Bijector


class Radial(Bijector):
    """Pushes away from a point, or pulls towards it.

    With `r = |x - c|`, `alpha = softplus(a)` and `beta = softplus(b) - alpha`:

        forward:  z = c + g (x - c),  g = 1 + beta / (alpha + r)
        inverse:  x = c + (z - c) / g,  r the positive root of r^2 + (alpha + beta - R) r - alpha R = 0,  R = |z - c|
        log|det df/dx| = (D - 1) log(g) + log(1 + alpha beta / (alpha + r)^2)

    `c`, `a` and `b` are learned; `beta > -alpha`, without which the map would not be invertible. Both directions are
    closed forms.

    Args:
      size: of an event, a vector: D.
      seed: of the first centre.
      dtype: of the variables, and of the flow.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: for an input of another size.

    #### Examples

    ```python
    radial = nvp.bijectors.Radial(size=2)
    z, log_det = radial.forward_and_log_det(tf.constant([[0.5, -1.0]]))
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
        name: str = "radial",
    ):
        parameters = dict(locals())
        self.size = size
        self.center = self._variable(np.random.default_rng(seed).normal(size=[size]), f"{name}_center", dtype)
        # The identity: beta is 0.
        self.raw_alpha = self._variable(0, f"{name}_raw_alpha", dtype)
        self.raw_beta = self._variable(0, f"{name}_raw_beta", dtype)
        super().__init__(
            event_ndims=1,
            parameters=parameters,
            layers=(self.center, self.raw_alpha, self.raw_beta),
            validate_args=validate_args,
            name=name,
        )

    def _weights(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """What lies between `x` and the centre, its length, alpha and beta."""
        if x.shape[-1] != self.size:
            raise ValueError(f"{self.name}: expected vectors of size {self.size}, got {x.shape[-1]}")
        alpha = tf.nn.softplus(self.raw_alpha.value)
        beta = tf.nn.softplus(self.raw_beta.value) - alpha
        away = x - self.center.value
        # At the centre the length has no gradient; here it has one of 0.
        square = tf.reduce_sum(away**2, -1)
        return away, tf.sqrt(tf.maximum(square, tf.constant(np.finfo(x.dtype.as_numpy_dtype).tiny))), alpha, beta

    def _forward_and_log_det(self, x, context, training):
        away, r, alpha, beta = self._weights(x)
        return self.center.value + self._growth(r, alpha, beta)[:, tf.newaxis] * away, self._log_det(r, alpha, beta)

    def _inverse_and_log_det(self, z, context, training):
        away, big_r, alpha, beta = self._weights(z)
        half = (big_r - alpha - beta) / 2
        root = tf.sqrt(half**2 + alpha * big_r)
        # The one of two equal forms that does not subtract what is nearly equal.
        r = tf.where(half > 0, half + root, alpha * big_r / (root - half))
        return self.center.value + away / self._growth(r, alpha, beta)[:, tf.newaxis], -self._log_det(r, alpha, beta)

    def _growth(self, r: tf.Tensor, alpha: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        return 1 + beta / (alpha + r)

    def _log_det(self, r: tf.Tensor, alpha: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        across = (self.size - 1) * tf.math.log(self._growth(r, alpha, beta))
        return across + tf.math.log1p(alpha * beta / (alpha + r) ** 2)
