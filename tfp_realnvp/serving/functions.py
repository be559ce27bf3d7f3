"""The functions of an export that `load` reads: a flow's passes as functions of tensors, without checks."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from tfp_realnvp.bijectors.precision import call_conditioner
from tfp_realnvp.flows import Dequantizer, FlowDistribution
from tfp_realnvp.serving.structure import couplings_of

Function: TypeAlias = tf.types.experimental.PolymorphicFunction


def functions_of(
    distribution: FlowDistribution, dequantizer: Dequantizer | None, *, context_size: int | None
) -> dict[str, Function]:
    """The functions by name.

    `forward` and `inverse` map between data and latents, with `log|det|` and context, for images of any size that the
    flow takes. A custom base has `base_log_prob` and `base_sample`. Images without a context have `network_0`,
    `network_1`, ..., the networks of the couplings. Learned noise has `noise_forward` and `noise_inverse`, whose
    context is the image, scaled to [-1, 1].
    """
    event_shape, dtype = distribution.event_shape.as_list(), distribution.dtype
    is_image = len(event_shape) == 3
    contexts = [tf.TensorSpec([None, context_size], dtype, name="context")] if context_size else []
    data = tf.TensorSpec([None, *event_shape], dtype, name="x")
    latents = tf.TensorSpec([None, None, None, event_shape[-1]] if is_image else data.shape, dtype, name="z")
    flow = distribution.flow
    found = {
        "forward": function(functools.partial(_of_rows, flow.forward_and_log_det), [data, *contexts]),
        "inverse": function(functools.partial(_of_rows, flow.inverse_and_log_det), [latents, *contexts]),
    }
    if dequantizer is not None:
        found |= _noise_functions(dequantizer, data)
    if not distribution.has_default_base:
        base = distribution.distribution
        # With a custom base, latents have the base's size only.
        z = tf.TensorSpec([None, *base.event_shape], dtype, name="z")
        count, seed = tf.TensorSpec([], tf.int32, name="count"), tf.TensorSpec([2], tf.int32, name="seed")
        found["base_log_prob"] = function(base.log_prob, [z])
        found["base_sample"] = function(lambda count, seed: base.sample(count, seed), [count, seed])
    if is_image and not contexts:
        for i, (coupling, channels) in enumerate(couplings_of(distribution)):
            kept = tf.TensorSpec([None, None, None, channels], dtype, name="kept")
            found[f"network_{i}"] = function(functools.partial(_of_network, coupling.conditioner), [kept])
    return found


def function(answer: Callable[..., Any], input_signature: Sequence[tf.TensorSpec]) -> Function:
    """A `tf.function` of one signature."""
    return tf.function(answer, input_signature=input_signature, autograph=False)  # No control flow depends on tensors.


def _of_rows(
    pass_fn: Callable[..., tuple[tf.Tensor, tf.Tensor]], x: tf.Tensor, context: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """The result of a pass, with one log-det per event, for any number of rows."""
    # TensorFlow's oneDNN convolution returns a wrong shape for an empty batch, so a row is added.
    count = tf.shape(x)[0]
    missing = tf.maximum(1 - count, 0)

    def filled(rows: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.pad(rows, [[0, missing], *[[0, 0]] * (rows.shape.rank - 1)]), rows.shape)

    y, log_det = pass_fn(filled(x), None if context is None else filled(context))
    # A flow with a log-det per part of an event, such as an elementwise flow, needs their sum.
    log_det = tf.reduce_sum(log_det, axis=list(range(1, log_det.shape.rank)))
    return y[:count], log_det[:count]


def _noise_functions(dequantizer: Dequantizer, u: tf.TensorSpec) -> dict[str, Function]:
    """The passes of the flow over the noise, given pixels in [-1, 1]."""

    def of_pass(pass_fn: Callable[..., tuple[tf.Tensor, tf.Tensor]]) -> Function:
        def of_pixels(x: tf.Tensor, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return pass_fn(x, pixels if dequantizer.squeeze is None else dequantizer.squeeze.forward(pixels))

        return function(functools.partial(_of_rows, of_pixels), [u, tf.TensorSpec(u.shape, u.dtype, name="context")])

    return {
        "noise_forward": of_pass(dequantizer.flow.forward_and_log_det),
        "noise_inverse": of_pass(dequantizer.flow.inverse_and_log_det),
    }


def _of_network(conditioner: Callable[..., tf.Tensor], kept: tf.Tensor) -> tf.Tensor:
    return call_conditioner(conditioner, kept, None, training=False)
