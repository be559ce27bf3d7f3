"""The base distribution of an exported flow."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd


class SavedBase(tfd.Distribution):
    """The custom base of an exported flow, as a distribution.

    Args:
      module: the result of `tf.saved_model.load` of an export.
      event_shape: event shape of the latent.
      dtype: dtype of the latent.
    """

    def __init__(self, module: Any, event_shape: Any, *, dtype: str):
        super().__init__(
            dtype=tf.as_dtype(dtype),
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            name="saved_base",
        )
        self._module = module
        self._shape = tf.TensorShape(event_shape)

    def _event_shape(self) -> tf.TensorShape:
        return self._shape

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant(self._shape.as_list(), tf.int32)

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.zeros([0], tf.int32)

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(z, tf.concat([[-1], self.event_shape_tensor()], 0))
        return tf.reshape(self._module.base_log_prob(flat), tf.shape(z)[: z.shape.rank - self._shape.rank])

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        return self._module.base_sample(n, tfp.random.sanitize_seed(seed))
