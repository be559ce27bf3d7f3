"""Memory-saving backpropagation: what a forward pass stores, and how the backward pass recomputes the rest.

"store" keeps every activation, "remat" the input of each layer, "invert" the output of the last layer.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import keras
import tensorflow as tf

from tfp_realnvp import private
from tfp_realnvp.bijectors.variables import KerasPart, variables_of

MODES = ("store", "remat", "invert")
State = list[tuple[keras.Variable, tf.Tensor]]


@keras.saving.register_keras_serializable("tfp_realnvp")
class _TrainingMode(keras.layers.Layer):
    """Passes the current `training` to a function, or sets it within; Keras passes it to layers only."""

    def call(self, function: Callable[[bool], Any], training: bool | None = None) -> Any:
        return function(bool(training))


# Named, since Keras would derive `__training_mode`, and no scope of a graph may start with an underscore.
_training_mode = _TrainingMode(name="training_mode", dtype="float32", autocast=False)


def is_training() -> bool:
    """Whether the caller is inside a Keras model called in training mode; False outside of a model."""
    return _training_mode(function=lambda training: training)


def state_of(layers: Iterable[KerasPart]) -> State:
    """Non-trainable state with its current values: moving moments, dropout seeds."""
    # As tensors: in eager mode the value is the variable itself.
    return [(v, tf.convert_to_tensor(v.value)) for v in variables_of(layers) if not v.trainable]


class Backward:
    """What the layers of one backward pass share; with `inverts`, a layer's input is computed from its output."""

    def __init__(self, context: tf.Tensor | None, training: bool, inverts: bool):
        self.context, self.training, self.inverts = context, training, inverts
        self._contexts = [context] if context is not None and context.dtype.is_floating else []
        self._sums: dict[int, tf.Tensor] = {}  # Sums of gradients over the layers processed so far.
        self._latest: list[tf.Tensor] = []

    def after_later_layers(self, tensor: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        """Returns `tensor`, but only after `upstream` and all gradients of the layer processed before are computed.

        A graph runs every operation whose inputs are available. Without this dependency it would recompute all layers
        at once, before the first gradient, and use more memory than storing the activations.
        """
        if tf.executing_eagerly():
            return tensor
        with tf.control_dependencies(self._latest):
            # XLA ignores control dependencies and would merge the two evaluations of a layer. We therefore add a zero
            # that depends on the upstream gradient, which neither XLA nor Grappler can simplify away.
            few = upstream[:1]
            never = tf.reduce_any(tf.math.is_nan(few) & tf.math.is_finite(few))
            return tensor + tf.cast(never, tensor.dtype)

    def evaluate(self, function: Callable[..., Any], x: tf.Tensor, state: State) -> tuple[Any, tf.GradientTape]:
        """Evaluates `function(x, context, training)` as in the forward pass; returns its outputs and the tape."""
        call = lambda training: function(x, self.context, training)  # noqa: E731
        with keras.StatelessScope(state), tf.GradientTape() as tape:
            tape.watch([x, *self._contexts])
            outputs = _training_mode(function=call, training=self.training)
        return outputs, tape

    def gradients(
        self, tape: tf.GradientTape, outputs: Sequence[tf.Tensor], upstream: Sequence[tf.Tensor], *inputs: tf.Tensor
    ) -> list[tf.Tensor]:
        """The gradients of `inputs`; adds the gradients of the context and of variables to the sums."""
        sources = [*self._contexts, *tape.watched_variables()]
        gradients = tape.gradient(outputs, [*inputs, *sources], upstream)
        of_inputs = [tf.zeros_like(x) if dx is None else dx for x, dx in zip(inputs, gradients)]
        self._latest = of_inputs[:]
        for source, gradient in zip(sources, gradients[len(inputs) :], strict=True):
            if gradient is not None:
                before, gradient = self.gradient_of(source), tf.convert_to_tensor(gradient)
                total = gradient if before is None else before + gradient
                self._sums[_key(source)] = total
                self._latest.append(total)
        return of_inputs

    def gradient_of(self, source: tf.Tensor | tf.Variable) -> tf.Tensor | None:
        """The gradient of the context or of a variable, or None when no layer depends on it."""
        return self._sums.get(_key(source))

    def from_input(
        self, function: Callable[..., Any], x: tf.Tensor, state: State, dz: tf.Tensor, dlog_det: tf.Tensor
    ) -> tf.Tensor:
        """The gradient of `x` through `z, log_det = function(x, context, training)`."""
        (z, log_det), tape = self.evaluate(function, x, state)
        rank = log_det.shape.rank
        if rank > dlog_det.shape.rank:  # One per event, although the layer returns one per entry.
            dlog_det = tf.broadcast_to(tf.reshape(dlog_det, [-1] + [1] * (rank - 1)), tf.shape(log_det))
        return self.gradients(tape, [z, log_det], [dz, dlog_det], x)[0]


def _key(source: tf.Tensor | tf.Variable) -> int:
    return id(getattr(source, "handle", source))


def without_activations(
    forward: Callable[..., tuple[tf.Tensor, tf.Tensor, Any]],
    backward: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    x: tf.Tensor,
    context: tf.Tensor | None,
    training: bool,
    inverts: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A forward pass with a custom gradient; `forward` and `backward` are methods of a `Layer`."""
    # A tape would keep the results of these operations alive as long as `z`.
    with private.stop_recording() as watcher:
        z, log_det, kept = forward(x, context, training, inverts)
    sources = [*([] if context is None else [context]), *watcher.watched_variables()]

    def gradient(dz: tf.Tensor, dlog_det: tf.Tensor) -> list[tf.Tensor | None]:
        shared = Backward(context, training, inverts)
        _, dx = backward(z, kept, dz, dlog_det, shared)
        return _differentiated_once([dx, *map(shared.gradient_of, sources)])

    return tuple(private.with_gradient([z, log_det], [x, *map(tf.convert_to_tensor, sources)], gradient))


def _differentiated_once(gradients: list[tf.Tensor | None]) -> list[tf.Tensor | None]:
    """`gradients`, whose own gradient raises: the backward pass does not use the forward pass's tensors."""

    def refuse(*unused: tf.Tensor) -> NoReturn:
        message = "expected a first-order gradient of a chain that stores no activations, got a second-order one"
        raise LookupError(f'{message}: build it with backprop="store"')

    computed = [g for g in gradients if g is not None]
    protected = iter(private.with_gradient(computed, computed, refuse))
    return [None if g is None else next(protected) for g in gradients]
