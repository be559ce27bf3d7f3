"""Unnormalised log-densities of vectors, from functions and from TFP's joint distributions."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.flows import FlowDistribution

tfb = tfp.bijectors
_Pinned = tfp.experimental.distributions.JointDistributionPinned


@dataclasses.dataclass(frozen=True)
class Target:
    """An unnormalised density of unconstrained events, and the way back to its user's values.

    Attributes:
      log_prob: from events `[n, *event_shape]` to log-densities `[n]`; a wrong shape or dtype is an error.
      event_shape: shape of an event, or None if any.
      values: from events to the values that the user's target takes.
      log_prob_of_values: the user's log-density of these values, without the log-det of `values`.
    """

    log_prob: Callable[[tf.Tensor], tf.Tensor]
    event_shape: tuple[int, ...] | None
    values: Callable[[tf.Tensor], Any]
    log_prob_of_values: Callable[[Any], tf.Tensor]

    @classmethod
    def of(cls, target: Any) -> "Target":
        """The target of a function, or of a pinned joint distribution.

        Raises:
          TypeError: for anything else, a joint distribution without pins, or latents that are not floating numbers.
        """
        if isinstance(target, _Pinned):
            return _of_joint(target)
        if isinstance(target, tfp.distributions.JointDistribution):
            raise TypeError("expected a joint distribution with its data pinned, got one without: use experimental_pin")
        if not callable(target):
            raise TypeError(
                "expected a function from events to log-densities, or joint.experimental_pin(...), got "
                f"{type(target).__name__}"
            )

        def log_prob(x: tf.Tensor) -> tf.Tensor:
            return _checked(target(x), x)

        return cls(log_prob, None, values=lambda x: x, log_prob_of_values=log_prob)

    def check_event_shape(self, flow: FlowDistribution) -> None:
        """Refuses a flow over events of another shape."""
        found = tuple(flow.event_shape)
        if self.event_shape is not None and found != self.event_shape:
            raise ValueError(
                f"expected a flow over vectors of the model's {self.event_shape[0]} unconstrained numbers, got event "
                f"shape {list(found)}"
            )


def finite_log_probs(log_probs: Any, events: Any, *, of: str = "target") -> np.ndarray:
    """Log-densities of draws as float64; -inf is kept.

    Raises:
      ValueError: for NaN or +inf, with the first such event.
    """
    found = np.asarray(log_probs, np.float64)
    bad = np.flatnonzero(np.isnan(found) | (found == math.inf))
    if bad.size:
        where = np.asarray(events)[bad[0]]
        raise ValueError(
            f"expected the {of}'s log-density to be finite or -inf, got {found[bad[0]]} at {np.array2string(where)}, "
            f"one of {bad.size} such draws in {found.size}"
        )
    return found


def _checked(log_prob: Any, x: tf.Tensor) -> tf.Tensor:
    if not tf.is_tensor(log_prob) or log_prob.dtype != x.dtype:
        found = f"a tensor of {log_prob.dtype.name}" if tf.is_tensor(log_prob) else type(log_prob).__name__
        raise TypeError(f"expected the target to return a tensor of {x.dtype.name}, as its events are, got {found}")
    if not log_prob.shape.is_compatible_with(x.shape[:1]):
        raise ValueError(
            f"expected the target to return log-densities of shape {x.shape[:1]} for events of shape {x.shape}, got "
            f"shape {log_prob.shape}"
        )
    return log_prob


def _of_joint(joint: Any) -> Target:
    """The density of the unconstrained latents of a joint distribution, end to end in one vector."""
    dtypes = tf.nest.flatten(joint.dtype)
    if any(not tf.as_dtype(dtype).is_floating for dtype in dtypes) or len(set(dtypes)) != 1:
        names = ", ".join(tf.as_dtype(dtype).name for dtype in dtypes)
        raise TypeError(f"expected continuous unpinned variables, of one dtype, got {names}")
    try:
        unconstrained = joint.experimental_default_event_space_bijector()
    except AttributeError as error:  # TFP finds None for a discrete distribution.
        raise TypeError(f"expected continuous unpinned variables, got {joint.dtype}") from error
    shapes = unconstrained.inverse_event_shape(joint.event_shape)
    flat = [tuple(shape.as_list()) for shape in tf.nest.flatten(shapes)]
    sizes = [math.prod(shape) for shape in flat]
    # As TFP's own guide to inference with joint distributions has it.
    bijector = tfb.Chain(
        [
            unconstrained,
            tfb.pack_sequence_as(joint.event_shape),
            tfb.JointMap([tfb.Reshape(shape, [size]) for shape, size in zip(flat, sizes)]),
            tfb.Split(sizes),
        ]
    )

    def log_prob(x: tf.Tensor) -> tf.Tensor:
        x = tf.identity(x)  # TFP's cache would return earlier results for the same tensor.
        log_density = joint.unnormalized_log_prob(bijector.forward(x))
        return _checked(log_density + bijector.forward_log_det_jacobian(x, event_ndims=1), x)

    return Target(log_prob, (sum(sizes),), bijector.forward, joint.unnormalized_log_prob)
