"""Real NVP for images and vectors."""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import BatchNorm, Bijector, ChannelHalves, Checkerboard, Mask, Squeeze
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.coupling_flow import coupling_flow
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import is_image
from tfp_realnvp.flows.multiscale import MakeCoupling, Order, image_flow
from tfp_realnvp.transformers import Affine

Form = Literal["scale_first", "shift_first"]


@composition_of(image_flow, sets="layers squeeze_first")
def _real_nvp_of_images(
    *,
    width: int = 32,
    form: Form = "shift_first",
    norm: Literal["batch"] | None = "batch",
    rho: float | None = None,
    coupling_squeeze: Order = "channel_major",
    dtype: str = "float32",
    **options: Any,
) -> FlowDistribution:
    if norm not in ("batch", None):
        raise ValueError(f'expected norm to be "batch" or None for images, got {norm!r}')
    if rho is not None and norm is None:
        raise ValueError('expected norm="batch" for a rho, got None')

    def layers(make_coupling: MakeCoupling, scale: int, channels: int, is_last: bool) -> list[Bijector]:
        def step(mask: Mask, channels: int, width: int, name: str) -> list[Bijector]:
            affine = functools.partial(Affine, form, initial_gain=0.0 if isinstance(mask, Checkerboard) else 1.0)
            coupling = make_coupling(affine, mask, channels, name, width=width)
            if norm is None:
                return [coupling]
            changed = mask.changed_size(channels)
            return [coupling, BatchNorm(changed, mask=mask, rho=rho, dtype=dtype, name=f"{name}_batch_norm")]

        own, scale_width = [], width * 2**scale
        for i in range(4 if is_last else 3):
            own += step(Checkerboard(parity=(i + 1) % 2), channels, scale_width, f"scale_{scale}_checkerboard_{i}")
        if is_last:
            return own
        squeeze = Squeeze(coupling_squeeze)
        own.append(squeeze)
        for i, keep in enumerate(("first", "second", "first")):
            own += step(ChannelHalves(keep), 4 * channels, 2 * scale_width, f"scale_{scale}_channel_{i}")
        return [*own, tfp.bijectors.Invert(squeeze, name="unsqueeze")]

    return image_flow(layers=layers, width=width, dtype=dtype, **options)


@composition_of(coupling_flow, sets="transformer")
def _real_nvp_of_vectors(*, form: Form = "scale_first", **options: Any) -> FlowDistribution:
    return coupling_flow(transformer=functools.partial(Affine, form, initial_gain=2.0), **options)


@composition_of(_real_nvp_of_images, _real_nvp_of_vectors, sets="flow_name")
def real_nvp(*, event_shape: int | Sequence[int], **options: Any) -> FlowDistribution:
    """Real NVP: affine couplings in alternating patterns, at several scales for images.

    Images `[height, width, channels]`: a `multiscale` flow. Scale k has networks of width `width * 2**k`: three
    checkerboard couplings, then a squeeze, three channel couplings of twice the width, and an unsqueeze. The last scale
    has four checkerboard couplings instead. Vectors `[size]`: a `coupling_flow`.

    `distribution.log_prob(x)` is a log-density in nats, for images the log-density of dequantised pixels; bits/dim is
    `-log_prob / (D log 2)`.

    Args:
      event_shape: `[height, width, channels]` or `[size]`; an integer is a vector's size.
      **options: the [options that flows share](#options-that-flows-share); for vectors also the options of
        `coupling_flow` except `transformer`; and these.

        * width: hidden channels of the networks at the first scale.
        * form: `form` of each `Affine`: "shift_first", as in the authors' program; or "scale_first", as in the paper.
        * norm: "batch", a `BatchNorm` follows each coupling, or None; for vectors as in `coupling_flow`.
        * rho: weight of the running average in `BatchNorm`, for small batches; None uses the current batch alone.
        * coupling_squeeze: `order` of the squeeze around channel couplings of images.

    Raises:
      ValueError: if the event shape is neither an image's nor a vector's, or cannot be halved `scales - 1` times.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 3))
    images = distribution.sample(2, seed=1)  # [2, 8, 8, 3], pixels in about [0, 256)
    distribution.log_prob(images)  # [2]
    ```

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. arXiv 1605.08803.
    """
    flow = _real_nvp_of_images if is_image(event_shape) else _real_nvp_of_vectors
    return flow(event_shape=event_shape, flow_name="real_nvp", **options)
