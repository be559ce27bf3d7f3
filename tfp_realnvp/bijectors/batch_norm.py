"""Batch normalisation as a layer of the flow."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.backprop import Backward, state_of
from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.masks import Everything, Mask
from tfp_realnvp.moments import moments_over_replicas


class BatchNorm(Bijector):
    """Normalises each channel of the changed entries; the normalisation is part of the model's density.

        forward:  z_b = (x_b - mean) / sqrt(variance + epsilon),  z_a = x_a
        inverse:  x_b = z_b * sqrt(variance + epsilon) + mean
        log|det df/dx| = -1/2 sum over changed entries of log(variance + epsilon)

    There is no gamma and no beta. The moments are taken over the changed entries:

    * Inference, and every inverse: moving averages, `moving <- momentum * moving + (1 - momentum) * batch` per step.
    * Training, `rho=None`: the moments of the current batch, over all replicas.
    * Training with `rho`, for small batches (appendix E of the paper): `rho * stop_gradient(moving) + (1 - rho) *
      batch`. These moments normalise, enter the log-det, and become the moving averages.

    The log-det treats the moments as constants. A constant channel has no density: each layer multiplies it by
    `1 / sqrt(epsilon)`. Remove such columns from the data.

    Args:
      channels: size of the last axis of the changed entries.
      mask: which entries are changed, as in the preceding coupling; all by default.
      epsilon: added to the variance.
      momentum: momentum of the moving averages.
      rho: weight of the running average in training, or None to use the current batch alone.

    Raises:
      ValueError: for a rho outside [0, 1), or an input with other than `channels` changed channels.

    ```python
    norm = nvp.bijectors.BatchNorm(channels=3)
    z, log_det = norm.forward_and_log_det(tf.random.normal([8, 4, 4, 3]))
    ```

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. Section 3.7 and appendix E.
    """

    takes_context = False

    def __init__(
        self,
        channels: int,
        *,
        mask: Mask | None = None,
        epsilon: float = 1e-4,
        momentum: float = 0.9,
        rho: float | None = None,
        dtype: str = "float32",
        name: str = "batch_norm",
    ):
        if rho is not None and not 0 <= rho < 1:
            raise ValueError(f"expected rho in [0, 1), got {rho}")
        mask = mask or Everything()
        super().__init__(event_ndims=mask.event_ndims, name=name)
        self.channels, self.mask = channels, mask
        self.epsilon, self.momentum, self.rho = epsilon, momentum, rho
        # The first replica's values suffice, since batch moments are over all replicas.
        moment = dict(shape=(channels,), trainable=False, aggregation="only_first_replica")
        self.moving_mean = self._variable("zeros", f"{name}_moving_mean", dtype, **moment)
        self.moving_variance = self._variable("ones", f"{name}_moving_variance", dtype, **moment)

    def describe(self) -> str:
        return "BatchNorm" if self.rho is None else f"BatchNorm rho={self.rho}"

    def _changed(self, x: tf.Tensor) -> tf.Tensor:
        changed = self.mask.changed(x)
        if changed.shape[-1] != self.channels:
            raise ValueError(f"{self.name}: expected {self.channels} changed channels, got {changed.shape[-1]}")
        return changed

    def _training_moments(self, changed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, variance = moments_over_replicas(changed, self.mask.weights(changed))
        old = self.moving_mean.value, self.moving_variance.value
        weight = self.momentum if self.rho is None else self.rho
        # `old` needs no `stop_gradient`: assigned values carry no gradient.
        new = tuple(weight * o + (1 - weight) * b for o, b in zip(old, (mean, variance)))
        self.moving_mean.assign(tf.stop_gradient(new[0]))
        self.moving_variance.assign(tf.stop_gradient(new[1]))
        return (mean, variance) if self.rho is None else new

    def _log_det(self, changed: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        per_entry = -0.5 * tf.math.log(variance + self.epsilon)
        return self.mask.sum(tf.broadcast_to(per_entry, tf.shape(changed)))

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._forward_and_moments(x, training)[:2]

    def _forward_and_moments(self, x: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor, tuple[tf.Tensor, ...]]:
        changed = self._changed(x)
        mean, variance = self._training_moments(changed) if training else self._moving_moments()
        z = self.mask.combine(x, (changed - mean) * tf.math.rsqrt(variance + self.epsilon))
        return z, self._log_det(changed, variance), (mean, variance)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        mean, variance = self._moving_moments()
        return self._denormalise(z, mean, variance), -self._log_det(self._changed(z), variance)

    def _moving_moments(self) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.identity(self.moving_mean.value), tf.identity(self.moving_variance.value)

    def _denormalise(self, z: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        return self.mask.combine(z, self._changed(z) * tf.sqrt(variance + self.epsilon) + mean)

    # In training mode `_inverse_and_log_det` does not invert this pass, which uses its batch's moments.

    def _forward_and_kept(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool, inverts: bool
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        if not inverts:
            return super()._forward_and_kept(x, context, training, inverts)
        state = state_of(self.layers)
        z, log_det, moments = self._forward_and_moments(x, training)
        return z, log_det, (moments, state)

    def _backward(
        self, z: tf.Tensor, kept: Any, dz: tf.Tensor, dlog_det: tf.Tensor, backward: Backward
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if not backward.inverts:
            return super()._backward(z, kept, dz, dlog_det, backward)
        moments, state = kept
        x = self._denormalise(backward.after_later_layers(z, dz), *moments)
        return x, backward.from_input(self._forward_and_log_det, x, state, dz, dlog_det)
