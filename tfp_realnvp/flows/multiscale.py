"""Multi-scale flows of images: of any layers, and of couplings with networks."""

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
from tfp_realnvp.flows.networks import MakeConditioner, layer_maker

# From the number of a scale, the channels of its images, and whether it is the last, to its layers.
MakeLayers = Callable[[int, int, bool], Sequence[tfp.bijectors.Bijector]]
# From a transformer, a mask, the channels, a name and options of the network to a layer.
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
    """Layers of your own at each scale of an image; preprocessing, squeezes and splits are put around them.

        scale k:  x -> layers(k) -> squeeze -> one half of the channels is final, the other goes through scale k + 1
        squeeze_first:  x -> squeeze -> layers(k) -> ..., at the last scale, too

    Pixels in [0, levels) go through `DequantizedLogit` first. All squeezes are undone behind the last scale, so that
    the latent has the image's shape. `real_nvp` and `glow` are such flows.

    Args:
      event_shape: `[height, width, channels]`.
      layers: called as `layers(scale, channels, is_last)` for each scale from 0, the finest; returns its bijectors in
        the order data meets them, `Coupling`s among them. They must keep the shape of an image of that many channels.
      scales: number of scales; by default, halved until a side is at most 4 or odd.
      squeeze: order of the squeezes around splits: "diagonal", "channel_major" or "position_major".
      squeeze_first: whether each scale begins with its squeeze, so that its layers see smaller images of four times the
        channels.
      levels: number of levels of a pixel, or None for real-valued images, which get no preprocessing.
      alpha: of the preprocessing, in (0, 0.5): how far pixels stay from where the logit is infinite.
      **options: `base`, `backprop` and others that [flows share](#options-that-flows-share).

    Raises:
      ValueError: when the shape is not an image's, or cannot be halved as often.

    ```python
    def layers(scale, channels, is_last):  # Linear ones; `docs/extend.md` has couplings.
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
    """What `real_nvp`, `glow` and `flowpp` of images share.

    Args:
      layers: as of `multiscale`, after a function of a transformer, a mask, the channels and a name to a coupling.
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
    of_network: dict[str, Any] = dict(width=width, blocks=blocks, use_skips=use_skips, normalization=normalization)
    of_network |= dict(output_scale=output_scale, activation=activation, context_size=context_size)
    make_coupling = layer_maker(conditioner, event_ndims=3, dtype=dtype, dtype_policy=dtype_policy, **of_network)
    return multiscale(layers=functools.partial(layers, make_coupling), dtype=dtype, **options)


def scales_of(event_shape: tuple[int, int, int], scales: int | None, squeezes_last: bool = False) -> int:
    """The number of scales that was asked for, or the default of `multiscale`."""
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
            f"expected an even height and width at each of {squeezes} squeezes, that is multiples of {factor}, "
            f"got {event_shape}"
        )
    return scales
