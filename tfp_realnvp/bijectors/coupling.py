"""What all couplings share."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tfp_realnvp.bijectors.backprop import state_of
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.masks import Mask
from tfp_realnvp.bijectors.precision import call_conditioner
from tfp_realnvp.bijectors.variables import keras_parts


class Coupling(Bijector):
    """Transforms one part of an event entry by entry, with parameters computed from the other.

    With `x_a` the kept and `x_b` the changed entries:

        forward:  z_a = x_a,  z_b = f(x_b; conditioner(x_a)),  f increasing in each entry
        inverse:  x_a = z_a,  x_b = f^{-1}(z_b; conditioner(z_a))
        log|det df/dx| = sum over the changed entries of log f'

    Both directions cost one evaluation of the conditioner, for what it reads is the same in `x` as in `z`.

    A subclass says what `f` is.

    Args:
      conditioner: a built Keras layer or any callable, from `mask.kept(x)` to `[batch, ..., parameters_per_entry *
        changed channels]`. A layer is called with `training=`, and with `context=` when the flow is given a context.
        Wrap a callable's `tf.Variable`s in a `tf.Module` and they are seen, too.
      mask: which entries are kept: `Checkerboard`, `ChannelHalves`, `Halves` or `Alternating`.
      parameters: of the subclass's constructor.
      variables: Keras variables of the subclass.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: when the conditioner's output does not fit the changed part.
    """

    # How many numbers `f` takes for each entry, and what they are called in an error.
    parameters_per_entry: int
    _parameter_names: ClassVar[str]

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        mask: Mask,
        *,
        parameters: dict[str, Any],
        variables: tuple[keras.Variable, ...] = (),
        validate_args: bool,
        name: str,
    ):
        self.mask = mask
        parts = keras_parts(conditioner)
        self.conditioner = self._no_dependency(conditioner) if parts else conditioner
        super().__init__(
            event_ndims=mask.event_ndims,
            parameters=parameters,
            layers=(*parts, *variables),
            validate_args=validate_args,
            name=name,
        )

    @abc.abstractmethod
    def _entrywise(self, x: tf.Tensor, parameters: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `f(x)` and `log f'(x)` of each entry."""

    @abc.abstractmethod
    def _entrywise_inverse(self, z: tf.Tensor, parameters: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `f^{-1}(z)` and the log of its derivative, of each entry."""

    def _constrained(self, output: tf.Tensor) -> list[tf.Tensor]:
        """What `f` takes, of what the conditioner gives; all variables of the subclass go in here."""
        return [output]

    def _parameters_of(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> list[tf.Tensor]:
        output = tf.cast(call_conditioner(self.conditioner, self.mask.kept(x), context, training), x.dtype)
        size = self.mask.changed_size(x.shape[-1])
        expected = self.parameters_per_entry * size
        if output.shape[-1] != expected:
            raise ValueError(
                f"{self.name}: expected the conditioner to return {expected} channels, {self._parameter_names} for "
                f"each of {size}, got shape {output.shape}"
            )
        return self._constrained(output)

    def _forward_and_log_det(self, x, context, training):
        return self._transform(x, self._parameters_of(x, context, training))

    def _inverse_and_log_det(self, z, context, training):
        return self._solve(z, self._parameters_of(z, context, training))

    def _transform(self, x: tf.Tensor, parameters: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        changed, log_derivative = self._entrywise(self.mask.changed(x), parameters)
        return self.mask.combine(x, changed), self.mask.sum(log_derivative)

    def _solve(self, z: tf.Tensor, parameters: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        changed, log_derivative = self._entrywise_inverse(self.mask.changed(z), parameters)
        return self.mask.combine(z, changed), self.mask.sum(log_derivative)

    def _forward_and_kept(self, x, context, training, inverts):
        if not inverts:
            return super()._forward_and_kept(x, context, training, inverts)
        state = state_of(self.layers)
        return *self._forward_and_log_det(x, context, training), state

    def _backward(self, z, kept, dz, dlog_det, backward):
        if not backward.inverts:
            return super()._backward(z, kept, dz, dlog_det, backward)
        # What the conditioner reads is the same in z as in x: one evaluation gives the inverse and the gradient.
        z = backward.after_later_layers(z, dz)
        parameters, network_tape = backward.evaluate(self._parameters_of, z, kept)
        x = self._solve(z, parameters)[0]
        with tf.GradientTape() as tape:
            tape.watch([x, *parameters])
            outputs = self._transform(x, parameters)
        dx, *upstream = tape.gradient(outputs, [x, *parameters], [dz, dlog_det])
        return x, dx + backward.gradient(network_tape, parameters, upstream, z)
