"""Everything this package uses of TensorFlow, TFP and Keras beyond their public interfaces.

Each name has a test in tests/private_test.py, whose failure message explains what to do if a new version breaks it.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef as FingerprintDef
from tensorflow.python.eager import record
from tensorflow_probability.python.internal import cache_util

# `tfb.Invert(b)` and `tfd.TransformedDistribution(d, b)` return instances of these classes if `b` is not a
# CompositeTensor. Our bijectors hold networks, so they are not; as a CompositeTensor, a distribution would hide its
# variables from a `tf.Module`.
Invert: TypeAlias = tfp.bijectors.Invert.__bases__[0]
_TransformedDistribution: TypeAlias = tfp.distributions.TransformedDistribution.__bases__[0]


def greedy_cache(forward_name: str, inverse_name: str) -> cache_util.BijectorCacheWithGreedyAttrs:
    """A bijector's `_cache` that stores the value and the log-det of each evaluation together, as in `tfb.FFJORD`.

    TFP requests value and log-det separately and would otherwise evaluate a conditioner twice.

    Args:
      forward_name: name of the method from `x` to `z` and `{"ildj": -log_det}`.
      inverse_name: name of the method from `z` to `x` and `{"ildj": log_det}`.
    """
    return cache_util.BijectorCacheWithGreedyAttrs(forward_name=forward_name, inverse_name=inverse_name)


class TransformedDistribution(_TransformedDistribution):
    """TFP's distribution, whose `sample` handles names and seeds and calls these methods for the draws."""

    def _call_sample_n(self, sample_shape: Any, seed: Any, **kwargs: Any) -> tf.Tensor:
        return self.samples(sample_shape, seed, **kwargs)

    def _call_sample_and_log_prob(self, sample_shape: Any, seed: Any, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return self.samples_and_log_probs(sample_shape, seed, **kwargs)


def found_in(module: tf.Module, classes: Any) -> tuple[Any, ...]:
    """All instances of the given classes in the attributes of a module and its submodules."""
    return tuple(module._flatten(predicate=lambda part: isinstance(part, classes)))


def untracked(module: tf.Module, value: Any) -> Any:
    """Wraps `value` so that, as a module's attribute, TensorFlow's checkpoints do not look into it."""
    return module._no_dependency(value)


def layers_of(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A Keras layer and all layers within it."""
    return list(layer._flatten_layers())


def is_recording() -> bool:
    """Whether a gradient tape may record the current computation."""
    return record.could_possibly_record()


@contextlib.contextmanager
def stop_recording() -> Iterator[record.VariableWatcher]:
    """A context in which no gradient tape records or retains tensors; yields a watcher of the variables read."""
    with record.stop_recording(), record.VariableWatcher() as watcher:
        yield watcher


def with_gradient(
    outputs: Sequence[tf.Tensor], inputs: Sequence[tf.Tensor], gradient: Callable[..., Sequence[tf.Tensor | None]]
) -> list[tf.Tensor]:
    """`outputs` with the gradient `gradient(*upstream)` with respect to `inputs`, as with `tf.custom_gradient`.

    In a graph it is one operation. `tf.custom_gradient` adds one per output, and zeros for each input to the gradient:
    thousands in a step.
    """

    def gradient_of_operation(_: tf.Operation, *upstream: tf.Tensor) -> list[tf.Tensor | None]:
        return [None] * len(outputs) + list(gradient(*upstream[: len(outputs)]))

    graph = tf.compat.v1.get_default_graph()
    with record.stop_recording(), graph._override_gradient_function({"IdentityN": gradient_of_operation}):
        results = tf.raw_ops.IdentityN(input=[*outputs, *inputs])[: len(outputs)]
    record.record_operation("with_gradient", results, list(inputs), gradient)
    return results


def called_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, traced once per argument signature; a graph calls the trace, and TensorFlow does not inline it."""
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def index_of(optimizer: keras.optimizers.Optimizer, variable: tf.Variable) -> int:
    """The index of a variable, or of a replica's copy, among the variables the optimizer was built for."""
    return optimizer._get_variable_index(variable)


def has_weight_decay(optimizer: keras.optimizers.Optimizer, variable: tf.Variable) -> bool:
    """Whether an optimizer's weight decay applies to a variable, see `exclude_from_weight_decay`."""
    return optimizer._use_weight_decay(variable)


def moments_of(optimizer: keras.optimizers.Adam, variable: tf.Variable) -> tuple[tf.Variable, tf.Variable]:
    """Adam's first and second moments for a variable, or for a replica's copy of it."""
    index = index_of(optimizer, variable)
    return optimizer._momentums[index].value, optimizer._velocities[index].value


@contextlib.contextmanager
def gradients_reduced(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """A context in which an optimizer treats gradients as already reduced over replicas.

    Gradients are clipped after their reduction, so Keras' own reduction comes too late. Reducing a second time, after
    dividing by the number of replicas, would send all gradients over the network twice.
    """
    as_they_are: Callable[[Any], Any] = lambda pairs: pairs  # noqa: E731
    optimizer._all_reduce_sum_gradients = as_they_are
    try:
        yield
    finally:
        vars(optimizer).pop("_all_reduce_sum_gradients", None)
