"""Real NVP, for images and for vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import (
    AffineCoupling,
    BatchNorm,
    Bijector,
    Chain,
    ChannelHalves,
    Checkerboard,
    DequantizedLogit,
    Mask,
    Split,
    Squeeze,
)
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import image_or_vector, size_of
from tfp_realnvp.flows.images import scales_of
from tfp_realnvp.flows.networks import Networks
from tfp_realnvp.flows.vectors import half, networks_policy, odd_entries_first


def real_nvp(
    *,
    event_shape: int | Sequence[int],
    # Images.
    scales: int | None = None,
    width: int = 32,
    blocks: int = 2,
    use_skips: bool = True,
    levels: int | None = 256,
    alpha: float = 0.05,
    # Vectors.
    couplings: int = 8,
    hidden: Sequence[int] = (256, 256),
    # Both.
    form: str | None = None,
    batch_norm: bool | None = None,
    normalization: str = "batch",
    rho: float | None = None,
    activation: str = "relu",
    context_size: int | None = None,
    backprop: str = "store",
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    validate_args: bool = False,
    name: str | None = None,
) -> FlowDistribution:
    """Real NVP: affine couplings in alternating patterns, at several scales for images.

    Images `[height, width, channels]`: pixels in [0, levels) go through `DequantizedLogit`, then, at each scale k of
    width `width * 2**k`, three checkerboard couplings; a squeeze, three channel couplings of twice the width and an
    unsqueeze; a diagonal squeeze, after which one half of the channels is final and the other goes on. The last
    scale has four checkerboard couplings instead. The latent has the image's shape. Vectors `[size]`: couplings with
    alternating masks and an MLP each.

    `distribution.log_prob(x)` is a density in nats, for images that of dequantised pixels; bits/dim is
    `-log_prob / (D log 2)`. Every keyword is optional but the shape.

    Args:
      event_shape: `[height, width, channels]` or `[size]`; an integer is a size.
      scales: number of scales; by default, halved until a side is at most 4 or odd.
      width: channels of the networks at the first scale.
      blocks: residual blocks of each network.
      use_skips: whether each residual block feeds the output, see `ResidualNetwork`.
      levels: number of levels of a pixel, or None for real-valued images, which get no preprocessing.
      alpha: of the preprocessing.
      couplings: number of couplings on vectors.
      hidden: hidden sizes of an MLP.
      form: of `AffineCoupling`; "shift_first" for images by default, as in the authors' program, and "scale_first",
        as in the paper, for vectors.
      batch_norm: whether a `BatchNorm` follows each coupling. By default yes for images and no for vectors, for
        nothing moves its statistics when a flow is trained with TFP alone.
      normalization: inside residual networks: "batch", "layer" or "none".
      rho: of `BatchNorm`, the running average for small batches.
      activation: of the networks.
      context_size: size of the context of a conditional flow.
      backprop: of `Chain`, how much memory training takes: "store", "remat" or "invert".
      dtype: of the flow and its log-dets.
      dtype_policy: of the networks; the global Keras policy by default, or `dtype` if that is not float32.
      validate_args: whether to assert at run time that events lie in the support.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Returns:
      A `FlowDistribution`, the class of `tfd.TransformedDistribution`'s instances with a context added.

    Raises:
      ValueError: when the shape is neither an image's nor a vector's, or cannot be halved `scales - 1` times.

    #### Examples

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 3))
    images = distribution.sample(2, seed=1)  # [2, 8, 8, 3], pixels in about [0, 256)
    distribution.log_prob(images)  # [2]
    ```

    #### References

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. arXiv 1605.08803.
    """
    event_shape = image_or_vector(event_shape)
    is_image = len(event_shape) == 3
    form = form or ("shift_first" if is_image else "scale_first")
    batch_norm = is_image if batch_norm is None else batch_norm
    dtype = tf.as_dtype(dtype).name
    network = Networks(
        dtype_policy=networks_policy(dtype, dtype_policy),
        context_size=context_size,
        activation=activation,
        hidden=hidden,
        blocks=blocks,
        use_skips=use_skips,
        normalization=normalization,
    )

    def step(mask: Mask, channels: int, width: int, name: str) -> list[Bijector]:
        """A coupling and the batch norm that follows it."""
        coupling = AffineCoupling(
            network(mask, channels, AffineCoupling.parameters_per_entry, width=width, name=f"{name}_network"),
            mask,
            form=form,
            initial_gain=0.0 if isinstance(mask, Checkerboard) else 1.0 if is_image else 2.0,
            dtype=dtype,
            name=name,
        )
        if not batch_norm:
            return [coupling]
        changed = mask.changed_size(channels)
        return [coupling, BatchNorm(changed, mask=mask, rho=rho, dtype=dtype, name=f"{name}_batch_norm")]

    if is_image:
        scales = scales_of(event_shape, scales)
        layers = _image_layers(step, event_shape[-1], width, scales)
        if levels is not None:
            layers.insert(0, DequantizedLogit(levels, alpha=alpha, validate_args=validate_args))
    else:
        size = size_of(event_shape)
        steps = [step(half(i), size, width, f"coupling_{i}") for i in range(couplings)]
        layers = [odd_entries_first(size), *(layer for pair in steps for layer in pair)]
    flow = Chain(layers, backprop=backprop, name=name or "real_nvp")
    return FlowDistribution(flow, event_shape, dtype=dtype, validate_args=validate_args, name=name)


def _image_layers(
    step: Callable[[Mask, int, int, str], list[Bijector]], channels: int, width: int, scales: int, scale: int = 0
) -> list[tfp.bijectors.Bijector]:
    """The layers of this scale, the coarser scales within them."""
    is_last = scale == scales - 1
    layers = []
    for i in range(4 if is_last else 3):
        layers += step(Checkerboard(parity=(i + 1) % 2), channels, width, f"scale_{scale}_checkerboard_{i}")
    if is_last:
        return layers
    squeeze = Squeeze("channel_major")
    layers.append(squeeze)
    for i, keep in enumerate(("first", "second", "first")):
        layers += step(ChannelHalves(keep), 4 * channels, 2 * width, f"scale_{scale}_channel_{i}")
    layers.append(tfp.bijectors.Invert(squeeze, name="unsqueeze"))
    squeeze = Squeeze("diagonal")
    rest = Chain(_image_layers(step, 2 * channels, 2 * width, scales, scale + 1), name=f"scale_{scale + 1}")
    return [*layers, squeeze, Split(rest), tfp.bijectors.Invert(squeeze, name="unsqueeze")]
