"""A flow in the style of Flow++, for images and for vectors."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import (
    ActNorm,
    Chain,
    ChannelHalves,
    Checkerboard,
    DequantizedLogit,
    InvertibleLinear,
    LogisticMixtureCoupling,
    Mask,
    Squeeze,
)
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import image_or_vector, size_of
from tfp_realnvp.flows.networks import Networks
from tfp_realnvp.flows.vectors import half, networks_policy, odd_entries_first


def flowpp(
    *,
    event_shape: int | Sequence[int],
    components: int = 8,
    # Images.
    checkerboards: Sequence[int] = (4, 3),
    channel_couplings: int = 2,
    width: int = 32,
    blocks: int = 2,
    normalization: str = "batch",
    levels: int | None = 256,
    alpha: float = 0.05,
    # Vectors.
    couplings: int = 8,
    hidden: Sequence[int] = (256, 256),
    # Both.
    activation: str = "relu",
    context_size: int | None = None,
    backprop: str = "store",
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    validate_args: bool = False,
    seed: int = 0,
    name: str | None = None,
) -> FlowDistribution:
    """A flow in the style of Flow++: couplings that bend along logistic mixtures, each after an `ActNorm` and a mixing.

    Images `[height, width, channels]`: pixels in [0, levels) go through `DequantizedLogit`, then checkerboard
    couplings, a squeeze, channel couplings, and checkerboard couplings at that scale; nothing is factored out. An
    `InvertibleLinear` mixes the channels before each coupling. Vectors `[size]`: couplings with alternating masks and
    an MLP each.

    The paper's networks are gated convolutions with attention, and it dequantises by a flow of its own; these are the
    residual networks of `real_nvp`, and dequantisation is that of whoever trains it: uniform, or a `dequantizer`.

    Args:
      event_shape: `[height, width, channels]` or `[size]`; an integer is a size.
      components: of each mixture; 32 in the paper.
      checkerboards: number of checkerboard couplings before and after the channel couplings.
      channel_couplings: number of channel couplings on squeezed images.
      width: channels of the networks.
      blocks: residual blocks of each network.
      normalization: inside residual networks: "batch", "layer" or "none".
      levels: number of levels of a pixel, or None for real-valued images, which get no preprocessing.
      alpha: of the preprocessing.
      couplings: number of couplings on vectors.
      hidden: hidden sizes of an MLP.
      activation: of the networks.
      context_size: size of the context of a conditional flow.
      backprop: of `Chain`, how much memory training takes.
      dtype: of the flow and its log-dets.
      dtype_policy: of the networks; the global Keras policy by default, or `dtype` if that is not float32.
      validate_args: whether to assert at run time that events lie in the support.
      seed: of the linear maps' first rotations.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Returns:
      A `FlowDistribution`.

    Raises:
      ValueError: when the shape is neither an image's of an even height and width, nor a vector's.

    #### Examples

    ```python
    distribution = nvp.flowpp(event_shape=(6,), couplings=2)
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    #### References

    Ho et al. Flow++: improving flow-based generative models with variational dequantization and architecture design.
    ICML 2019. arXiv 1902.00275.
    """
    event_shape = image_or_vector(event_shape)
    network = Networks(
        dtype_policy=networks_policy(dtype, dtype_policy),
        context_size=context_size,
        activation=activation,
        hidden=hidden,
        blocks=blocks,
        normalization=normalization,
    )
    layers = []

    def add(mask: Mask, channels: int, mixes: bool, name: str) -> None:
        layers.append(ActNorm(channels, event_ndims=mask.event_ndims, dtype=dtype, name=f"{name}_act_norm"))
        if mixes:
            rotation = dict(event_ndims=mask.event_ndims, seed=seed + len(layers), dtype=dtype, name=f"{name}_linear")
            layers.append(InvertibleLinear(channels, **rotation))
        conditioner = network(mask, channels, 2 + 3 * components, width=width, name=f"{name}_network")
        layers.append(LogisticMixtureCoupling(conditioner, mask, components=components, dtype=dtype, name=name))

    if len(event_shape) == 1:
        size = size_of(event_shape)
        layers.append(odd_entries_first(size))
        for i in range(couplings):
            add(half(i), size, mixes=False, name=f"coupling_{i}")
    else:
        if levels is not None:
            layers.append(DequantizedLogit(levels, alpha=alpha, validate_args=validate_args))
        channels, (before, after) = event_shape[-1], checkerboards
        for i in range(before):
            add(Checkerboard(parity=(i + 1) % 2), channels, mixes=channels > 1, name=f"checkerboard_{i}")
        squeeze = Squeeze("channel_major")
        layers.append(squeeze)
        for i in range(channel_couplings):
            keep = ("first", "second")[i % 2]
            add(ChannelHalves(keep), 4 * channels, mixes=True, name=f"channel_{i}")
        for i in range(after):
            add(Checkerboard(parity=(i + 1) % 2), 4 * channels, mixes=True, name=f"squeezed_checkerboard_{i}")
        layers.append(tfp.bijectors.Invert(squeeze, name="unsqueeze"))
    flow = Chain(layers, backprop=backprop, name=name or "flowpp")
    return FlowDistribution(flow, event_shape, dtype=dtype, validate_args=validate_args, name=name)
