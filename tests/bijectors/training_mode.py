"""A bijector in training mode."""

import keras
import tensorflow as tf

from tfp_realnvp.bijectors import Bijector


class Training(keras.layers.Layer):
    """Calls a bijector inside a Keras layer: `Training(bijector)(x, training=True)`."""

    def __init__(self, bijector: Bijector):
        super().__init__(autocast=False)
        self.bijector = bijector

    def call(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self.bijector.forward_and_log_det(x)
