"""Draws of a flow with both log-densities, and their values."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.mcmc.target import Target, finite_log_probs

ROWS = 4_096  # Events evaluated together.


@dataclasses.dataclass(frozen=True)
class Draws:
    """Independent draws of a flow.

    Attributes:
      events: `[n, *event_shape]`, in the flow's dtype.
      log_weights: float64 `[n]`, the target's log-density minus the flow's; -inf where the target has no density.
    """

    events: np.ndarray
    log_weights: np.ndarray


def drawn(target: Target, flow: FlowDistribution, count: int, seed: tuple[int, int]) -> Draws:
    """Draws `count` events of the flow.

    Raises:
      ValueError: for no draw, if a log-density is NaN or +inf, or the flow gives a draw of its own no density.
    """
    if count < 1:
        raise ValueError(f"expected 1 draw or more, got {count}")

    @tf.function(autograph=False)
    def batch(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        rows = min(ROWS, count)
        seeds = tf.random.experimental.stateless_fold_in(tf.constant(seed), index)
        x, log_prob = flow.experimental_sample_and_log_prob(rows, seed=seeds)
        return x, target.log_prob(x), log_prob

    parts = [[part.numpy() for part in batch(tf.constant(i))] for i in range(-(-count // ROWS))]
    events, of_target, of_flow = (np.concatenate(arrays)[:count] for arrays in zip(*parts))
    log_target = finite_log_probs(of_target, events)
    log_flow = finite_log_probs(of_flow, events, of="flow")
    if np.any(np.isneginf(log_flow)):
        raise ValueError(
            f"expected the flow to give its draws a density, got none for {np.sum(np.isneginf(log_flow))} of {count}: "
            "its inverse overflows"
        )
    return Draws(events, log_target - log_flow)


def values_of(target: Target, events: np.ndarray) -> tuple[Any, np.ndarray]:
    """The values of events `[n, *event_shape]` as the target's user has them, and the target's log-density of these."""

    @tf.function(autograph=False, reduce_retracing=True)
    def evaluate(events: tf.Tensor) -> tuple[Any, tf.Tensor]:
        values = target.values(events)
        return values, target.log_prob_of_values(values)

    parts = [evaluate(tf.constant(events[i : i + ROWS])) for i in range(0, len(events), ROWS)]
    return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)
