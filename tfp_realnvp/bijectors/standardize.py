"""Standardisation of vector entries."""

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector


class Standardize(Bijector):
    """Standardises each entry of a vector to mean 0 and variance 1.

        forward:  z = (x - mean) / std
        inverse:  x = std z + mean
        log|det df/dx| = -sum over entries of log(std)

    `mean` and `std` come from the training rows. They are non-trainable variables, saved in checkpoints and exports.
    With this as the first layer of a flow, `log_prob(x)` is the density in the units of the data.

    Args:
      mean: mean of each entry, `[size]`.
      std: standard deviation of each entry, `[size]`.

    Raises:
      ValueError: unless `mean` and `std` are finite vectors of equal size and `std` is positive; for an input of
        another size.

    ```python
    standardize = nvp.bijectors.Standardize(mean=[170.0, 70.0], std=[10.0, 12.0])
    z, log_det = standardize.forward_and_log_det(tf.constant([[180.0, 58.0]]))  # [[1., -1.]], [-log(120)]
    ```
    """

    takes_context = False

    def __init__(self, mean: ArrayLike, std: ArrayLike, *, dtype: str = "float32", name: str = "standardize"):
        with np.errstate(over="ignore"):  # Infinities are refused below.
            mean, std = np.asarray(mean, dtype), np.asarray(std, dtype)
        if mean.ndim != 1 or mean.shape != std.shape:
            raise ValueError(f"{name}: expected mean and std of one shape [size], got {mean.shape} and {std.shape}")
        if not np.all(np.isfinite(mean)):
            raise ValueError(f"{name}: expected a finite mean, got {mean[~np.isfinite(mean)][0]}")
        # The inverse of a subnormal number overflows.
        is_good = (std >= np.finfo(dtype).tiny) & np.isfinite(std)
        if not np.all(is_good):
            raise ValueError(f"{name}: expected a finite std above 0, got {std[~is_good][0]}")
        super().__init__(event_ndims=1, size=len(mean), name=name)
        self.mean = self._variable(mean, f"{name}_mean", dtype, trainable=False)
        self.log_std = self._variable(np.log(std), f"{name}_log_std", dtype, trainable=False)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return (x - self.mean.value) * tf.exp(-self.log_std.value), -self._log_det(x)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return z * tf.exp(self.log_std.value) + self.mean.value, self._log_det(z)

    def _log_det(self, z: tf.Tensor) -> tf.Tensor:
        """The log-det of the inverse, per event."""
        return tf.fill(tf.shape(z)[:1], tf.reduce_sum(self.log_std.value))
