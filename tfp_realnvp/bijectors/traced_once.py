"""Traces identical networks once per graph, and calls that trace with the variables of each network."""

import weakref
from collections.abc import Callable, Hashable
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp import private

# For each graph: functions of variables and inputs, by kind of network.
_functions: weakref.WeakKeyDictionary[tf.Graph, dict[Hashable, Callable[..., Any]]] = weakref.WeakKeyDictionary()


def call_in_training(network: keras.layers.Layer, x: tf.Tensor, given: dict[str, tf.Tensor]) -> tf.Tensor:
    """Returns `network(x, training=True, **given)`; in a graph, by one function for all networks of a `kind`.

    TensorFlow then traces, differentiates and optimises a network's hundreds of operations once per kind instead of
    once per network.
    """
    # A strategy's variables, and reductions over its replicas, must not be inside a function.
    if not hasattr(network, "kind") or tf.executing_eagerly() or tf.distribute.has_strategy():
        return network(x, training=True, **given)
    functions, kind = _functions.setdefault(tf.compat.v1.get_default_graph(), {}), network.kind()
    if kind not in functions:
        functions[kind] = private.called_function(lambda *args: _outputs_and_moved(network, *args))
    moving = network.non_trainable_variables
    # Moving moments are passed as tensors, as in a recomputation: another type would cause another trace.
    moments = [tf.convert_to_tensor(variable.value) for variable in moving]
    outputs, moved = functions[kind]([variable.value for variable in network.trainable_variables], moments, x, given)
    if moving:
        moved = tf.split(tf.bitcast(moved, moments[0].dtype), [variable.shape[0] for variable in moving])
        for variable, value in zip(moving, moved):
            variable.assign(value)
    return outputs


def _outputs_and_moved(
    network: keras.layers.Layer,
    weights: list[tf.Variable],
    moments: list[tf.Tensor],
    x: tf.Tensor,
    given: dict[str, tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor | None]:
    moving = network.non_trainable_variables
    with keras.StatelessScope([*zip(network.trainable_variables, weights), *zip(moving, moments)]) as scope:
        outputs = network(x, training=True, **given)
    if not moving:
        return outputs, None
    moved = tf.concat([scope.get_current_value(variable) for variable in moving], 0)
    # Passed as integers, for which the gradient creates no zeros.
    return outputs, tf.bitcast(moved, {4: tf.int32, 8: tf.int64}[moved.dtype.size])
