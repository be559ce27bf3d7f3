"""The residual network of image couplings."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.conditioners.batch_normalization import BatchNormalization
from tfp_realnvp.conditioners.context import checked_context
from tfp_realnvp.conditioners.network import Network
from tfp_realnvp.conditioners.weight_norm_conv import WeightNormConv2D, convolve, weights_of

NORMALIZATIONS = ("batch", "layer", "none")


@keras.saving.register_keras_serializable("tfp_realnvp")
class ResidualNetwork(Network):
    """A pre-activation residual network whose every block has a skip to the output.

        h = norm(x), times 2 if half of the pixels are hidden;  h = [a(h), a(-h), mask]
        f_0 = conv3x3(h)  (+ dense(context))
        f_i = f_{i-1} + conv3x3(a(norm(conv3x3(a(norm(f_{i-1}))))))           i = 1 ... blocks
        y = conv1x1(a(norm(sum_i conv1x1_i(f_i))))

    All convolutions are weight-normalised. The defaults are exactly the layout of the authors' program.

    Args:
      outputs: number of output channels.
      width: number of channels within.
      blocks: number of residual blocks.
      mask_channel: whether the last input channel is a mask, as a `Checkerboard` gives: it is not normalised, and
        the other channels, half of them hidden, are doubled.
      use_skips: whether every block has a 1x1 convolution to the output; otherwise the last block alone feeds it.
      activation: name of a Keras activation, or a callable.
      normalization: "batch", "layer" or "none". Layer norm is left out at the input.
      context_size: size of the last axis of the context of a conditional flow, or None for no context.
      **kwargs: of `keras.layers.Layer`. Under a mixed dtype policy the last convolution, and so the output, stays
        in the variables' dtype.

    Shapes: `[batch, height, width, channels]` to `[batch, height, width, outputs]`; context
    `[batch, context_size]`, or an image of its own, `[batch, height, width, context_size]`.

    Raises:
      ValueError: for an unknown normalization, or a context where none or another is expected.

    He et al. Identity mappings in deep residual networks. ECCV 2016. arXiv 1603.05027.
    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. Section 4.1.
    """

    def __init__(
        self,
        *,
        outputs: int,
        width: int = 64,
        blocks: int = 8,
        mask_channel: bool = False,
        use_skips: bool = True,
        activation: str = "relu",
        normalization: str = "batch",
        context_size: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if width < 1 or blocks < 0:
            raise ValueError(f"expected a width of 1 and blocks of 0 or more, got {width} and {blocks}")
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"expected normalization to be one of {', '.join(NORMALIZATIONS)}, got {normalization!r}")
        self.outputs = outputs
        self.width = width
        self.blocks = blocks
        self.mask_channel = mask_channel
        self.use_skips = use_skips
        self.activation = keras.activations.get(activation)
        self.normalization = normalization
        self.context_size = context_size

        # A layer norm over the input's few channels would remove most of it: with one channel, everything.
        self.norm_in = (
            keras.layers.Identity(dtype=self.dtype_policy, name="norm_in")
            if normalization == "layer"
            else self._norm("norm_in")
        )
        self.conv_in = self._conv(3, "conv_in", use_magnitude=False)
        self.context_in = (
            None
            if context_size is None
            else keras.layers.Dense(width, use_bias=False, dtype=self.dtype_policy, name="context_in")
        )
        self.norms_1 = [self._norm(f"block_{i}_norm_1") for i in range(blocks)]
        self.convs_1 = [self._conv(3, f"block_{i}_conv_1", use_bias=False, use_magnitude=False) for i in range(blocks)]
        self.norms_2 = [self._norm(f"block_{i}_norm_2") for i in range(blocks)]
        self.convs_2 = [self._conv(3, f"block_{i}_conv_2") for i in range(blocks)]
        self.skips = [self._conv(1, f"skip_{i}") for i in range(blocks + 1)] if use_skips else []
        self.norm_out = self._norm("norm_out")
        self.conv_out = self._conv(1, "conv_out", filters=outputs, dtype=self.variable_dtype)

    def describe(self) -> str:
        """The network in a few words, for `summary`."""
        return f"ResidualNetwork {self.blocks} blocks x {self.width}"

    def _conv(self, kernel_size: int, name: str, filters: int | None = None, **kwargs: Any) -> WeightNormConv2D:
        kwargs = {"dtype": self.dtype_policy, **kwargs}
        return WeightNormConv2D(filters or self.width, kernel_size, name=name, **kwargs)

    def _norm(self, name: str) -> keras.layers.Layer:
        if self.normalization == "batch":
            return BatchNormalization(dtype=self.dtype_policy, name=name)
        if self.normalization == "layer":
            return keras.layers.LayerNormalization(epsilon=1e-4, scale=False, dtype=self.dtype_policy, name=name)
        return keras.layers.Identity(dtype=self.dtype_policy, name=name)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        batch, height, width, channels = input_shape
        data_channels = channels - 1 if self.mask_channel else channels
        within = (batch, height, width, self.width)
        self.norm_in.build((batch, height, width, data_channels))
        self.conv_in.build((batch, height, width, data_channels + channels))
        if self.context_in is not None:
            self.context_in.build((batch, self.context_size))
        for layer in (*self.norms_1, *self.convs_1, *self.norms_2, *self.convs_2, *self.skips):
            layer.build(within)
        self.norm_out.build(within)
        self.conv_out.build(within)

    def call(self, inputs: tf.Tensor, context: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        context = checked_context(context, self.context_size)
        weights = self._weights({}) if training else self.folded()

        def conv(layer: WeightNormConv2D, x: tf.Tensor) -> tf.Tensor:
            return convolve(x, *weights[layer.name])

        def norm(layer: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
            return x if layer.name in weights else layer(x, training=training)

        data = inputs[..., :-1] if self.mask_channel else inputs
        normal = norm(self.norm_in, data)
        if self.mask_channel:
            normal = 2 * normal
        both = [self.activation(normal), self.activation(-normal)]
        hidden = conv(self.conv_in, tf.concat([*both, inputs[..., -1:]] if self.mask_channel else both, -1))
        if context is not None:
            added = self.context_in(context)
            hidden += added if context.shape.rank == 4 else added[:, tf.newaxis, tf.newaxis, :]
        total = conv(self.skips[0], hidden) if self.use_skips else hidden
        for i in range(self.blocks):
            change = conv(self.convs_1[i], self.activation(norm(self.norms_1[i], hidden)))
            change = conv(self.convs_2[i], self.activation(norm(self.norms_2[i], change)))
            hidden += change
            total = total + conv(self.skips[i + 1], hidden) if self.use_skips else hidden
        return conv(self.conv_out, self.activation(norm(self.norm_out, total)))

    def _weights(self, affine: dict[str, tuple[tf.Tensor, tf.Tensor]]) -> dict[str, list[tf.Tensor]]:
        """The weights of every convolution by its name, see `weights_of`."""
        convolutions = [self.conv_in, *self.convs_1, *self.convs_2, *self.skips, self.conv_out]
        weights = weights_of(convolutions, affine)
        return {layer.name: layer_weights for layer, layer_weights in zip(convolutions, weights)}

    def folded(self) -> dict[str, list[tf.Tensor]]:
        """The weights of inference: those of every convolution, with the batch norm that follows it folded into them.

        A norm that was folded has an empty list.
        """
        if self.normalization != "batch":
            return self._weights({})
        affine = {layer.name: norm.scale_and_offset() for layer, norm in zip(self.convs_1, self.norms_2)}
        done = [*self.norms_2]
        if self.use_skips:
            scale, offset = self.norm_out.scale_and_offset()
            # Each part of a sum is scaled, and one is offset.
            affine |= {skip.name: (scale, tf.zeros_like(offset)) for skip in self.skips}
            affine[self.skips[0].name] = scale, offset
            done.append(self.norm_out)
        return self._weights(affine) | {norm.name: [] for norm in done}

    @contextlib.contextmanager
    def frozen(self, kernel_dtype: tf.DType | None = None) -> Iterator[None]:
        """Within it, inference runs on new `tf.Variable`s with the current folded weights, as for an export.

        Args:
          kernel_dtype: of the variables of kernels, which are cast when they are used; by default unchanged.
        """
        folded = self.folded()

        def variable(weight: tf.Tensor) -> tf.Variable:
            is_kernel = weight.shape.rank == 4
            return tf.Variable(tf.cast(weight, kernel_dtype) if is_kernel and kernel_dtype else weight, trainable=False)

        variables = {name: [variable(weight) for weight in weights] for name, weights in folded.items()}

        def frozen_weights() -> dict[str, list[tf.Tensor]]:
            return {
                name: [tf.cast(v, weight.dtype) for v, weight in zip(variables[name], weights)]
                for name, weights in folded.items()
            }

        self.folded = frozen_weights
        try:
            yield
        finally:
            del self.folded
