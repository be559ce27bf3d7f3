"""Adam with one kernel per variable."""

import contextlib
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp import private


@keras.saving.register_keras_serializable("tfp_realnvp")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` with a fused update: one kernel per variable instead of fifteen.

        m <- beta_1 m + (1 - beta_1) g,    v <- beta_2 v + (1 - beta_2) g^2
        variable <- variable - rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)

    Results equal Keras' up to rounding. A Real NVP has hundreds of small variables, so Keras' Adam took a third of the
    step's graph. Takes the arguments of Keras' Adam except `amsgrad`. `epsilon` is 1e-8 by default, as in the paper.
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
        rate = getattr(learning_rate, "initial_learning_rate", learning_rate)  # Of Keras' schedules.
        if isinstance(rate, numbers.Real) and not float(rate) >= 0:  # It would go up the gradient.
            raise ValueError(f"expected a learning_rate of 0 or more, got {rate}")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self._constants: Callable[[tf.DType], dict[str, Any]] | None = None
        self._decay: tf.Tensor | None = None
        if self.amsgrad:
            raise ValueError("expected amsgrad=False for the fused kernel: use keras.optimizers.Adam for amsgrad")

    def apply(
        self,
        grads: Sequence[tf.Tensor],
        trainable_variables: Sequence[Any] | None = None,
        *,
        skip: tf.Tensor | None = None,
        reduced: bool = False,
    ) -> None:
        """Like Keras' `apply`, with two additional arguments.

        Args:
          grads: one gradient per variable.
          trainable_variables: the variables.
          skip: if true, neither the variables nor the moments change.
          reduced: whether the gradients are already reduced over all replicas; otherwise they are summed.
        """
        self._constants = self._shared(grads if trainable_variables is None else trainable_variables, skip)
        if self.weight_decay is not None:
            decay = tf.cast(self.learning_rate, tf.float64) * tf.cast(self.weight_decay, tf.float64)
            self._decay = decay if skip is None else tf.where(skip, tf.zeros_like(decay), decay)
        try:
            with private.gradients_reduced(self) if reduced else contextlib.nullcontext():
                super().apply(grads, trainable_variables)
        finally:
            self._constants = self._decay = None

    def _shared(self, tensors: Sequence[Any], skip: tf.Tensor | None) -> Callable[[tf.DType], dict[str, Any]]:
        """The kernel arguments shared by all variables of a dtype, computed once per step."""
        step = tf.cast(self.iterations, tf.float64) + 1
        beta_1, beta_2 = (tf.constant(beta, tf.float64) for beta in (self.beta_1, self.beta_2))
        # `tf.cast` rounds through float32, as Keras does.
        powers = [tf.pow(tf.cast(beta, tf.float64), step) for beta in (self.beta_1, self.beta_2)]
        correction = tf.sqrt(1 - powers[1]) / (1 - powers[0])
        rate = tf.cast(self.learning_rate, tf.float64) * correction
        if skip is not None:
            # These arguments make the kernel a no-op; a branch around it could not contain a `merge_call`.
            rate = tf.where(skip, tf.zeros_like(rate), rate)
            beta_1, beta_2 = (tf.where(skip, tf.ones_like(beta), beta) for beta in (beta_1, beta_2))
        shared = {
            dtype: dict(
                # Betas are passed without powers, or the kernel would correct the bias again.
                beta1_power=tf.constant(0, dtype),
                beta2_power=tf.constant(0, dtype),
                lr=tf.cast(rate, dtype),
                beta1=tf.cast(beta_1, dtype),
                beta2=tf.cast(beta_2, dtype),
                epsilon=tf.constant(self.epsilon, dtype),
            )
            for dtype in {tf.as_dtype(tensor.dtype) for tensor in tensors}
        }
        return shared.__getitem__  # Not the dictionary itself, which checkpoints would track.

    def add_variable(self, *args: Any, name: str | None = None, **kwargs: Any) -> keras.Variable:
        # The variable's name is left out, since TensorFlow prepares a new kernel for each new name.
        return super().add_variable(*args, name=name and name.rpartition("_")[2], **kwargs)

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Nothing: `update_step` decays a variable, and Keras' own decay does not know of `skip`."""

    def decay(self, variable: tf.Variable) -> None:
        """Applies the weight decay to a variable."""
        if self._decay is not None and private.has_weight_decay(self, variable):
            variable.assign_sub(tf.cast(self._decay, variable.dtype) * variable)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        self.decay(variable)
        assert self._constants is not None  # `apply`, which calls this, made them.
        m, v = private.moments_of(self, variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.handle,
            v=v.handle,
            grad=tf.cast(gradient, variable.dtype),
            **self._constants(variable.dtype),
        )
