"""The builder on which every factory rests, and the named base distributions."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfp_realnvp.bijectors import Chain
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.named import named


def _normal(shape: Sequence[int], dtype: str) -> None:
    """Standard normal, the default of `FlowDistribution`."""


def _student_t(shape: Sequence[int], dtype: str, df: float = 5.0) -> tfd.Distribution:
    if df <= 0:
        raise ValueError(f"expected a positive df, got {df}")
    start = np.full(shape, df, tf.as_dtype(dtype).as_numpy_dtype)
    learned = tfp.util.TransformedVariable(start, tfp.bijectors.Softplus(), name="df")
    one = tf.ones([], dtype)
    return tfd.Independent(tfd.StudentT(learned, 0 * one, one), len(shape))


def _mixture(shape: Sequence[int], dtype: str, components: int = 4) -> tfd.Distribution:
    if components < 1:
        raise ValueError(f"expected at least one component, got {components}")
    means = np.random.default_rng(0).normal(size=[components, *shape])  # Apart, or components would stay equal.
    locs, logits = (tf.Variable(tf.cast(start, dtype)) for start in (means, np.zeros(components)))
    scales = tfp.util.TransformedVariable(tf.ones([components, *shape], dtype), tfp.bijectors.Softplus())
    parts = tfd.Independent(tfd.Normal(locs, scales), len(shape))
    return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), parts)


_BASES = {"normal": _normal, "student_t": _student_t, "mixture": _mixture}


def flow_of_layers(
    layers: Sequence[tfp.bijectors.Bijector],
    *,
    event_shape: Sequence[int],
    base: str | tfp.distributions.Distribution | None = None,
    backprop: Literal["store", "remat", "invert"] = "store",
    dtype: str = "float32",
    validate_args: bool = False,
    flow_name: str = "flow",
    name: str | None = None,
) -> FlowDistribution:
    """The distribution defined by layers that preserve the event shape.

        z = layers[-1](... layers[0](x)),    z ~ base

    Args:
      layers: the bijectors, in data-to-latent order.
      event_shape: shape of the events.
      base: distribution of the latent: any `tfd.Distribution` of this event shape whose learned parameters are
        `tf.Variable`s; "normal", the default; "student_t" (option `df`); or "mixture" of Gaussians (option
        `components`). The last two learn their parameters. Options go in parentheses: "mixture(components=8)".
      backprop: what training stores for the backward pass, see `Chain`: "store", "remat" or "invert".
      dtype: dtype of the flow and its log-dets.
      validate_args: whether to assert at run time that events are finite and lie in the support.
      flow_name: name of the flow's chain.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Raises:
      ValueError: for an unknown base or an unknown option.
    """
    flow = Chain(layers, backprop=backprop, name=name or flow_name)
    if isinstance(base, str):
        base = named(base, _BASES, "base")(event_shape, dtype)
    return FlowDistribution(flow, event_shape, base=base, dtype=dtype, validate_args=validate_args, name=name)
