"""Variational dequantisation: a flow over the noise that is added to integer pixels."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Bijector, Chain, ChannelHalves, Checkerboard, InvertibleLinear, Squeeze
from tfp_realnvp.bijectors.dequantized_logit import noise_of_part
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import image_of
from tfp_realnvp.flows.networks import layer_maker
from tfp_realnvp.transformers import Affine


class Dequantizer(FlowDistribution):
    """A distribution q of dequantisation noise in (0, 1), given the integer pixels.

        log P(image) >= E[log p(image + u) - log q(u | image)],    u ~ q(. | image)

    With uniform noise p must be flat within each pixel's cell; with a learned q it can be smooth. It only tightens the
    bound of integer images; the model p and its samples do not use it.

    Created by `dequantizer`, for `FlowModel(dequantizer=)`, `evaluate(dequantizer=)` and `save(dequantizer=)`, or by
    `load_dequantizer`. It is a distribution of `u`; its `context` is `context_of(images)`.

    Ho et al. Flow++. ICML 2019. arXiv 1902.00275. Section 3.1.
    """

    def __init__(
        self, flow: Chain, event_shape: Sequence[int], *, levels: int, squeeze: Squeeze | None = None, **options: Any
    ):
        super().__init__(flow, event_shape, **options)
        self.levels = levels
        self.squeeze = squeeze

    def _log_prob(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        # The density is 0 outside (0, 1); the normal quantiles of 0 and 1 are infinite.
        inside = (x > 0) & (x < 1)
        log_prob = super()._log_prob(tf.where(inside, x, tf.constant(0.5, x.dtype)), context)
        return tf.where(tf.reduce_all(inside, [-3, -2, -1]), log_prob, tf.constant(-np.inf, log_prob.dtype))

    def check_flow(self, distribution: FlowDistribution, levels: int | None) -> None:
        """Refuses, with a `ValueError`, a flow over other images than this noise is for."""
        own, expected = (
            f"{levels} levels, shape {of.event_shape} and {of.dtype.name}"
            for levels, of in ((self.levels, self), (levels, distribution))
        )
        if own != expected:
            raise ValueError(f"expected a dequantizer of {expected}, got one of {own}")

    def context_of(self, images: tf.Tensor | np.ndarray) -> tf.Tensor:
        """The networks' input: pixels scaled to [-1, 1], squeezed if the couplings are.

        Raises:
          TypeError: when `images` are not integers, as those that have their noise already.
        """
        images = _integers(images)
        pixels = 2 * tf.cast(images, self.dtype) / (self.levels - 1) - 1
        return pixels if self.squeeze is None else self.squeeze.forward(pixels)

    def latent_noise(
        self,
        images: tf.Tensor | np.ndarray,
        *,
        seed: tf.Tensor | Sequence[int],
        part: tuple[int | tf.Tensor, int] = (0, 1),
    ) -> tf.Tensor:
        """Standard normal numbers in the shape of `images`, which `dequantize` maps to the noise.

        `seed` is two integers; for `part` see `tfp_realnvp.dequantize`.
        """
        draw = functools.partial(tf.random.stateless_normal, dtype=self.dtype)
        return noise_of_part(draw, tf.convert_to_tensor(images), seed, part)

    def dequantize(
        self, images: tf.Tensor | np.ndarray, latent_noise: tf.Tensor | np.ndarray
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `x = image + u` and `log q(u | image)` in nats, for integer pixels and their `latent_noise`.

        `x` is below the next level, also where `image + u` would be rounded up to it.

        Raises:
          TypeError: when `images` are not integers.
          ValueError: for noise of another shape.
        """
        images, latent_noise = _integers(images), tf.convert_to_tensor(latent_noise, self.dtype)
        if not images.shape.is_compatible_with(latent_noise.shape):  # One noise would be that of all images.
            raise ValueError(f"expected latent noise of shape {images.shape}, as images, got {latent_noise.shape}")
        u, log_det = self.flow.inverse_and_log_det(latent_noise, self.context_of(images))
        levels = tf.cast(images, self.dtype)
        x = tf.minimum(levels + u, (levels + 1) * (1 - np.finfo(self.dtype.as_numpy_dtype).epsneg))
        return x, self.distribution.log_prob(latent_noise) - log_det


