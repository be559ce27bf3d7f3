"""Batch normalisation inside a network."""

from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.conditioners.network import Network, last_axis
from tfp_realnvp.moments import moments_over_replicas


@keras.saving.register_keras_serializable("tfp_realnvp")
class BatchNormalization(Network):
    """Normalises each channel of images over the batch, with a learned offset and no scale.

        training:  y = (x - mean) / sqrt(variance + epsilon) + beta,   moments of the batch, over all replicas
        inference: the same with the moving moments, which follow `momentum * moving + (1 - momentum) * batch`

    Equivalent to `keras.layers.BatchNormalization(scale=False, synchronized=True)`, in one kernel instead of thirty.

    Args:
      momentum: momentum of the moving averages.
      epsilon: added to the variance.
      **kwargs: passed to `keras.layers.Layer`. Moments are float32 or wider under any dtype policy.

    Shapes: `[batch, height, width, channels]`, unchanged.
    """

    def __init__(self, *, momentum: float = 0.9, epsilon: float = 1e-4, **kwargs: Any):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        def weight(name: str, initializer: str, trainable: bool) -> keras.Variable:
            return self.add_weight(
                name=name,
                shape=(last_axis(input_shape),),
                initializer=initializer,
                trainable=trainable,
                autocast=False,
                # Moments already cover the global batch, so all replicas assign the same values.
                aggregation="none" if trainable else "only_first_replica",
            )

        self.beta = weight("beta", "zeros", trainable=True)
        self.moving_mean = weight("moving_mean", "zeros", trainable=False)
        self.moving_variance = weight("moving_variance", "ones", trainable=False)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        moving = self.moving_mean.value, self.moving_variance.value
        is_fused = self.variable_dtype != "float64"  # float64 has no fused kernel.
        if not training:
            return self._fused(inputs, *moving, training=False)[0] if is_fused else self._normalize(inputs, moving)
        replica = tf.distribute.get_replica_context()
        over_replicas = replica is not None and replica.num_replicas_in_sync > 1
        if is_fused and not over_replicas:
            factor = _bessel_factor(inputs)
            # The kernel updates the moving moments with the unbiased variance, which is `factor` times larger.
            outputs, mean, variance = self._fused(inputs, moving[0], moving[1] * factor, training=True)
            moving = mean, variance / factor
        else:
            moments = moments_over_replicas(tf.cast(inputs, self.variable_dtype))
            outputs = self._normalize(inputs, moments)
            moving = tuple(self.momentum * old + (1 - self.momentum) * new for old, new in zip(moving, moments))
        # Assigned through Keras variables, so that a `keras.StatelessScope` can intercept it.
        for variable, value in zip((self.moving_mean, self.moving_variance), moving):
            variable.assign(value)
        return outputs

    def _fused(
        self, inputs: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the inputs normalised, in training by the batch's moments, and the updated moving moments."""
        return tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.ones(self.beta.shape),
            offset=self.beta.value,
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            exponential_avg_factor=1 - self.momentum if training else 1.0,
            is_training=training,
        )[:3]

    def _normalize(self, inputs: tf.Tensor, moments: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        scale, offset = self.scale_and_offset(moments)
        return inputs * tf.cast(scale, inputs.dtype) + tf.cast(offset, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...], **unused: Any) -> tuple[int | None, ...]:
        return input_shape

    def scale_and_offset(self, moments: tuple[tf.Tensor, tf.Tensor] | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """The vectors in `y = scale * x + offset`; at inference a preceding convolution can absorb them."""
        mean, variance = moments or (self.moving_mean.value, self.moving_variance.value)
        scale = tf.math.rsqrt(variance + self.epsilon)
        return scale, self.beta.value - mean * scale


def _bessel_factor(x: tf.Tensor) -> float | tf.Tensor:
    """The ratio of the unbiased to the biased variance of a batch; 1 for a single pixel."""
    pixels = x.shape[:-1].num_elements()
    if pixels is not None:
        return pixels / max(pixels - 1, 1)
    pixels = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), tf.float32)
    return pixels / tf.maximum(pixels - 1, 1.0)
