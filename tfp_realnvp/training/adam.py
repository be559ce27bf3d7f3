"""Adam as one kernel a variable."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp import private


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
        self._constants: Callable[[tf.DType], dict[str, Any]] | None = None
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
        """As Keras's `apply`, with two arguments more.

        Args:
          grads: the gradients.
          trainable_variables: their variables.
          skip: where true, neither the variables nor the moments change.
          reduced: whether the gradients are reduced over all replicas already; otherwise they are summed.
        """
        self._constants = self._shared(grads if trainable_variables is None else trainable_variables, skip)
        try:
            with private.gradients_reduced(self) if reduced else contextlib.nullcontext():
                super().apply(grads, trainable_variables)
        finally:
            self._constants = None

    def _shared(self, tensors: Sequence[Any], skip: tf.Tensor | None) -> Callable[[tf.DType], dict[str, Any]]:
        """The kernel's arguments that all variables of a dtype share, made once for each step."""
        step = tf.cast(self.iterations, tf.float64) + 1
        beta_1, beta_2 = (tf.constant(beta, tf.float64) for beta in (self.beta_1, self.beta_2))
        # `tf.cast` rounds them to float32, as Keras does.
        powers = [tf.pow(tf.cast(beta, tf.float64), step) for beta in (self.beta_1, self.beta_2)]
        correction = tf.sqrt(1 - powers[1]) / (1 - powers[0])
        rate = tf.cast(self.learning_rate, tf.float64) * correction
        if skip is not None:
            # With these the kernel leaves all as it is: a branch around it could not hold a `merge_call`.
            rate = tf.where(skip, tf.zeros_like(rate), rate)
            beta_1, beta_2 = (tf.where(skip, tf.ones_like(beta), beta) for beta in (beta_1, beta_2))
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
            for dtype in {tf.as_dtype(tensor.dtype) for tensor in tensors}
        }
        return shared.__getitem__  # Not the dictionary: checkpoints would have it.

    def add_variable(self, *args: Any, name: str | None = None, **kwargs: Any) -> keras.Variable:
        # Without the name of the variable that it is of: for each new name TensorFlow prepares another kernel.
        return super().add_variable(*args, name=name and name.rpartition("_")[2], **kwargs)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        assert self._constants is not None  # `apply`, which calls this, made them.
        m, v = private.moments_of(self, variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.handle,
            v=v.handle,
            grad=tf.cast(gradient, variable.dtype),
            **self._constants(variable.dtype),
        )
