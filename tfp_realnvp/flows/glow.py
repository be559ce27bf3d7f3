"""Glow, for images and for vectors."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras

from tfp_realnvp.bijectors import ActNorm, Bijector, ChannelHalves, Coupling, InvertibleLinear
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.coupling_flow import coupling_flow
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import is_image
from tfp_realnvp.flows.multiscale import multiscale
from tfp_realnvp.flows.networks import MakeConditioner, MakeTransformer, conditioner_maker, networks_policy
from tfp_realnvp.transformers import Affine

_affine = functools.partial(Affine, "shift_first")


@composition_of(multiscale, sets="layers squeeze_first")
def _glow_of_images(
    *,
    event_shape: int | Sequence[int],
    transformer: MakeTransformer = _affine,
    conditioner: str | MakeConditioner = "residual",
    steps: int = 8,
    width: int = 32,
    blocks: int = 2,
    normalization: str = "batch",
    activation: str = "relu",
    linear_form: str = "lu",
    squeeze: str = "channel_major",
    context_size: int | None = None,
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    seed: int = 0,
    **options: Any,
) -> FlowDistribution:
    make_conditioner = conditioner_maker(
        conditioner,
        event_ndims=3,
        width=width,
        blocks=blocks,
        normalization=normalization,
        activation=activation,
        context_size=context_size,
        dtype=networks_policy(dtype, dtype_policy),
    )
    mask = ChannelHalves("first")

    def layers(scale: int, channels: int, is_last: bool) -> list[Bijector]:
        own: list[Bijector] = []
        for i in range(steps):
            step, of_images = f"scale_{scale}_step_{i}", dict(event_ndims=3, dtype=dtype)
            scalar_map = transformer()
            outputs = scalar_map.outputs * mask.changed_size(channels)
            network = make_conditioner(mask, channels, outputs, name=f"{step}_network")
            rotation = dict(form=linear_form, seed=seed + scale * steps + i, **of_images)
            own += [
                ActNorm(channels, name=f"{step}_act_norm", **of_images),
                InvertibleLinear(channels, name=f"{step}_linear", **rotation),
                Coupling(scalar_map, network, mask, dtype=dtype, name=f"{step}_coupling"),
            ]
        return own

    return multiscale(
        event_shape=event_shape, layers=layers, squeeze=squeeze, squeeze_first=True, dtype=dtype, **options
    )


@composition_of(coupling_flow, sets="couplings mix norm rho")
def _glow_of_vectors(
    *,
    event_shape: int | Sequence[int],
    transformer: MakeTransformer = _affine,
    steps: int = 8,
    **options: Any,
) -> FlowDistribution:
    return coupling_flow(
        event_shape=event_shape, transformer=transformer, couplings=steps, mix="linear", norm="act", **options
    )


@composition_of(_glow_of_images, _glow_of_vectors, sets="flow_name")
def glow(*, event_shape: int | Sequence[int], **options: Any) -> FlowDistribution:
    """Glow: steps of an `ActNorm`, an `InvertibleLinear` and an affine coupling of channel halves.

    Images `[height, width, channels]`: pixels in [0, levels) go through `DequantizedLogit`; each scale squeezes, takes
    its steps, and lets half of the channels go on to the next. The latent has the image's shape. Vectors `[size]`:
    such steps, with an MLP each.

    Ours differs from the paper's in three things: the logit of Real NVP comes first, log-scales are bounded by `tanh`,
    and conditioners are residual networks in place of three wide convolutions.

    Args:
      event_shape: `[height, width, channels]` or `[size]`; an integer is a size.
      **options: for images those of `multiscale`, but for `layers` and `squeeze_first`; for vectors those of
        `coupling_flow`, but for `couplings`, `mix`, `norm` and `rho`; and these.

        * transformer: of the couplings, `Affine` by default; see `coupling_flow`.
        * conditioner: "residual" for images, "mlp" for vectors, or a function of a mask, the number of channels and the
          size of the output's last axis, which returns a built Keras layer.
        * steps: steps at each scale, or on a vector.
        * width: channels of residual networks.
        * blocks: residual blocks of each.
        * normalization: inside residual networks: "batch", "layer" or "none".
        * activation: of the networks.
        * linear_form: of `InvertibleLinear`: "lu" or "full".
        * context_size: size of the context of a conditional flow.
        * dtype_policy: of the networks; the global Keras policy by default, or `dtype` if that is not float32.
        * seed: of the linear maps' first rotations.

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
    flow = _glow_of_images if is_image(event_shape) else _glow_of_vectors
    return flow(event_shape=event_shape, flow_name="glow", **options)
