"""Locates the first NaN or infinity of a training step."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors import Bijector, Split
from tfp_realnvp.training.batches import unpacked, weighted
from tfp_realnvp.training.gradients import gradients_or_zeros
from tfp_realnvp.training.model import FlowModel


class NonFiniteError(ArithmeticError):
    """A training step had a loss or gradient that is not finite."""


def first_non_finite(model: FlowModel, events: Any, seed: tf.Tensor) -> str:
    """Names the first tensor of a step that is not finite: an input, a layer's output, a gradient or a variable.

    Args:
      model: the model, with the variables of the failed step.
      events: the batch of that step, with its context and weights if it has them.
      seed: seed of its dequantisation.
    """
    for name, tensor in _tensors(model, events, seed):
        finite = tf.math.is_finite(tf.cast(tensor, tf.float32))
        if not tf.reduce_all(finite):
            count = int(tf.reduce_sum(tf.cast(~finite, tf.int64)))
            return f"{name} ({count} of {tf.size(tensor)} entries)"
    return "nothing that could be reproduced outside the step"


def _tensors(model: FlowModel, events: Any, seed: tf.Tensor) -> Iterator[tuple[str, tf.Tensor]]:
    flow = model.distribution.flow
    events, given, weight = unpacked(events)
    context = None if given is None else model.context_of(given)
    x, log_q = model.dequantized(events, seed)
    yield "the batch", events if events.dtype.is_integer else x
    if context is not None:
        yield "the context", context
    for variable in model.trainable_variables:
        yield f"the variable {variable.path}", variable.value
    if log_q is not None:
        yield "the batch with its noise", x
        yield "the log-density of the noise", log_q
    yield from _layer_tensors(flow, x, context)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(weighted(model(events, given, training=True, seed=seed), weight))
    yield "the loss", loss
    gradients = gradients_or_zeros(tape, loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients):
        yield f"the gradient of {variable.path}", gradient
    yield "the gradient's global norm", tf.linalg.global_norm(gradients)


def _layer_tensors(flow: Bijector, x: tf.Tensor, context: tf.Tensor | None) -> Iterator[tuple[str, tf.Tensor]]:
    final: list[tf.Tensor] = []  # The latents that surrounding splits have factored out.
    for leaf in flow.leaves():
        while len(final) > sum(isinstance(container, Split) for container in leaf.path):
            x = tf.concat([x, final.pop()], -1)
        if isinstance(leaf.bijector, Split):
            x, rest = tf.split(x, 2, -1)
            final.append(rest)
            continue
        x, log_det = leaf.forward(x, context, training=True)
        yield f"the output of {leaf.bijector.name}", x
        yield f"the log-det of {leaf.bijector.name}", log_det
