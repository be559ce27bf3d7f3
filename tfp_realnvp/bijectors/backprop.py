"""What training keeps of a forward pass: every activation, or less, and then layers are evaluated again backwards.

"store" keeps every activation, "remat" the input of each layer, "invert" the output of the last layer.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp import private
from tfp_realnvp.bijectors.variables import KerasPart, variables_of

MODES = ("store", "remat", "invert")


@keras.saving.register_keras_serializable("tfp_realnvp")
class _TrainingMode(keras.layers.Layer):
    """Calls a function with the value of `training` here, which Keras passes to layers alone, or sets it within."""

    def call(self, function: Callable[[bool], Any], training: bool | None = None) -> Any:
        return function(bool(training))


# Named, since Keras would derive `__training_mode`, and no scope of a graph may start with an underscore.
_training_mode = _TrainingMode(name="training_mode", dtype="float32", autocast=False)


def is_training() -> bool:
    """Whether this is within a call of a Keras model in training mode; False outside of a model."""
    return _training_mode(function=lambda training: training)


# Keras variables that are not trained, and their values before the forward pass.
State = list[tuple[keras.Variable, tf.Tensor]]


def state_of(layers: Iterable[KerasPart]) -> State:
    """The values besides weights: moving moments, the seeds of dropout."""
    # As tensors: in eager mode the value is the variable itself.
    return [(v, tf.convert_to_tensor(v.value)) for v in variables_of(layers) if not v.trainable]


class Backward:
    """What the layers of one backward pass share, from the last layer to the first.

    Attributes:
      context: of the forward pass.
      training: of the forward pass.
      inverts: whether a layer's input is computed from its output.
      context_gradient: the sum over the layers processed so far, or None.
    """

    def __init__(self, context: tf.Tensor | None, training: bool, inverts: bool):
        self.context = context
        self.training = training
        self.inverts = inverts
        self.context_gradient: tf.Tensor | None = None
        self._variable_gradients: dict[int, tf.Tensor] = {}
        self._latest: list[tf.Tensor] = []

    def after_later_layers(self, tensor: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        """Returns `tensor`, but only after `upstream` and all gradients of the layer processed before are computed.

        A graph runs every operation whose inputs are there. Without this it would evaluate all layers again at once,
        before the first gradient, and hold more than if it had stored them.
        """
        if tf.executing_eagerly():
            return tensor
        with tf.control_dependencies(self._latest):
            # XLA ignores control dependencies, and would merge the two evaluations of a layer. So a zero is added that
            # depends on the upstream gradient, which neither XLA nor Grappler can simplify.
            few = upstream[:1]
            never = tf.reduce_any(tf.math.is_nan(few) & tf.math.is_finite(few))
            return tensor + tf.cast(never, tensor.dtype)

    def evaluate(self, function: Callable[..., Any], x: tf.Tensor, state: State) -> tuple[Any, tf.GradientTape]:
        """`function(x, context, training)` as the forward pass had it, and the tape that watched."""
        with keras.StatelessScope(state), tf.GradientTape() as tape:
            tape.watch(x)
            if self._context_has_gradient():
                tape.watch(self.context)
            outputs = _training_mode(
                function=lambda training: function(x, self.context, training), training=self.training
            )
        return outputs, tape

    def gradient(
        self, tape: tf.GradientTape, outputs: Sequence[tf.Tensor], upstream: Sequence[tf.Tensor], x: tf.Tensor
    ) -> tf.Tensor:
        """The gradient of `x`; gradients of the context and of variables are added to the sums."""
        variables = tape.watched_variables()
        contexts = [self.context] if self._context_has_gradient() else []
        dx, *rest = tape.gradient(outputs, [x, *contexts, *variables], upstream)
        dx = tf.zeros_like(x) if dx is None else dx
        self._latest = [dx]
        if contexts:
            self.context_gradient = self._sum(self.context_gradient, rest.pop(0))
        self.add(variables, rest)
        return dx

    def add(self, variables: Sequence[tf.Variable], gradients: Sequence[tf.Tensor | None]) -> None:
        """Adds gradients of variables to the sums."""
        for variable, gradient in zip(variables, gradients, strict=True):
            key = id(variable.handle)
            self._variable_gradients[key] = self._sum(self._variable_gradients.get(key), gradient)

    def gradient_of(self, variable: tf.Variable) -> tf.Tensor | None:
        """The gradient of a variable, or None when no layer depends on it."""
        return self._variable_gradients.get(id(variable.handle))

    def from_input(
        self, function: Callable[..., Any], x: tf.Tensor, state: State, dz: tf.Tensor, dlog_det: tf.Tensor
    ) -> tf.Tensor:
        """The gradient of `x` through `z, log_det = function(x, context, training)`."""
        outputs, tape = self.evaluate(function, x, state)
        return self.gradient(tape, outputs, [dz, _spread(dlog_det, outputs[1])], x)

    def _context_has_gradient(self) -> bool:
        return self.context is not None and self.context.dtype.is_floating

    def _sum(self, total: tf.Tensor | None, gradient: Any) -> tf.Tensor | None:
        if gradient is None:
            return total
        gradient = tf.convert_to_tensor(gradient)
        total = gradient if total is None else total + gradient
        self._latest.append(total)
        return total


def _spread(dlog_det: tf.Tensor, log_det: tf.Tensor) -> tf.Tensor:
    """Repeats the gradient of an event's log-det for a layer that gives a log-det for each entry."""
    if dlog_det.shape.rank == log_det.shape.rank:
        return dlog_det
    ones = tf.ones([log_det.shape.rank - dlog_det.shape.rank], tf.int32)
    return tf.broadcast_to(tf.reshape(dlog_det, tf.concat([tf.shape(dlog_det), ones], 0)), tf.shape(log_det))


def without_activations(
    forward: Callable[..., tuple[tf.Tensor, tf.Tensor, Any]],
    backward: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    x: tf.Tensor,
    context: tf.Tensor | None,
    training: bool,
    inverts: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A forward pass with a gradient of its own.

    Args:
      forward: as `Layer._forward_and_kept`.
      backward: as `Layer._backward`.
      x: input of the pass.
      context: of the pass.
      training: of the pass.
      inverts: whether a layer's input comes from its output, and not from what was kept.
    """

    # A tape would hold what these operations made for as long as `z` is held.
    with private.stop_recording() as watcher:
        z, log_det, kept = forward(x, context, training, inverts)
    variables = watcher.watched_variables()
    contexts = [] if context is None else [context]

    def gradient(dz: tf.Tensor, dlog_det: tf.Tensor) -> list[tf.Tensor | None]:
        shared = Backward(context, training, inverts)
        _, dx = backward(z, kept, dz, dlog_det, shared)
        of_contexts = [shared.context_gradient for _ in contexts]
        return _differentiated_once([dx, *of_contexts, *map(shared.gradient_of, variables)])

    inputs = [x, *contexts, *map(tf.convert_to_tensor, variables)]
    z, log_det = private.with_gradient([z, log_det], inputs, gradient)
    return z, log_det


def _differentiated_once(gradients: list[tf.Tensor | None]) -> list[tf.Tensor | None]:
    """`gradients`, whose own gradient is an error: the backward pass is not made of what the forward pass computed."""

    def second(*unused: tf.Tensor) -> None:
        raise LookupError(
            'expected one gradient of a chain that holds no activations, got a second: build it with backprop="store"'
        )

    computed = [g for g in gradients if g is not None]
    protected = iter(private.with_gradient(computed, computed, second))
    return [None if g is None else next(protected) for g in gradients]
