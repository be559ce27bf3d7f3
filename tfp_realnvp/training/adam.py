"""Adam as one kernel a variable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfp_realnvp")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, its update of a variable one kernel instead of fifteen.

        m <- beta_1 m + (1 - beta_1) g,    v <- beta_2 v + (1 - beta_2) g^2
        variable <- variable - rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)

    The same numbers to rounding. A Real NVP has hundreds of small variables, so that Keras's Adam was a third of the
    step's graph. Takes the arguments of Keras's, but for `amsgrad`. `epsilon` is 1e-8 by default, as in the paper.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        **kwargs: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self._skip, self._reduced = None, False
        if self.amsgrad:
            raise ValueError("expected amsgrad=False: the fused kernel has none; use keras.optimizers.Adam")

    def apply(
        self,
        grads: Sequence[tf.Tensor],
        trainable_variables: Sequence[Any] | None = None,
        *,
        skip: tf.Tensor | None = None,
        reduced: bool = False,
    ) -> None:
        """As Keras's `apply`, with two things more.

        Args:
          grads: the gradients.
          trainable_variables: their variables.
          skip: where true, neither the variables nor the moments change.
          reduced: whether all replicas hand over the same gradients, reduced already; otherwise they are summed.
        """
        self._skip, self._reduced = skip, reduced
        try:
            super().apply(grads, trainable_variables)
        finally:
            self._skip, self._reduced = None, False

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars if self._reduced else super()._all_reduce_sum_gradients(grads_and_vars)

    def _distributed_tf_update_step(self, distribution, grads_and_vars, learning_rate):
        # What all variables share is made once: the bias correction, and the constants of each dtype. Not from
        # `learning_rate`, of which `tf.distribute` hands over one for each replica.
        step = tf.cast(self.iterations, tf.float64) + 1
        correction = tf.sqrt(1 - tf.pow(tf.cast(self.beta_2, tf.float64), step)) / (
            1 - tf.pow(tf.cast(self.beta_1, tf.float64), step)
        )
        rate = tf.cast(self.learning_rate, tf.float64) * correction
        beta_1, beta_2 = (tf.constant(beta, tf.float64) for beta in (self.beta_1, self.beta_2))
        if self._skip is not None:
            # With these the kernel leaves all as it is: a branch around it could not hold a `merge_call`.
            rate = tf.where(self._skip, tf.zeros_like(rate), rate)
            beta_1, beta_2 = (tf.where(self._skip, tf.ones_like(beta), beta) for beta in (beta_1, beta_2))
        shared = {
            dtype: dict(
                # No power of the betas: the kernel would correct the bias again.
                beta1_power=tf.constant(0, dtype),
                beta2_power=tf.constant(0, dtype),
                lr=tf.cast(rate, dtype),
                beta1=tf.cast(beta_1, dtype),
                beta2=tf.cast(beta_2, dtype),
                epsilon=tf.constant(self.epsilon, dtype),
            )
            for dtype in {variable.dtype for _, variable in grads_and_vars}
        }

        def update(variable: tf.Variable, gradient: tf.Tensor) -> None:
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._momentums[index].value.handle,
                v=self._velocities[index].value.handle,
                grad=tf.cast(gradient, variable.dtype),
                **shared[variable.dtype],
            )

        for gradient, variable in grads_and_vars:
            distribution.extended.update(variable, update, args=(gradient,), group=False)
