"""Glow, for images and for vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import (
    ActNorm,
    AffineCoupling,
    Bijector,
    Chain,
    ChannelHalves,
    DequantizedLogit,
    InvertibleLinear,
    Split,
    Squeeze,
)
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import image_or_vector, size_of
from tfp_realnvp.flows.images import scales_of
from tfp_realnvp.flows.networks import Networks
from tfp_realnvp.flows.vectors import half, networks_policy


def glow(
    *,
    event_shape: int | Sequence[int],
    steps: int = 8,
    linear_form: str = "lu",
    # Images.
    scales: int | None = None,
    width: int = 32,
    blocks: int = 2,
    normalization: str = "batch",
    levels: int | None = 256,
    alpha: float = 0.05,
    # Vectors.
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
    """Glow: steps of an `ActNorm`, an `InvertibleLinear` and an affine coupling of channel halves.

    Images `[height, width, channels]`: pixels in [0, levels) go through `DequantizedLogit`; each scale squeezes, takes
    its steps, and lets half of the channels go on to the next. The latent has the image's shape. Vectors `[size]`:
    steps with alternating masks and an MLP each.

    Ours differs from the paper's in three things: the logit of Real NVP comes first, scales are bounded by `tanh`, and
    couplings read residual networks, as those of `real_nvp`, in place of three wide convolutions.

    Args:
      event_shape: `[height, width, channels]` or `[size]`; an integer is a size.
      steps: steps at each scale, or on a vector.
      linear_form: of `InvertibleLinear`: "lu" or "full".
      scales: number of scales, each with a squeeze; by default, halved until a side is at most 4 or odd.
      width: channels of the networks.
      blocks: residual blocks of each network.
      normalization: inside residual networks: "batch", "layer" or "none".
      levels: number of levels of a pixel, or None for real-valued images, which get no preprocessing.
      alpha: of the preprocessing.
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
      ValueError: when the shape is neither an image's nor a vector's, or cannot be halved `scales` times.

    #### Examples

    ```python
    distribution = nvp.glow(event_shape=(8, 8, 3), steps=2)
    images = distribution.sample(2, seed=1)  # [2, 8, 8, 3], pixels in about [0, 256)
    distribution.log_prob(images)  # [2]
    ```

    #### References

    Kingma, Dhariwal. Glow: generative flow with invertible 1x1 convolutions. NeurIPS 2018. arXiv 1807.03039.
    """
    event_shape = image_or_vector(event_shape)
    is_image = len(event_shape) == 3
    network = Networks(
        dtype_policy=networks_policy(dtype, dtype_policy),
        context_size=context_size,
        activation=activation,
        hidden=hidden,
        blocks=blocks,
        normalization=normalization,
    )

    def steps_of(channels: int, prefix: str, seed: int) -> list[Bijector]:
        layers = []
        for i in range(steps):
            mask = ChannelHalves("first") if is_image else half(i)
            step, ndims = f"{prefix}step_{i}", len(event_shape)
            conditioner = network(
                mask, channels, AffineCoupling.parameters_per_entry, width=width, name=f"{step}_network"
            )
            layers += [
                ActNorm(channels, event_ndims=ndims, dtype=dtype, name=f"{step}_act_norm"),
                InvertibleLinear(
                    channels, event_ndims=ndims, form=linear_form, seed=seed + i, dtype=dtype, name=f"{step}_linear"
                ),
                AffineCoupling(conditioner, mask, form="shift_first", dtype=dtype, name=f"{step}_coupling"),
            ]
        return layers

    if is_image:
        scales = scales_of(event_shape, scales, squeezes_last=True)
        layers = _image_layers(steps_of, event_shape[-1], scales, steps, seed)
        if levels is not None:
            layers.insert(0, DequantizedLogit(levels, alpha=alpha, validate_args=validate_args))
    else:
        layers = steps_of(size_of(event_shape), "", seed)
    flow = Chain(layers, backprop=backprop, name=name or "glow")
    return FlowDistribution(flow, event_shape, dtype=dtype, validate_args=validate_args, name=name)


def _image_layers(
    steps_of: Callable[[int, str, int], list[Bijector]],
    channels: int,
    scales: int,
    steps: int,
    seed: int,
    scale: int = 0,
) -> list[tfp.bijectors.Bijector]:
    """The layers of this scale, the coarser scales within them."""
    squeeze = Squeeze("channel_major")
    layers = [squeeze, *steps_of(4 * channels, f"scale_{scale}_", seed + scale * steps)]
    if scale < scales - 1:
        rest = _image_layers(steps_of, 2 * channels, scales, steps, seed, scale + 1)
        layers.append(Split(Chain(rest, name=f"scale_{scale + 1}")))
    return [*layers, tfp.bijectors.Invert(squeeze, name="unsqueeze")]
