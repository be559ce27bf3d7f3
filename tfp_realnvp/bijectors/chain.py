"""Layers one after the other."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.python.eager import record

from tfp_realnvp.bijectors.backprop import MODES, Backward, state_of
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.coupling import Coupling
from tfp_realnvp.bijectors.split import Split
from tfp_realnvp.bijectors.variables import learned_layers

# `tfb.Invert(b)` gives an instance of this base class whenever `b` is no CompositeTensor, as ours are not.
_Invert = tfp.bijectors.Invert.__bases__[0]

# Where each scale halves what a coupling holds, two of the last hold no more than the first one does.
_STORED_COUPLINGS = 2


class Chain(Bijector):
    """Applies bijectors from first to last, from data to latent.

        forward:  z = f_n(... f_2(f_1(x)))
        inverse:  x = f_1^{-1}(... f_n^{-1}(z))
        log|det df/dx| = sum of the log-dets of the layers

    The list reads from top to bottom as the data flows; `tfb.Chain` reads the other way. Every layer is handed the
    context and is evaluated once. A layer may be any `tfb.Bijector`: one of TFP's takes no context.

    Args:
      bijectors: the layers, in the order data meets them; at least one.
      backprop: what the forward pass holds for the backward one; gradients are the same.

        * "store": every activation, as TensorFlow does.
        * "remat": each layer's input, on which the layer is evaluated again. The last two couplings are stored.
        * "invert": the output alone, from which a `Coupling` and `BatchNorm` get their inputs back. Any other
          layer keeps its input. Activations do not grow with the number of couplings, rounding errors do.

        In the last two, a conditioner whose activations are not held is evaluated once more for a step, in the mode and
        with the moving moments and dropout seeds of the first time. The outermost chain decides for all within.
        Gradients reach the input, the context and variables, and no tensor that a layer was made of; neither do they
        reach losses that a conditioner adds for itself. A gradient of the gradient is a `LookupError`. The inverse
        pass always stores.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: when there is no layer, or for an unknown backprop.

    #### Examples

    ```python
    flow = nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(), nvp.bijectors.Squeeze("diagonal")])
    z, log_det = flow.forward_and_log_det(tf.fill([2, 8, 8, 3], 100.0))
    ```
    """

    def __init__(
        self,
        bijectors: Sequence[tfp.bijectors.Bijector],
        *,
        backprop: str = "store",
        validate_args: bool = False,
        name: str = "chain",
    ):
        parameters = dict(locals())
        if not bijectors:
            raise ValueError("expected at least one bijector, got none")
        if backprop not in MODES:
            raise ValueError(f"expected backprop to be one of {', '.join(MODES)}, got {backprop!r}")
        self.backprop = backprop
        self.bijectors = list(bijectors)
        super().__init__(
            event_ndims=max(max(b.forward_min_event_ndims, b.inverse_min_event_ndims) for b in bijectors),
            parameters=parameters,
            validate_args=validate_args,
            name=name,
        )

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        for bijector in self.bijectors:
            shape = bijector.forward_event_shape(shape)
        return shape

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        for bijector in reversed(self.bijectors):
            shape = bijector.inverse_event_shape(shape)
        return shape

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        for bijector in self.bijectors:
            shape = bijector.forward_event_shape_tensor(shape)
        return shape

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        for bijector in reversed(self.bijectors):
            shape = bijector.inverse_event_shape_tensor(shape)
        return shape

    def trace(
        self, x: tf.Tensor, context: tf.Tensor | None = None, training: bool = False
    ) -> Iterator[tuple[tfp.bijectors.Bijector, tf.Tensor, tf.Tensor]]:
        """Yields each layer with its output and its log-det, in the order data meets them.

        Args:
          x: `[batch, *event]`, with one batch axis.
          context: what a conditional flow depends on.
          training: whether batch norm uses the statistics of the batch.
        """
        for bijector in self.bijectors:
            x, log_det = self._forward_of(bijector, x, context, training)
            yield bijector, x, self._for_each_event(log_det)

    def _forward_and_log_det(self, x, context, training):
        # Where nothing records, a plain graph: an exported one keeps its gradient, and inference costs what it did.
        if self.backprop != "store" and (training or record.could_possibly_record()):
            if self.backprop == "remat":
                return self._forward_with_inputs(x, context, training)
            return self._forward_without_activations(self.bijectors, x, context, training)
        total = 0.0
        for _, z, log_det in self.trace(x, context, training):
            total += log_det
        return z, total

    def _inverse_and_log_det(self, z, context, training):
        total = 0.0
        for bijector in reversed(self.bijectors):
            z, log_det = self._inverse_of(bijector, z, context, training)
            total += self._for_each_event(log_det)
        return z, total

    def _forward_with_inputs(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """As "remat" has it. The last couplings are stored: what they hold is gone before any other is evaluated."""
        first, total = self._first_stored(), 0.0
        if first:
            x, total = self._forward_without_activations(self.bijectors[:first], x, context, training)
        for bijector in self.bijectors[first:]:
            if isinstance(bijector, Split) and isinstance(bijector.flow, Chain):
                x, log_det = bijector.forward_by(bijector.flow._forward_with_inputs, x, context, training)
            else:
                x, log_det = self._forward_of(bijector, x, context, training)
            total += self._for_each_event(log_det)
        return x, total

    def _first_stored(self) -> int:
        """Where the layers begin that "remat" stores: the last two couplings, or what holds them."""
        couplings = 0
        for i, bijector in reversed(list(enumerate(self.bijectors))):
            couplings += isinstance(bijector, Coupling)
            if isinstance(bijector, Split) or couplings == _STORED_COUPLINGS:
                return i
        return 0

    def _forward_without_activations(
        self,
        bijectors: Sequence[tfp.bijectors.Bijector],
        x: tf.Tensor,
        context: tf.Tensor | None,
        training: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The forward pass through some of the layers, with a gradient of its own."""
        inverts = self.backprop == "invert"

        @tf.custom_gradient
        def forward(x: tf.Tensor, *contexts: tf.Tensor):
            context = contexts[0] if contexts else None
            # A tape would hold what these operations made for as long as `z` is held.
            with record.stop_recording():
                z, log_det, kept = self._forward_and_kept_of(bijectors, x, context, training, inverts)

            def gradient(dz: tf.Tensor, dlog_det: tf.Tensor, variables: Sequence[tf.Variable] | None = None):
                backward = Backward(context, training, inverts)
                _, dx = self._backward_of(bijectors, z, kept, dz, dlog_det, backward)
                inputs = [_differentiated_once(g) for g in (dx, backward.context_gradient)[: 1 + len(contexts)]]
                if variables is None:
                    return inputs
                return inputs, [_differentiated_once(backward.gradient_of(v)) for v in variables]

            return (z, log_det), gradient

        return forward(x) if context is None else forward(x, context)

    def _forward_and_kept(self, x, context, training, inverts):
        return self._forward_and_kept_of(self.bijectors, x, context, training, inverts)

    def _forward_and_kept_of(self, bijectors, x, context, training, inverts):
        total, all_kept = 0.0, []
        for bijector in bijectors:
            if isinstance(bijector, Bijector):
                x, log_det, kept = bijector._forward_and_kept(x, context, training, inverts)
            else:
                kept = x, state_of(learned_layers(bijector))
                x, log_det = self._forward_of(bijector, x, context, training)
            total += self._for_each_event(log_det)
            all_kept.append(kept)
        return x, total, all_kept

    def _backward(self, z, kept, dz, dlog_det, backward):
        return self._backward_of(self.bijectors, z, kept, dz, dlog_det, backward)

    def _backward_of(self, bijectors, z, kept, dz, dlog_det, backward):
        for bijector, kept_of_layer in zip(reversed(bijectors), reversed(kept), strict=True):
            if isinstance(bijector, Bijector):
                z, dz = bijector._backward(z, kept_of_layer, dz, dlog_det, backward)
            else:
                x, state = kept_of_layer
                z = backward.after_later_layers(x, dz)
                dz = backward.from_input(functools.partial(self._forward_of, bijector), z, state, dz, dlog_det)
        return z, dz

    def _forward_of(self, bijector, x, context, training):
        """One forward pass through a layer: one of ours, the `tfb.Invert` of ours, or one of TFP's."""
        if isinstance(bijector, Bijector):
            return bijector._forward_and_log_det(x, context, training)
        if isinstance(bijector, _Invert):
            return self._inverse_of(bijector.bijector, x, context, training)
        # A new tensor, since TFP's cache may still hold what older weights made of this one.
        x = tf.identity(x) if bijector.is_constant_jacobian else _with_finite_gradient(x)
        z = bijector.forward(x)  # First, and held: the log-det then comes from TFP's cache.
        log_det = bijector.forward_log_det_jacobian(x, event_ndims=self.forward_min_event_ndims)
        return self._inside_support(bijector, z, self._of_each_part(log_det, x))

    def _inverse_of(self, bijector, z, context, training):
        if isinstance(bijector, Bijector):
            return bijector._inverse_and_log_det(z, context, training)
        if isinstance(bijector, _Invert):
            return self._forward_of(bijector.bijector, z, context, training)
        z = tf.identity(z) if bijector.is_constant_jacobian else _with_finite_gradient(z)
        x = bijector.inverse(z)
        log_det = bijector.inverse_log_det_jacobian(z, event_ndims=self.forward_min_event_ndims)
        return self._inside_support(bijector, x, self._of_each_part(log_det, z))

    def _inside_support(
        self, bijector: tfp.bijectors.Bijector, y: tf.Tensor, log_det: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Outside the support of one of TFP's, where it gives NaN, a log-det of -inf and entries of 0.

        Later layers and their gradients are finite then. A linear map is defined everywhere.
        """
        if bijector.is_constant_jacobian:
            return y, log_det
        inside = tf.math.is_finite(y)
        axes = list(range(y.shape.rank - self.forward_min_event_ndims, y.shape.rank))
        is_defined = tf.reduce_all(inside, axes) & tf.math.is_finite(log_det)
        y = tf.where(inside, y, tf.zeros([], y.dtype))
        return y, tf.where(is_defined, log_det, tf.constant(-math.inf, log_det.dtype))

    def _of_each_part(self, log_det: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Repeats a log-det that TFP gives once where all events have the same."""
        return tf.broadcast_to(log_det, tf.shape(x)[: x.shape.rank - self.forward_min_event_ndims])

    def _for_each_event(self, log_det: tf.Tensor) -> tf.Tensor:
        """Sums a log-det that an elementwise layer gave for each entry."""
        if self.forward_min_event_ndims == 0:
            return log_det
        return tf.reduce_sum(log_det, axis=list(range(1, log_det.shape.rank)))


def _differentiated_once(gradient: tf.Tensor | None) -> tf.Tensor | None:
    """`gradient`, whose own gradient is an error: the backward pass is not made of what the forward pass computed."""
    if gradient is None:
        return None
    message = 'expected one gradient of a chain that holds no activations, got a second: build it with backprop="store"'
    return tf.raw_ops.PreventGradient(input=gradient, message=message)


@tf.custom_gradient
def _with_finite_gradient(x: tf.Tensor):
    """`x`, with a gradient of 0 in entries where it is not finite: those are outside the support of what follows."""

    def gradient(dx: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.math.is_finite(dx), dx, tf.zeros_like(dx))

    return tf.identity(x), gradient
