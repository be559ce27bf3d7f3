"""Weight-normalised convolution."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp import private
from tfp_realnvp.conditioners.network import Network, last_axis


@keras.saving.register_keras_serializable("tfp_realnvp")
class WeightNormConv2D(Network):
    """A convolution whose kernel has a learned direction and a learned magnitude.

        kernel[..., k] = g[k] * v[..., k] / ||v[..., k]||,   the norm over all axes but the output's
        y = conv2d(x, kernel) + bias,                        stride 1, padding "same"

    Without a learned magnitude the norm is 1. Directions start uniform on +-sqrt(2 / c_in).

    Args:
      filters: number of output channels.
      kernel_size: height and width of the kernel.
      use_bias: whether to add a bias.
      use_magnitude: whether to learn the magnitudes `g`.
      initial_magnitude: initial value of `g`; by default kernel_size / sqrt(6), as in the authors' program.
      **kwargs: passed to `keras.layers.Layer`. The kernel is normalised in the variables' dtype.

    Shapes: `[batch, height, width, c_in]` to `[batch, height, width, filters]`.

    Salimans, Kingma. Weight Normalization. NeurIPS 2016. arXiv 1602.07868.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        use_bias: bool = True,
        use_magnitude: bool = True,
        initial_magnitude: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.use_bias = use_bias
        self.use_magnitude = use_magnitude
        self.initial_magnitude = initial_magnitude

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        def weight(name: str, initializer: Any, *shape: int) -> keras.Variable:
            return self.add_weight(name=name, shape=(*shape, self.filters), initializer=initializer, autocast=False)

        channels, size = last_axis(input_shape), self.kernel_size
        bound = math.sqrt(2 / channels)
        self.direction = weight("direction", keras.initializers.RandomUniform(-bound, bound), size, size, channels)
        start = self.initial_magnitude
        start = bound * math.sqrt(channels * size**2 / 12) if start is None else start
        self.magnitude = weight("magnitude", keras.initializers.Constant(start)) if self.use_magnitude else None
        self.bias = weight("bias", "zeros") if self.use_bias else None

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return convolve(inputs, *weights_of([self])[self.name])

    def compute_output_shape(self, input_shape: tuple[int | None, ...], **unused: Any) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.filters)


def weights_of(
    convolutions: Sequence[WeightNormConv2D], affine: Mapping[str, tuple[tf.Tensor, tf.Tensor]] | None = None
) -> dict[str, list[tf.Tensor]]:
    """Maps each convolution's name to its weights for `convolve`, a kernel and perhaps a bias, in its compute dtype.

    All convolutions are handled together, since each operation on a vector takes time to trace and compile. `affine`
    maps a convolution's name to the scale and offset of its outputs, which are folded into the weights.
    """
    magnitudes, biases = [], []
    for layer in convolutions:
        scale, offset = (affine or {}).get(layer.name, (None, None))
        magnitude = tf.ones([layer.filters], layer.variable_dtype) if layer.magnitude is None else layer.magnitude.value
        magnitude = tf.convert_to_tensor(magnitude)
        magnitudes.append(magnitude if scale is None else scale * magnitude)
        bias = None if layer.bias is None else layer.bias.value
        if scale is not None:
            bias = offset if bias is None else scale * bias + offset
        biases.append(bias)
    kernels = _normalize([tf.convert_to_tensor(layer.direction.value) for layer in convolutions], magnitudes)
    return {
        layer.name: [tf.cast(weight, layer.compute_dtype) for weight in (kernel, bias) if weight is not None]
        for layer, kernel, bias in zip(convolutions, kernels, biases)
    }


def convolve(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """The convolution of a `WeightNormConv2D` with weights from `weights_of`, in their dtype."""
    outputs = tf.nn.conv2d(tf.cast(inputs, kernel.dtype), kernel, strides=1, padding="SAME")
    return outputs if bias is None else tf.nn.bias_add(outputs, bias)


def _normalize(directions: list[tf.Tensor], magnitudes: list[tf.Tensor]) -> list[tf.Tensor]:
    """`magnitude * direction / ||direction||` of each, in three passes over a kernel and five for its gradient.

    With `u = direction / ||direction||` and the upstream gradient `d`, the gradient of the magnitude is `<d, u>` and
    the gradient of the direction is `magnitude / ||direction|| * (d - u <d, u>)`. Autodiff takes twice as many passes.
    """
    sizes = [magnitude.shape[0] for magnitude in magnitudes]
    squares = tf.concat([tf.reduce_sum(tf.square(direction), [0, 1, 2]) for direction in directions], 0)
    # The minimum norm is the one of `tf.nn.l2_normalize`.
    inverse_norms = tf.math.rsqrt(tf.maximum(squares, 1e-12))
    factors = tf.split(tf.concat(magnitudes, 0) * inverse_norms, sizes)

    def gradient(*upstream: tf.Tensor) -> list[tf.Tensor]:
        products = [tf.reduce_sum(d * direction, [0, 1, 2]) for d, direction in zip(upstream, directions)]
        of_magnitudes = inverse_norms * tf.concat(products, 0)
        along = tf.split(inverse_norms * of_magnitudes, sizes)
        of_directions = [f * (d - direction * a) for f, d, direction, a in zip(factors, upstream, directions, along)]
        return [*of_directions, *tf.split(of_magnitudes, sizes)]

    kernels = [direction * factor for direction, factor in zip(directions, factors)]
    return private.with_gradient(kernels, [*directions, *magnitudes], gradient)
