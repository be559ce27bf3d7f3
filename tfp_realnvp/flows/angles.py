"""The base of flows of vectors with angles."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike


class AnglesAndNormals(tfp.distributions.Distribution):
    """Independent entries, each uniform on the circle or standard normal.

        log p(z) = sum over angles of -log(2 pi) + sum over the others of -z^2 / 2 - log(2 pi) / 2

    Samples of angles lie in [-pi, pi). As with TFP's `VonMises`, any number is an angle: the density has a period.

    Args:
      is_angle: for each entry, whether it is an angle.
      dtype: dtype of events.
      name: the distribution's name.
    """

    def __init__(self, is_angle: ArrayLike, dtype: str = "float32", name: str = "angles_and_normals"):
        parameters = dict(locals())
        self._is_angle = np.array(is_angle, bool)
        super().__init__(
            dtype=tf.as_dtype(dtype),
            reparameterization_type=tfp.distributions.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=False,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {}

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.zeros([0], tf.int32)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([len(self._is_angle)])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([len(self._is_angle)])

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        of_angles, of_normals = tfp.random.split_seed(seed)
        shape = [n, len(self._is_angle)]
        angles = tf.random.stateless_uniform(shape, of_angles, -math.pi, math.pi, self.dtype)
        return tf.where(self._is_angle, angles, tf.random.stateless_normal(shape, of_normals, dtype=self.dtype))

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        # Selected before the square: an angle of any size has no effect, not even on gradients.
        square = tf.where(self._is_angle, tf.zeros([], z.dtype), z) ** 2
        constant = -math.log(2 * math.pi) * np.sum(np.where(self._is_angle, 1.0, 0.5))
        return tf.constant(constant, z.dtype) - tf.reduce_sum(square, -1) / 2
