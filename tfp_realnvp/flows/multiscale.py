"""Multi-scale flows over images: with arbitrary layers, and with couplings and their networks."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Chain, Coupling, DequantizedLogit, Split, Squeeze
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import image_of
from tfp_realnvp.flows.layers import flow_of_layers
from tfp_realnvp.flows.networks import MakeConditioner, check_read, layer_maker

# Maps a scale's index, its number of channels, and whether it is the last one to its layers.
MakeLayers = Callable[[int, int, bool], Sequence[tfp.bijectors.Bijector]]
# Maps a transformer, a mask, the channels, a name and options of the network to a layer.
MakeCoupling = Callable[..., Coupling]
Order = Literal["diagonal", "channel_major", "position_major"]


@composition_of(flow_of_layers)
def multiscale(
    *,
    event_shape: Sequence[int],
    layers: MakeLayers,
    scales: int | None = None,
    squeeze: Order = "diagonal",
    squeeze_first: bool = False,
    levels: int | None = 256,
    alpha: float = 0.05,
    validate_args: bool = False,
    flow_name: str = "multiscale",
    **options: Any,
) -> FlowDistribution:
    """A multi-scale flow over images with custom layers at each scale; adds preprocessing, squeezes and splits.

        scale k:  x -> layers(k) -> squeeze -> half of the channels is final, the other half enters scale k + 1
        squeeze_first:  x -> squeeze -> layers(k) -> ..., also at the last scale

    Pixels in [0, levels) are first mapped by `DequantizedLogit`. All squeezes are undone after the last scale, so that
    the latent has the image's shape. `real_nvp` and `glow` are such flows.

    Args:
      event_shape: `[height, width, channels]`.
      layers: called as `layers(scale, channels, is_last)` for each scale from 0, the finest; returns its bijectors,
        including `Coupling`s, in data-to-latent order. They must preserve the shape of an image with that many
        channels.
      scales: number of scales; by default, images are halved until a side is at most 4 or odd.
      squeeze: `order` of the squeezes around splits: "diagonal", "channel_major" or "position_major".
      squeeze_first: whether each scale starts with its squeeze, so that its layers see smaller images with four times
        the channels.
      levels: number of levels of a pixel, or None for real-valued images, which get no preprocessing.
      alpha: `alpha` of `DequantizedLogit`, in (0, 0.5): keeps pixels away from the logit's infinities.
      **options: `base`, `backprop` and other [options that flows share](#options-that-flows-share).

    Raises:
      ValueError: if the event shape is not an image's, or cannot be halved often enough.

    ```python
    def layers(scale, channels, is_last):  # Linear layers; see `docs/extend.md` for couplings.
        return [layer(channels, event_ndims=3) for layer in (nvp.bijectors.ActNorm, nvp.bijectors.InvertibleLinear)]

    distribution = nvp.multiscale(event_shape=(8, 8, 3), layers=layers)
    distribution.log_prob(distribution.sample(2, seed=1))  # [2]
    ```

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. arXiv 1605.08803. Section 3.6.
    """
    event_shape = image_of(event_shape)
    scales = scales_of(event_shape, scales, squeezes_last=squeeze_first)

    def scale_layers(scale: int, channels: int) -> list[tfp.bijectors.Bijector]:
        is_last = scale == scales - 1
        own = list(layers(scale, 4 * channels if squeeze_first else channels, is_last))
        if is_last and not squeeze_first:
            return own
        to_channels = Squeeze(squeeze)
        parts = [to_channels, *own] if squeeze_first else [*own, to_channels]
        if not is_last:
            parts.append(Split(Chain(scale_layers(scale + 1, 2 * channels), name=f"scale_{scale + 1}")))
        return [*parts, tfp.bijectors.Invert(to_channels, name="unsqueeze")]

    all_layers = scale_layers(0, event_shape[-1])
    if levels is not None:
        all_layers.insert(0, DequantizedLogit(levels, alpha=alpha, validate_args=validate_args))
    options |= dict(validate_args=validate_args, flow_name=flow_name)
    return flow_of_layers(all_layers, event_shape=event_shape, **options)


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
    """The common builder of `real_nvp`, `glow` and `flowpp` over images.

    Args:
      layers: as in `multiscale`, but called with an additional first argument, a function that maps a transformer, a
        mask, the channels and a name to a coupling.
      conditioner: "residual"; "gated" convolutions with attention, with options in parentheses such as
        "gated(heads=0, dropout=0.2)"; "dense" convolutions, such as "dense(growth=16)"; or a function of a mask, the
        number of channels and the size of the output's last axis, which returns a built Keras layer and reads none of
        the options of networks.
      width: hidden channels of the networks.
      blocks: blocks of each network.
      use_skips: whether every block of a residual network feeds the output, see `ResidualNetwork`.
      normalization: normalisation inside residual networks: "batch", "layer" or "none"; others use layer norm.
      output_scale: initial scale of each network's last convolution; 0 starts networks at zero, None uses the network's
        default.
      activation: activation of the networks.
      context_size: size of the context of a conditional flow, or None for no context.
      dtype_policy: policy of the networks; by default the global Keras policy, or `dtype` if that is not float32.
      **options: options of `multiscale`.
    """
    of_network: dict[str, Any] = dict(width=width, blocks=blocks, use_skips=use_skips, normalization=normalization)
    of_network |= dict(output_scale=output_scale, activation=activation)
    check_read(image_flow, conditioner, 3, **of_network)
    of_network["context_size"] = context_size
    make_coupling = layer_maker(conditioner, event_ndims=3, dtype=dtype, dtype_policy=dtype_policy, **of_network)
    given = dict(context_size=context_size, dtype=dtype, **options)
    return multiscale(layers=functools.partial(layers, make_coupling), **given)


def scales_of(event_shape: tuple[int, int, int], scales: int | None, squeezes_last: bool = False) -> int:
    """The requested number of scales, or the default of `multiscale`."""
    height, width, _ = event_shape
    if scales is None:
        scales = 1
        while height % 2 == width % 2 == 0 and min(height, width) > 4:
            height, width, scales = height // 2, width // 2, scales + 1
        scales = max(scales - squeezes_last, 1)
    if scales < 1:
        raise ValueError(f"expected at least one scale, got {scales}")
    squeezes = scales - 1 + squeezes_last
    factor = 2**squeezes
    if event_shape[0] % factor or event_shape[1] % factor:
        raise ValueError(
            f"expected an even height and width at each of {squeezes} squeezes, i.e. multiples of {factor}, "
            f"got {event_shape}"
        )
    return scales
