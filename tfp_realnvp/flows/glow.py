"""Glow, for images and for vectors."""

from collections.abc import Sequence
from typing import Any, Literal

from tfp_realnvp.bijectors import ActNorm, Bijector, ChannelHalves, InvertibleLinear
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.coupling_flow import coupling_flow
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import is_image
from tfp_realnvp.flows.multiscale import MakeCoupling, Order, image_flow
from tfp_realnvp.flows.networks import MakeTransformer


@composition_of(image_flow, sets="layers squeeze_first")
def _glow_of_images(
    *,
    transformer: str | MakeTransformer = "affine(form=shift_first)",
    steps: int = 8,
    linear_form: Literal["lu", "full", "householder"] = "lu",
    squeeze: Order = "channel_major",
    dtype: str = "float32",
    seed: int = 0,
    **options: Any,
) -> FlowDistribution:
    if steps < 1:
        raise ValueError(f"expected 1 step or more, got {steps}")

    def layers(make_coupling: MakeCoupling, scale: int, channels: int, is_last: bool) -> list[Bijector]:
        own: list[Bijector] = []
        for i in range(steps):
            step, of_images = f"scale_{scale}_step_{i}", dict[str, Any](event_ndims=3, dtype=dtype)
            of_linear = dict(form=linear_form, seed=seed + scale * steps + i, **of_images)
            own.append(ActNorm(channels, name=f"{step}_act_norm", **of_images))
            own.append(InvertibleLinear(channels, name=f"{step}_linear", **of_linear))
            own.append(make_coupling(transformer, ChannelHalves("first"), channels, f"{step}_coupling"))
        return own

    return image_flow(layers=layers, squeeze=squeeze, squeeze_first=True, dtype=dtype, **options)


@composition_of(coupling_flow, sets="couplings mix norm rho")
def _glow_of_vectors(
    *, transformer: str | MakeTransformer = "affine(form=shift_first)", steps: int = 8, **options: Any
) -> FlowDistribution:
    return coupling_flow(transformer=transformer, couplings=steps, mix="linear", norm="act", **options)


@composition_of(_glow_of_images, _glow_of_vectors, sets="flow_name")
def glow(*, event_shape: int | Sequence[int], **options: Any) -> FlowDistribution:
    """Glow: steps of an `ActNorm`, an `InvertibleLinear` and an affine coupling of channel halves.

    Images `[height, width, channels]`: a `multiscale` flow with `steps` steps per scale. Vectors `[size]`: a
    `coupling_flow`.

    It differs from the paper in three ways: Real NVP's logit comes first, log-scales are bounded by `tanh`, and
    conditioners are residual networks instead of three wide convolutions.

    Args:
      event_shape: `[height, width, channels]` or `[size]`; an integer is a vector's size.
      **options: the [options that flows share](#options-that-flows-share), and these.

        * transformer: for example "shift" or "sigmoidal(components=4) + affine", see `vector_flow`.
        * steps: number of steps at each scale, or of a flow over vectors.
        * linear_form: `form` of each `InvertibleLinear`: "lu", "full" or "householder".
        * seed: seed of the linear maps' initial rotations.

    Raises:
      ValueError: if the event shape is neither an image's nor a vector's, or cannot be halved `scales` times.

    ```python
    distribution = nvp.glow(event_shape=(8, 8, 3), steps=2)
    images = distribution.sample(2, seed=1)  # [2, 8, 8, 3], pixels in about [0, 256)
    distribution.log_prob(images)  # [2]
    ```

    Kingma, Dhariwal. Glow: generative flow with invertible 1x1 convolutions. NeurIPS 2018. arXiv 1807.03039.
    """
    flow = _glow_of_images if is_image(event_shape) else _glow_of_vectors
    return flow(event_shape=event_shape, flow_name="glow", **options)
