"""From integer pixels to the whole real line: dequantisation and the logit."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector


def dequantize(
    images: tf.Tensor | np.ndarray,
    *,
    seed: tf.Tensor | Sequence[int],
    levels: int = 256,
    dtype: str = "float32",
    part: tuple[Any, int] = (0, 1),
) -> tf.Tensor:
    """Adds uniform noise to integer pixels: `x = image + u`, `u` uniform on [0, 1), so that `x` is in [0, levels).

    The density of `x` bounds the probability of the integer image from below. For 256 levels, `u` is a multiple of
    2^-16, so that `image + u` is exact in float32 and never rounds up to the next level.

    Args:
      images: integer tensor of any shape, entries in {0, ..., levels - 1}.
      seed: two integers; the same seed gives the same noise.
      part: `(i, n)` if `images` are the i-th of n equal parts of a batch; they get the same noise as in the whole
        batch.

    Raises:
      TypeError: if `images` are not integers, or the dtype has fewer than 32 bits.
      ValueError: for a seed of other than two integers.
    """
    images = tf.convert_to_tensor(images)
    if not images.dtype.is_integer:
        raise TypeError(f"expected integer pixels to dequantise, got {images.dtype.name}")
    if tf.as_dtype(dtype) not in (tf.float32, tf.float64):
        raise TypeError(f"expected a dtype of float32 or float64, since fewer bits would round up, got {dtype}")
    noise_bits = 24 - math.ceil(math.log2(levels))  # The significand of float32 has 24 bits.

    def draw(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, seed, 0, 2**noise_bits, tf.int32)

    noise = noise_of_part(draw, images, seed, part)
    return tf.cast(images, dtype) + tf.cast(noise, dtype) / 2**noise_bits


def noise_of_part(
    draw: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    seed: tf.Tensor | Sequence[int],
    part: tuple[Any, int],
) -> tf.Tensor:
    """`draw(shape, seed)` for `images` as a part of a batch; see `dequantize`."""
    given, seed = seed, tf.convert_to_tensor(seed)
    if not seed.dtype.is_integer or not seed.shape.is_compatible_with([2]):
        raise ValueError(f"expected a seed of two integers, got {given}")
    (index, count), shape = part, tf.shape(images)
    if count == 1:
        return draw(shape, seed)
    noise = draw(tf.concat([[count * shape[0]], shape[1:]], 0), seed)
    # XLA needs a slice of static size; its start may be dynamic.
    begin = tf.concat([[index * shape[0]], tf.zeros_like(shape[1:])], 0)
    return tf.ensure_shape(tf.slice(noise, begin, shape), images.shape)


class DequantizedLogit(Bijector):
    """Maps dequantised pixels in [0, levels) to the real line.

        p = alpha + (1 - 2 alpha) x / levels
        forward:  z = logit(p) = log(p) - log(1 - p)
        inverse:  x = levels (sigmoid(z) - alpha) / (1 - 2 alpha)
        log dz/dx = softplus(z) + softplus(-z) + log(1 - 2 alpha) - log(levels), for each entry

    With this as the first layer of a flow, bits/dim is `-log_prob(x) / (D log 2)`.

    The support is the logit's domain, `levels * (-alpha, 1 - alpha) / (1 - 2 alpha)`, slightly wider than [0, levels).
    Outside it, and for NaN, the log-det is -inf and `z` is finite. The inverse stays within the support, so that
    samples have a finite density; they are not clipped to [0, levels).

    Args:
      levels: number of levels of a pixel; 256 for 8 bits.
      alpha: the minimum distance of `p` from 0 and 1; .05 in the paper.
      validate_args: if True, pixels outside the support and NaN raise an `InvalidArgumentError`.

    Raises:
      ValueError: for fewer than 2 levels, or an alpha outside (0, .5).

    ```python
    pixels = nvp.bijectors.dequantize(tf.constant([0, 255]), seed=(0, 0))
    z = nvp.bijectors.DequantizedLogit(levels=256).forward(pixels)
    ```

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. Section 4.1. The paper prints
    `alpha + (1 - alpha) x`, whose logit is unbounded at x = 1; this follows the authors' program.
    """

    # The inverse maps all logits far from 0 to one pixel value, whose own density differs from theirs.
    rounds_samples = True
    takes_context = False

    def __init__(
        self, levels: int = 256, *, alpha: float = 0.05, validate_args: bool = False, name: str = "dequantized_logit"
    ):
        if levels < 2:
            raise ValueError(f"expected at least 2 levels, got {levels}")
        if not 0 < alpha < 0.5:
            raise ValueError(f"expected alpha between 0 and 0.5, got {alpha}")
        super().__init__(event_ndims=0, validate_args=validate_args, name=name)
        self.levels, self.alpha = levels, alpha

    def describe(self) -> str:
        return f"DequantizedLogit {self.levels} levels, alpha={self.alpha}"

    def _support(self, dtype: tf.DType) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and largest number of `dtype` inside the open support."""
        dtype = dtype.as_numpy_dtype
        low = dtype(-self.levels * self.alpha / (1 - 2 * self.alpha))
        high = dtype(self.levels * (1 - self.alpha) / (1 - 2 * self.alpha))
        return np.nextafter(low, dtype(0)), np.nextafter(high, dtype(0))

    def _log_det(self, z: tf.Tensor) -> tf.Tensor:
        return tf.nn.softplus(z) + tf.nn.softplus(-z) + math.log1p(-2 * self.alpha) - math.log(self.levels)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        low, high = self._support(x.dtype)
        inside = (x >= low) & (x <= high)
        checks = []
        if self.validate_args:
            checks = [tf.debugging.Assert(tf.reduce_all(inside), [f"expected pixels in [{low}, {high}], got", x])]
        with tf.control_dependencies(checks):
            # Values are replaced before the logit: a select on its result would let NaN into the gradient.
            x = tf.where(inside, x, tf.zeros([], x.dtype))
        p = self.alpha + (1 - 2 * self.alpha) / self.levels * x
        epsilon = np.finfo(x.dtype.as_numpy_dtype).epsneg
        p = tf.clip_by_value(p, epsilon, 1 - epsilon)
        z = tf.math.log(p) - tf.math.log1p(-p)
        return z, tf.where(inside, self._log_det(z), tf.constant(-math.inf, x.dtype))

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        low, high = self._support(z.dtype)
        x = (tf.sigmoid(z) - self.alpha) * (self.levels / (1 - 2 * self.alpha))
        return tf.clip_by_value(x, low, high), -self._log_det(z)
