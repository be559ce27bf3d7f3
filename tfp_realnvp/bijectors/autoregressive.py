"""What all autoregressive layers share."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.precision import call_conditioner
from tfp_realnvp.bijectors.variables import keras_parts


class Autoregressive(Bijector):
    """Transforms each entry of a vector with parameters computed from the entries before it.

        forward:  z_i = f(x_i; conditioner(x)_i),         all entries in one evaluation of the conditioner
        inverse:  x_i = f^{-1}(z_i; conditioner(x)_i),    one entry after the other, an evaluation each
        log|det df/dx| = sum_i log f'

    with `f` increasing, and `conditioner(x)_i` depending on `x_1 ... x_{i-1}` alone. So a density costs one pass and a
    sample as many as there are entries. In `tfb.Invert` it is the other way round: fast samples, and slow densities of
    data that were not sampled.

    A subclass says what `f` is.

    Args:
      conditioner: a built `MaskedMLP(outputs_per_entry=parameters_per_entry)`, or any Keras layer or callable from
        `[batch, size]` to `[batch, size, parameters_per_entry]` whose output for an entry depends on no later one, nor
        on itself: nothing checks it. A layer is called with `context=` when the flow is given a context.
      size: of an event, a vector.
      parameters: of the subclass's constructor.
      variables: Keras variables of the subclass.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: when the conditioner's output does not fit, or for an input of another size.
    """

    # How many numbers `f` takes for each entry, and what they are called in an error.
    parameters_per_entry: int
    _parameter_names: ClassVar[str]

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        size: int,
        *,
        parameters: dict[str, Any],
        variables: tuple[keras.Variable, ...] = (),
        validate_args: bool,
        name: str,
    ):
        self.size = size
        parts = keras_parts(conditioner)
        self.conditioner = self._no_dependency(conditioner) if parts else conditioner
        super().__init__(
            event_ndims=1,
            parameters=parameters,
            layers=(*parts, *variables),
            validate_args=validate_args,
            name=name,
        )

    @abc.abstractmethod
    def _entrywise(self, x: tf.Tensor, output: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `f(x)` and `log f'(x)` of each entry, from the conditioner's output for it."""

    @abc.abstractmethod
    def _entrywise_inverse(self, z: tf.Tensor, output: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `f^{-1}(z)` and the log of its derivative, of each entry."""

    def _output(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> tf.Tensor:
        if x.shape[-1] != self.size:
            raise ValueError(f"{self.name}: expected vectors of size {self.size}, got {x.shape[-1]}")
        output = tf.cast(call_conditioner(self.conditioner, x, context, training), x.dtype)
        expected = [self.size, self.parameters_per_entry]
        if output.shape[1:] != expected:
            raise ValueError(
                f"{self.name}: expected the conditioner to return {self._parameter_names} for each of {self.size} "
                f"entries, {['batch', *expected]}, got shape {output.shape}".replace("'", "")
            )
        return output

    def _forward_and_log_det(self, x, context, training):
        z, log_slope = self._entrywise(x, self._output(x, context, training))
        return z, tf.reduce_sum(log_slope, -1)

    def _inverse_and_log_det(self, z, context, training):
        # After i rounds the first i entries are right, and so is all that is said of the entry after them.
        def one_more(x: tf.Tensor, log_slope: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return self._entrywise_inverse(z, self._output(x, context, training))

        start = tf.zeros_like(z), tf.zeros_like(z)
        x, log_slope = tf.while_loop(lambda *unused: True, one_more, start, maximum_iterations=self.size)
        return x, tf.reduce_sum(log_slope, -1)
