"""Batch normalisation inside a network."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfp_realnvp")
class BatchNormalization(keras.layers.Layer):
    """Normalises each channel of images over the batch; an offset, no scale.

        training:  y = (x - mean) / sqrt(variance + epsilon) + beta,   moments of the batch, over all replicas
        inference: the same with the moving moments, which follow `momentum * moving + (1 - momentum) * batch`

    As `keras.layers.BatchNormalization(scale=False, synchronized=True)`, but one kernel where that takes thirty: a
    Real NVP has hundreds of these, and Keras's took most of the step's tracing.

    Args:
      momentum: of the moving moments.
      epsilon: added to the variance.
      **kwargs: of `keras.layers.Layer`. Moments are float32 or wider under any dtype policy.

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
                shape=(input_shape[-1],),
                initializer=initializer,
                trainable=trainable,
                autocast=False,
                aggregation="none" if trainable else "mean",
            )

        self.beta = weight("beta", "zeros", trainable=True)
        self.moving_mean = weight("moving_mean", "zeros", trainable=False)
        self.moving_variance = weight("moving_variance", "ones", trainable=False)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if not training:
            return self._normalize(inputs, self.moving_mean.value, self.moving_variance.value)
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            mean, variance = _moments_over_replicas(tf.cast(inputs, self.variable_dtype), replica)
            outputs = self._normalize(inputs, mean, variance)
        elif self.variable_dtype == "float64":  # For which there is no fused kernel.
            mean, variance = tf.nn.moments(inputs, [0, 1, 2])
            outputs = self._normalize(inputs, mean, variance)
        else:
            outputs, mean, unbiased_variance = tf.compat.v1.nn.fused_batch_norm(
                inputs, tf.ones_like(self.beta.value), self.beta.value, epsilon=self.epsilon
            )
            count = _pixels(inputs)
            variance = unbiased_variance * ((count - 1) / count)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.value.assign_sub((1 - self.momentum) * (moving.value - batch))
        return outputs

    def _normalize(self, inputs: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        scale = tf.math.rsqrt(variance + self.epsilon)
        return inputs * tf.cast(scale, inputs.dtype) + tf.cast(self.beta.value - mean * scale, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


def _pixels(x: tf.Tensor) -> float | tf.Tensor:
    """Number of pixels in a batch, as a number where the shape is known."""
    pixels = x.shape[:-1].num_elements()
    return tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), tf.float32) if pixels is None else float(pixels)


def _moments_over_replicas(x: tf.Tensor, replica: tf.distribute.ReplicaContext) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of each channel over the global batch; gradients flow through the reduction."""
    axes = [0, 1, 2]
    count = tf.cast(_pixels(x), x.dtype)
    count, total = replica.all_reduce(tf.distribute.ReduceOp.SUM, [count, tf.reduce_sum(x, axes)])
    mean = total / count
    squares = replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(tf.square(x - mean), axes))
    return mean, squares / count
