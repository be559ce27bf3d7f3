"""Densely connected convolutions."""

from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.conditioners.network import Network, add_context, checked_context, last_axis


@keras.saving.register_keras_serializable("tfp_realnvp")
class DenseNetwork(Network):
    """Convolutions that each read the outputs of all before them.

        h_0 = conv3x3(x)  (+ dense(context))
        h_i = [h_{i-1}, conv3x3(a(norm(conv1x1(a(norm(h_{i-1}))))))]      i = 1 ... blocks
        y = conv1x1(a(norm(h_blocks)))

    Args:
      outputs: number of output channels.
      width: number of channels of `h_0` and of each 1x1 convolution.
      blocks: number of blocks.
      growth: number of channels that each block adds.
      activation: name of a Keras activation, or a callable.
      output_scale: the last convolution's kernel starts normal with this scale times 1 / sqrt(inputs); 0 gives zero
        outputs.
      context_size: size of the last axis of the context of a conditional flow, or None for no context.
      **kwargs: passed to `keras.layers.Layer`. Under a mixed dtype policy the output stays in the variables' dtype.

    Norms are layer norms. Shapes: `[batch, height, width, channels]` to `[batch, height, width, outputs]`; context
    `[batch, context_size]`, or an image of its own, `[batch, height, width, context_size]`.

    Raises:
      ValueError: for a width or a growth below 1, or a context where none or another is expected.

    Huang, Liu, van der Maaten, Weinberger. Densely connected convolutional networks. CVPR 2017. arXiv 1608.06993.
    Grcic, Grubisic, Segvic. Densely connected normalizing flows. NeurIPS 2021. arXiv 2106.04627.
    """

    def __init__(
        self,
        *,
        outputs: int,
        width: int = 64,
        blocks: int = 6,
        growth: int = 32,
        activation: str = "gelu",
        output_scale: float = 0.1,
        context_size: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if min(width, growth) < 1 or blocks < 0:
            raise ValueError(
                "expected a width and a growth of 1 or more, and blocks of 0 or more, got "
                f"{width}, {growth} and {blocks}"
            )
        self.outputs = outputs
        self.width = width
        self.blocks = blocks
        self.growth = growth
        self.activation = keras.activations.get(activation)
        self.output_scale = output_scale
        self.context_size = context_size

        def conv(filters: int, size: int, name: str, **more: Any) -> keras.layers.Conv2D:
            more = {"dtype": self.dtype_policy, "padding": "same", **more}
            return keras.layers.Conv2D(filters, size, name=name, **more)

        def norm(name: str) -> keras.layers.Layer:
            return keras.layers.LayerNormalization(epsilon=1e-4, dtype=self.dtype_policy, name=name)

        self.conv_in = conv(width, 3, "conv_in")
        self.context_in: keras.layers.Dense | None = None
        if context_size is not None:
            self.context_in = keras.layers.Dense(width, use_bias=False, dtype=self.dtype_policy, name="context_in")
        self.norms_1 = [norm(f"block_{i}_norm_1") for i in range(blocks)]
        self.convs_1 = [conv(width, 1, f"block_{i}_conv_1") for i in range(blocks)]
        self.norms_2 = [norm(f"block_{i}_norm_2") for i in range(blocks)]
        self.convs_2 = [conv(growth, 3, f"block_{i}_conv_2") for i in range(blocks)]
        self.norm_out = norm("norm_out")
        start = keras.initializers.VarianceScaling(output_scale**2) if output_scale else "zeros"
        self.conv_out = conv(outputs, 1, "conv_out", kernel_initializer=start, dtype=self.variable_dtype)

    def describe(self) -> str:
        """The network in a few words, for `summary`."""
        return f"DenseNetwork {self.blocks} blocks x {self.width}"

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        batch, height, width, _ = input_shape
        self.conv_in.build((batch, height, width, last_axis(input_shape)))
        if self.context_in is not None:
            self.context_in.build((batch, self.context_size))
        for i in range(self.blocks):
            for layer in (self.norms_1[i], self.convs_1[i]):
                layer.build((batch, height, width, self.width + i * self.growth))
            for layer in (self.norms_2[i], self.convs_2[i]):
                layer.build((batch, height, width, self.width))
        for layer in (self.norm_out, self.conv_out):
            layer.build((batch, height, width, self.width + self.blocks * self.growth))

    def call(self, inputs: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        context = checked_context(context, self.context_size)
        hidden = add_context(self.conv_in(inputs), self.context_in, context)
        for norm_1, conv_1, norm_2, conv_2 in zip(self.norms_1, self.convs_1, self.norms_2, self.convs_2):
            new = conv_2(self.activation(norm_2(conv_1(self.activation(norm_1(hidden))))))
            hidden = tf.concat([hidden, new], -1)
        return self.conv_out(self.activation(self.norm_out(hidden)))