def _integers(images: tf.Tensor | np.ndarray) -> tf.Tensor:
    images = tf.convert_to_tensor(images)
    if not images.dtype.is_integer:
        raise TypeError(f"expected integer pixels to dequantise, got {images.dtype.name}")
    return images


def dequantizer(
    *,
    event_shape: Sequence[int],
    levels: int = 256,
    couplings: int = 4,
    width: int = 32,
    blocks: int = 2,
    activation: str = "relu",
    normalization: str = "layer",
    squeeze: bool = False,
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    name: str | None = None,
) -> Dequantizer:
    """A flow over dequantisation noise, conditioned on the image.

        u = Phi(v),  v = couplings^{-1}(e; image),  e ~ N(0, I),    Phi the standard normal CDF

    The couplings are affine. Their networks also read the image and start at zero, so that the noise is uniform at
    first. Either checkerboards alternate, or the noise is squeezed and an `InvertibleLinear` precedes each coupling of
    channel halves, whose network sees a quarter of the positions.

    Args:
      event_shape: `[height, width, channels]` of the images.
      levels: number of levels of a pixel.
      couplings: number of couplings.
      width: hidden channels of the networks.
      blocks: residual blocks of each network.
      activation: activation of the networks.
      normalization: normalisation inside the networks: "layer", "batch" or "none".
      squeeze: whether to squeeze noise and images, whose height and width must then be even.
      dtype: dtype of the flow and its log-dets.
      dtype_policy: policy of the networks; by default the global Keras policy, or `dtype` if that is not float32.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Raises:
      ValueError: if the event shape is not an image's, or cannot be squeezed, for fewer than 2 levels or no coupling.

    ```python
    flow = nvp.real_nvp(event_shape=(8, 8, 1), levels=17)
    noise = nvp.dequantizer(event_shape=(8, 8, 1), levels=17, width=8, blocks=1)
    model = nvp.FlowModel(flow, levels=17, dequantizer=noise)
    ```
    """
    shape = image_of(event_shape)
    if levels < 2 or couplings < 1:
        raise ValueError(f"expected at least 2 levels and a coupling, got {levels} and {couplings}")
    flow_name = name or "dequantizer"
    of_network = dict(width=width, blocks=blocks, normalization=normalization, activation=activation)
    to_channels = Squeeze("channel_major") if squeeze else None
    channels = to_channels.forward_event_shape(shape)[-1] if to_channels is not None else shape[-1]
    of_network |= dict(output_scale=0.0, context_size=channels, dtype_policy=dtype_policy)
    make_coupling = layer_maker("residual", event_ndims=3, dtype=dtype, **of_network)
    layers: list[Bijector] = []
    for i in range(couplings):
        name_of_coupling = f"{flow_name}_{i}"
        if squeeze:
            # A rotation leaves normal noise normal, so the noise still starts uniform.
            linear_name = f"{name_of_coupling}_linear"
            layers.append(InvertibleLinear(channels, event_ndims=3, seed=i, dtype=dtype, name=linear_name))
        mask = ChannelHalves("first") if squeeze else Checkerboard(parity=i % 2)
        layers.append(make_coupling(Affine, mask, channels, name_of_coupling))
    if to_channels is not None:
        layers = [to_channels, *layers, tfp.bijectors.Invert(to_channels, name="unsqueeze")]
    layers.insert(0, tfp.bijectors.Invert(tfp.bijectors.NormalCDF(), name="probit"))
    flow = Chain(layers, name=flow_name)
    return Dequantizer(flow, shape, levels=levels, squeeze=to_channels, dtype=dtype, name=name)
