"""A flow over images of couplings with networks, at several scales."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Coupling
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.multiscale import multiscale
from tfp_realnvp.flows.networks import MakeConditioner, layer_maker

# From a transformer's maker, a mask, the channels, a name and options of the network to a layer.
MakeCoupling = Callable[..., Coupling]


@composition_of(multiscale)
def image_flow(
    *,
    layers: Callable[[MakeCoupling, int, int, bool], Sequence[tfp.bijectors.Bijector]],
    conditioner: str | MakeConditioner = "residual",
    width: int = 32,
    blocks: int = 2,
    use_skips: bool = True,
    normalization: Literal["batch", "layer", "none"] = "batch",
    output_scale: float | None = None,
    activation: str = "relu",
    context_size: int | None = None,
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    **options: Any,
) -> FlowDistribution:
    """What `real_nvp`, `glow` and `flowpp` of images share.

    Args:
      layers: as of `multiscale`, after a function that makes a coupling of a transformer's maker, a mask, the number of
        channels and a name.
      conditioner: "residual", or a function of a mask, the number of channels and the size of the output's last axis,
        which returns a built Keras layer.
      width: channels of residual networks.
      blocks: residual blocks of each network.
      use_skips: whether each residual block feeds the output, see `ResidualNetwork`.
      normalization: inside residual networks: "batch", "layer" or "none".
      output_scale: where the magnitude of each network's last convolution starts; 0 for networks that start at zero,
        None for that of the other convolutions.
      activation: of the networks.
      context_size: size of the context of a conditional flow.
      dtype_policy: of the networks; the global Keras policy by default, or `dtype` if that is not float32.
      **options: of `multiscale`.
    """
    of_network = dict(width=width, blocks=blocks, use_skips=use_skips, normalization=normalization)
    of_network |= dict(output_scale=output_scale, activation=activation, context_size=context_size)
    make_coupling = layer_maker(conditioner, event_ndims=3, dtype=dtype, dtype_policy=dtype_policy, **of_network)
    return multiscale(layers=functools.partial(layers, make_coupling), dtype=dtype, **options)
