"""Weight-normalised convolution."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfp_realnvp")
class WeightNormConv2D(keras.layers.Layer):
    """A convolution whose kernel has a learned direction and, apart from it, a learned magnitude.

        kernel[..., k] = g[k] * v[..., k] / ||v[..., k]||,   the norm over all axes but the output's
        y = conv2d(x, kernel) + bias,                        stride 1, padding "same"

    Without a magnitude the norm stays at 1. Directions start uniform in +-sqrt(2 / c_in), magnitudes at
    sqrt(2 / c_in) * sqrt(c_in * k * k / 12), as in the authors' program.

    Args:
      filters: number of output channels.
      kernel_size: height and width of the kernel.
      use_bias: whether to add a bias.
      use_magnitude: whether to learn the magnitudes `g`.
      **kwargs: of `keras.layers.Layer`. The kernel is normalised in the variables' dtype, and the convolution
        computed in the dtype policy's compute dtype.

    Shapes: `[batch, height, width, c_in]` to `[batch, height, width, filters]`.

    #### References

    Salimans, Kingma. Weight Normalization. NeurIPS 2016. arXiv 1602.07868.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        use_bias: bool = True,
        use_magnitude: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.use_bias = use_bias
        self.use_magnitude = use_magnitude

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1]
        bound = math.sqrt(2 / channels)
        self.direction = self.add_weight(
            name="direction",
            shape=(self.kernel_size, self.kernel_size, channels, self.filters),
            initializer=keras.initializers.RandomUniform(-bound, bound),
            autocast=False,
        )
        self.magnitude = self.bias = None
        if self.use_magnitude:
            start = bound * math.sqrt(channels * self.kernel_size**2 / 12)
            self.magnitude = self.add_weight(
                name="magnitude",
                shape=(self.filters,),
                initializer=keras.initializers.Constant(start),
                autocast=False,
            )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros", autocast=False)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return convolve(inputs, *self.folded())

    def folded(self, scale: tf.Tensor | None = None, offset: tf.Tensor | None = None) -> list[tf.Tensor]:
        """The kernel, and the bias if there is one, of `scale * y + offset` in the compute dtype; see `convolve`."""
        bias = None if self.bias is None else self.bias.value
        magnitude = None if self.magnitude is None else self.magnitude.value
        if scale is not None:
            magnitude = scale if magnitude is None else scale * magnitude
            bias = None if bias is None else scale * bias
        if offset is not None:
            bias = offset if bias is None else bias + offset
        weights = [_normalize(self.direction.value, *([] if magnitude is None else [magnitude]))]
        if bias is not None:
            weights.append(bias)
        return [tf.cast(weight, self.compute_dtype) for weight in weights]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
            "use_magnitude": self.use_magnitude,
        }


def convolve(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """The convolution of a `WeightNormConv2D` with its `folded` weights, in their dtype."""
    outputs = tf.nn.conv2d(tf.cast(inputs, kernel.dtype), kernel, strides=1, padding="SAME")
    return outputs if bias is None else tf.nn.bias_add(outputs, bias)


@tf.custom_gradient
def _normalize(direction: tf.Tensor, magnitude: tf.Tensor | None = None):
    """`magnitude * direction / ||direction||`, in three passes over the kernel and five for the gradient.

    With `u = direction / ||direction||` and `d` the gradient that comes in, that of the magnitude is `<d, u>`, and that
    of the direction `magnitude / ||direction|| * (d - u <d, u>)`. Autodiff takes twice the passes.
    """
    # The least norm is that of `tf.nn.l2_normalize`: a direction of zeros stays one.
    inverse_norm = tf.math.rsqrt(tf.maximum(tf.reduce_sum(tf.square(direction), [0, 1, 2]), 1e-12))
    factor = inverse_norm if magnitude is None else magnitude * inverse_norm

    def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
        along = inverse_norm * tf.reduce_sum(upstream * direction, [0, 1, 2])
        of_direction = upstream * factor - direction * (factor * inverse_norm * along)
        return [of_direction] if magnitude is None else [of_direction, along]

    return direction * factor, gradient
