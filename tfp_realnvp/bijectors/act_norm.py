"""Activation normalisation."""

import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.moments import moments_over_replicas


class ActNorm(Bijector):
    """Scales and shifts each channel so that the first training batch comes out with mean 0 and variance 1.

        forward:  z = (x - mean) / deviation * exp(log_scale) + shift
        inverse:  x = (z - shift) * exp(-log_scale) * deviation + mean
        log|det df/dx| = sum over entries of log_scale - log(deviation)

    `shift` and `log_scale` are learned and start at 0. `mean` and `deviation` are computed from the first batch in
    training mode, over all replicas, and then stay fixed; before that batch they are 0 and 1.

    Args:
      channels: size of the last axis.
      event_ndims: number of axes of an event: 1 for vectors, 3 for images.

    ```python
    norm = nvp.bijectors.ActNorm(channels=3, event_ndims=3)
    z, log_det = norm.forward_and_log_det(tf.random.normal([8, 4, 4, 3]))
    ```

    Kingma, Dhariwal. Glow: generative flow with invertible 1x1 convolutions. NeurIPS 2018. arXiv 1807.03039.
    """

    takes_context = False

    def __init__(self, channels: int, *, event_ndims: int = 1, dtype: str = "float32", name: str = "act_norm"):
        super().__init__(event_ndims=event_ndims, size=channels, name=name)
        self.shift = self._variable("zeros", f"{name}_shift", dtype, shape=(channels,))
        self.log_scale = self._variable("zeros", f"{name}_log_scale", dtype, shape=(channels,))
        # The first replica's values suffice, since the moments are over all replicas.
        moment = dict(shape=(channels,), trainable=False, aggregation="only_first_replica")
        self.mean = self._variable("zeros", f"{name}_first_mean", dtype, **moment)
        # 0 until the first batch; a stored 0 is used as 1.
        self.variance = self._variable("zeros", f"{name}_first_variance", dtype, **moment)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        mean, variance = self._first_moments(x) if training else (self.mean.value, self.variance.value)
        log_scale = self._total_log_scale(variance)
        return (x - mean) * tf.exp(log_scale) + self.shift.value, self._log_det(x, log_scale)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        log_scale = self._total_log_scale(self.variance.value)
        return (z - self.shift.value) * tf.exp(-log_scale) + self.mean.value, -self._log_det(z, log_scale)

    def _total_log_scale(self, variance: tf.Tensor) -> tf.Tensor:
        return self.log_scale.value - 0.5 * tf.math.log(tf.where(variance > 0, variance, tf.ones_like(variance)))

    def _log_det(self, x: tf.Tensor, log_scale: tf.Tensor) -> tf.Tensor:
        positions = tf.reduce_prod(tf.shape(x)[1:-1])
        return tf.fill(tf.shape(x)[:1], tf.cast(positions, x.dtype) * tf.reduce_sum(log_scale))

    def _first_moments(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The moments stored from the first batch; if there are none yet, stores and returns this batch's."""
        mean, variance = moments_over_replicas(tf.stop_gradient(x))
        # A constant channel is divided by a small number, not by 0.
        variance = tf.maximum(variance, tf.constant(1e-6, x.dtype))
        is_set = tf.reduce_all(self.variance.value > 0)
        mean = tf.where(is_set, self.mean.value, mean)
        variance = tf.where(is_set, self.variance.value, variance)
        self.mean.assign(mean)
        self.variance.assign(variance)
        return mean, variance
