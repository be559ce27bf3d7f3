"""A flow in the style of Flow++, for images and for vectors."""

from collections.abc import Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import ActNorm, Bijector, ChannelHalves, Checkerboard, InvertibleLinear, Mask, Squeeze
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.coupling_flow import coupling_flow
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import is_image
from tfp_realnvp.flows.multiscale import MakeCoupling, image_flow


@composition_of(image_flow, sets="layers scales squeeze squeeze_first")
def _flowpp_of_images(
    *,
    components: int = 8,
    checkerboards: Sequence[int] = (4, 3),
    channel_couplings: int = 2,
    dtype: str = "float32",
    seed: int = 0,
    **options: Any,
) -> FlowDistribution:
    if len(checkerboards) != 2:
        raise ValueError(f"expected two numbers of checkerboards, before and after, got {tuple(checkerboards)}")

    def layers(make_coupling: MakeCoupling, scale: int, channels: int, is_last: bool) -> list[Bijector]:
        own: list[Bijector] = []

        def add(mask: Mask, channels: int, name: str) -> None:
            of_images: dict[str, Any] = dict(event_ndims=3, dtype=dtype)
            own.append(ActNorm(channels, name=f"{name}_act_norm", **of_images))
            if channels > 1:
                own.append(InvertibleLinear(channels, seed=seed + len(own), name=f"{name}_linear", **of_images))
            own.append(make_coupling(f"sigmoidal(components={components}) + affine", mask, channels, name))

        before, after = checkerboards
        for i in range(before):
            add(Checkerboard(parity=(i + 1) % 2), channels, f"checkerboard_{i}")
        squeeze = Squeeze("channel_major")
        own.append(squeeze)
        for i in range(channel_couplings):
            add(ChannelHalves(("first", "second")[i % 2]), 4 * channels, f"channel_{i}")
        for i in range(after):
            add(Checkerboard(parity=(i + 1) % 2), 4 * channels, f"squeezed_checkerboard_{i}")
        return [*own, tfp.bijectors.Invert(squeeze, name="unsqueeze")]

    return image_flow(layers=layers, scales=1, dtype=dtype, **options)


@composition_of(coupling_flow, sets="transformer norm rho")
def _flowpp_of_vectors(*, components: int = 8, **options: Any) -> FlowDistribution:
    return coupling_flow(transformer=f"sigmoidal(components={components}) + affine", norm="act", **options)


@composition_of(_flowpp_of_images, _flowpp_of_vectors, sets="flow_name")
def flowpp(*, event_shape: int | Sequence[int], **options: Any) -> FlowDistribution:
    """A flow in the style of Flow++: couplings of logistic mixtures, each after an `ActNorm` and a linear map.

    Images `[height, width, channels]`: a `multiscale` flow with one scale. It has checkerboard couplings, a squeeze,
    channel couplings, and checkerboard couplings again, each after an `InvertibleLinear`. Vectors `[size]`: a
    `coupling_flow`.

    The paper's networks are gated convolutions with attention; these are the residual networks of `real_nvp`. The
    paper's learned dequantisation is `dequantizer`, an argument of `FlowModel`.

    Args:
      event_shape: `[height, width, channels]` or `[size]`; an integer is a vector's size.
      **options: the [options that flows share](#options-that-flows-share); for vectors also the options of
        `coupling_flow` except `transformer`, `norm` and `rho`; and these.

        * components: number of components of each mixture; 32 in the paper.
        * checkerboards: number of checkerboard couplings of images before and after the channel couplings.
        * channel_couplings: number of channel couplings on squeezed images.
        * seed: seed of the linear maps' initial rotations.

    Raises:
      ValueError: unless the event shape is a vector's, or an image's with even height and width.

    ```python
    distribution = nvp.flowpp(event_shape=(6,), couplings=2)
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Ho et al. Flow++: improving flow-based generative models with variational dequantization and architecture design.
    ICML 2019. arXiv 1902.00275.
    """
    flow = _flowpp_of_images if is_image(event_shape) else _flowpp_of_vectors
    return flow(event_shape=event_shape, flow_name="flowpp", **options)
