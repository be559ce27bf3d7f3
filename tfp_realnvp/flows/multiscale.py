"""A multi-scale flow of images, of any layers."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Chain, DequantizedLogit, Split, Squeeze
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import image_of
from tfp_realnvp.flows.layers import flow_of_layers

# From the number of a scale, the channels of its images, and whether it is the last, to its layers.
MakeLayers = Callable[[int, int, bool], Sequence[tfp.bijectors.Bijector]]
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
    def layers(scale, channels, is_last):
        mask = nvp.bijectors.Checkerboard(parity=scale % 2)
        affine = nvp.transformers.Affine()
        network = nvp.conditioners.ResidualNetwork(outputs=affine.outputs * channels, width=8, mask_channel=True)
        network.build((None, None, None, mask.kept_size(channels)))
        return [nvp.bijectors.ActNorm(channels, event_ndims=3), nvp.bijectors.Coupling(affine, network, mask)]

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
