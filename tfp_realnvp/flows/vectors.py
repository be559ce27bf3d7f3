"""Flows over vectors whose layers transform some entries with parameters computed from others."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Autoregressive, Coupling, Mask
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.layers import flow_of_layers
from tfp_realnvp.flows.networks import MakeConditioner, MakeTransformer, layer_maker

# Maps a mask and a name to a layer.
MakeLayer = Callable[[Mask, str], Coupling | Autoregressive]


@composition_of(flow_of_layers, sets="layers")
def vector_flow(
    *,
    event_shape: int | Sequence[int],
    layers: Callable[[int, MakeLayer], Sequence[tfp.bijectors.Bijector]],
    least: int = 1,
    transformer: str | MakeTransformer = "affine",
    conditioner: str | MakeConditioner = "mlp",
    hidden_units: Sequence[int] = (256, 256),
    activation: str = "relu",
    context_size: int | None = None,
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    **options: Any,
) -> FlowDistribution:
    """The common builder of coupling flows and autoregressive flows.

    Args:
      event_shape: `[size]`, or the size.
      layers: returns all layers, given the size and a function that maps a mask and a name to a `Coupling` or
        `Autoregressive` layer.
      least: the smallest size allowed.
      transformer: "affine", "shift", "spline" or "sigmoidal", with options in parentheses and "+" for composition, such
        as "sigmoidal(components=4) + affine"; or a callable without arguments that returns a transformer.
      conditioner: "mlp"; "attention" between the entries, with options in parentheses such as "attention(width=32,
        blocks=1)"; or a function of a mask, the number of entries and the size of the output's last axis, which returns
        a built Keras layer. In an autoregressive layer it must respect the order of the entries.
      hidden_units: sizes of the hidden layers of each MLP.
      activation: activation of the networks.
      context_size: size of the context of a conditional flow, or None for no context.
      dtype_policy: policy of the networks; by default the global Keras policy, or `dtype` if that is not float32.
      **options: options of `flow_of_layers`.
    """
    if min(hidden_units, default=1) < 1:
        raise ValueError(f"expected hidden_units of 1 or more, got {tuple(hidden_units)}")
    size = size_of(event_shape, least)
    of_network = dict(hidden_units=hidden_units, activation=activation, context_size=context_size)
    make = layer_maker(conditioner, event_ndims=1, dtype=dtype, dtype_policy=dtype_policy, **of_network)

    def make_layer(mask: Mask, name: str) -> Coupling | Autoregressive:
        return make(transformer, mask, size, name)

    given = dict(event_shape=[size], context_size=context_size, dtype=dtype, **options)
    return flow_of_layers(layers(size, make_layer), **given)
