"""Standardisation of the columns of a table."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.bijector import Bijector


class Standardize(Bijector):
    """Takes vectors in any units to entries of mean 0 and variance 1.

        forward:  z = (x - mean) / std
        inverse:  x = std z + mean
        log|det df/dx| = -sum over entries of log(std)

    `mean` and `std` are those of the training rows. They are variables, though nothing learns them: a checkpoint and an
    export hold them, so that what is read back takes and gives rows in their own units. With this as the first layer
    of a flow, `log_prob(x)` is the density in these units. `std` is kept as its logarithm.

    Args:
      mean: of each entry, `[size]`.
      std: standard deviation of each entry, `[size]`.
      dtype: of the variables, and of the flow.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: when `mean` and `std` are no vectors of one size, an entry is not finite in `dtype`, or a standard
        deviation is not positive; for an input of another size.

    #### Examples

    ```python
    standardize = nvp.bijectors.Standardize(mean=[170.0, 70.0], std=[10.0, 12.0])
    z, log_det = standardize.forward_and_log_det(tf.constant([[180.0, 58.0]]))  # [[1., -1.]], [-log(120)]
    ```
    """

    def __init__(
        self,
        mean: np.ndarray,
        std: np.ndarray,
        *,
        dtype: str = "float32",
        validate_args: bool = False,
        name: str = "standardize",
    ):
        parameters = dict(locals())
        with np.errstate(over="ignore"):  # It is infinite then, and refused.
            mean, std = np.asarray(mean, dtype), np.asarray(std, dtype)
        if mean.ndim != 1 or mean.shape != std.shape:
            raise ValueError(f"{name}: expected mean and std of one shape [size], got {mean.shape} and {std.shape}")
        if not np.all(np.isfinite(mean)):
            raise ValueError(f"{name}: expected a finite mean, got {mean[~np.isfinite(mean)][0]}")
        # The least numbers of a dtype have an inverse past the greatest. NaN is refused, too.
        is_good = (std >= np.finfo(dtype).tiny) & np.isfinite(std)
        if not np.all(is_good):
            raise ValueError(f"{name}: expected a finite std above 0, got {std[~is_good][0]}")
        self.size = len(mean)
        self.mean = self._variable(mean, f"{name}_mean", dtype, trainable=False)
        self.log_std = self._variable(np.log(std), f"{name}_log_std", dtype, trainable=False)
        super().__init__(
            event_ndims=1,
            parameters=parameters,
            layers=(self.mean, self.log_std),
            validate_args=validate_args,
            name=name,
        )

    def _forward_and_log_det(self, x, context, training):
        log_std = self._checked_log_std(x)
        return (x - self.mean.value) * tf.exp(-log_std), -self._log_det(x, log_std)

    def _inverse_and_log_det(self, z, context, training):
        log_std = self._checked_log_std(z)
        return z * tf.exp(log_std) + self.mean.value, self._log_det(z, log_std)

    def _checked_log_std(self, x: tf.Tensor) -> tf.Tensor:
        if x.shape[-1] != self.size:
            raise ValueError(f"{self.name}: expected vectors of size {self.size}, got {x.shape[-1]}")
        return tf.convert_to_tensor(self.log_std.value)

    def _log_det(self, x: tf.Tensor, log_std: tf.Tensor) -> tf.Tensor:
        """Of the inverse, for each event."""
        return tf.fill(tf.shape(x)[:1], tf.reduce_sum(log_std))
