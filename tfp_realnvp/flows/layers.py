"""A flow of layers, which every factory ends with."""

from collections.abc import Sequence
from typing import Literal

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Chain
from tfp_realnvp.flows.bases import base_of
from tfp_realnvp.flows.distribution import FlowDistribution


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
    """The distribution of layers that keep the shape of an event.

        z = layers[-1](... layers[0](x)),    z ~ base

    Args:
      layers: the bijectors, in the order data meets them.
      event_shape: of the events.
      base: distribution of the latent: any `tfd.Distribution` of this event shape, whose learned parameters are
        `tf.Variable`s; "normal", the default; "student_t" (option `df`); or "mixture" (option `components`) of
        Gaussians. The last two learn their parameters. Options go in parentheses: "mixture(components=8)".
      backprop: how much memory training takes, see `Chain`: "store", "remat" or "invert".
      dtype: of the flow and its log-dets.
      validate_args: whether to assert at run time that events are finite and lie in the support.
      flow_name: name of the flow's chain.
      name: the distribution's name; by default its flow's, which joint distributions do not use.
    """
    flow = Chain(layers, backprop=backprop, name=name or flow_name)
    base = base_of(base, event_shape, dtype)
    return FlowDistribution(flow, event_shape, base=base, dtype=dtype, validate_args=validate_args, name=name)
