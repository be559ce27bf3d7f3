"""The gated convolutions of Flow++, with attention over pixels."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.conditioners.network import Network, add_context, checked_context, last_axis


@keras.saving.register_keras_serializable("tfp_realnvp")
class GatedNetwork(Network):
    """Residual blocks of gated convolutions, each followed by gated attention between all pixels.

        gate([u, v]) = u * sigmoid(v)
        f = conv3x3(x)  (+ dense(context))
        f = norm(f + gate(conv1x1(dropout(a(conv3x3(a(f)))))))                for each block
        f = norm(f + gate(conv1x1(dropout(attention(f + positions)))))        for each block, with heads > 0
        y = conv1x1(a(f))

    Positions are sinusoids of a pixel's row and column, so that the network runs on images of any size. Attention takes
    time and memory in proportion to the square of the number of pixels.

    Args:
      outputs: number of output channels.
      width: number of hidden channels.
      blocks: number of blocks.
      heads: number of attention heads, or 0 for no attention.
      dropout: share of the hidden numbers that training sets to 0.
      activation: name of a Keras activation, or a callable.
      output_scale: the last convolution's kernel starts normal with this scale times 1 / sqrt(width); 0 gives zero
        outputs.
      context_size: size of the last axis of the context of a conditional flow, or None for no context.
      seed: seed of the dropout.
      **kwargs: passed to `keras.layers.Layer`. Under a mixed dtype policy the output stays in the variables' dtype.

    Shapes: `[batch, height, width, channels]` to `[batch, height, width, outputs]`; context `[batch, context_size]`, or
    an image of its own, `[batch, height, width, context_size]`.

    Raises:
      ValueError: unless the width is a multiple of 4 and of the heads, or for a context where none or another is
        expected.

    Ho et al. Flow++: improving flow-based generative models with variational dequantization and architecture design.
    ICML 2019. arXiv 1902.00275. Section 3.3.
    """

    def __init__(
        self,
        *,
        outputs: int,
        width: int = 96,
        blocks: int = 10,
        heads: int = 4,
        dropout: float = 0.0,
        activation: str = "gelu",
        output_scale: float = 0.1,
        context_size: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if width < 1 or width % 4 or heads < 0 or heads and width % heads or blocks < 0:
            raise ValueError(
                "expected a width that is a multiple of 4 and of heads, heads and blocks of 0 or more, got "
                f"{width}, {heads} and {blocks}"
            )
        self.outputs = outputs
        self.width = width
        self.blocks = blocks
        self.heads = heads
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.output_scale = output_scale
        self.context_size = context_size
        self.seed = seed

        def conv(filters: int, size: int, name: str, **more: Any) -> keras.layers.Conv2D:
            more = {"dtype": self.dtype_policy, "padding": "same", **more}
            return keras.layers.Conv2D(filters, size, name=name, **more)

        def norm(name: str) -> keras.layers.Layer:
            return keras.layers.LayerNormalization(epsilon=1e-4, dtype=self.dtype_policy, name=name)

        def dropped(name: str, seed: int) -> keras.layers.Layer:
            # Without dropout there is no seed either, a variable that every step would change.
            if not dropout:
                return keras.layers.Identity(dtype=self.dtype_policy, name=name)
            return keras.layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy, name=name)

        self.conv_in = conv(width, 3, "conv_in")
        self.context_in: keras.layers.Dense | None = None
        if context_size is not None:
            self.context_in = keras.layers.Dense(width, use_bias=False, dtype=self.dtype_policy, name="context_in")
        self.convs_1 = [conv(width, 3, f"block_{i}_conv_1") for i in range(blocks)]
        self.dropouts_1 = [dropped(f"block_{i}_dropout_1", seed + 2 * i) for i in range(blocks)]
        self.convs_2 = [conv(2 * width, 1, f"block_{i}_conv_2") for i in range(blocks)]
        self.norms_1 = [norm(f"block_{i}_norm_1") for i in range(blocks)]
        with_heads = range(blocks if heads else 0)
        self.attentions = [
            keras.layers.MultiHeadAttention(heads, width // heads, dtype=self.dtype_policy, name=f"block_{i}_attention")
            for i in with_heads
        ]
        self.dropouts_2 = [dropped(f"block_{i}_dropout_2", seed + 2 * i + 1) for i in with_heads]
        self.convs_3 = [conv(2 * width, 1, f"block_{i}_conv_3") for i in with_heads]
        self.norms_2 = [norm(f"block_{i}_norm_2") for i in with_heads]
        start = keras.initializers.VarianceScaling(output_scale**2) if output_scale else "zeros"
        self.conv_out = conv(outputs, 1, "conv_out", kernel_initializer=start, dtype=self.variable_dtype)

    def describe(self) -> str:
        """The network in a few words, for `summary`."""
        return f"GatedNetwork {self.blocks} blocks x {self.width}"

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        batch, height, width, _ = input_shape
        self.conv_in.build((batch, height, width, last_axis(input_shape)))
        if self.context_in is not None:
            self.context_in.build((batch, self.context_size))
        within = (batch, height, width, self.width)
        for attention in self.attentions:
            attention.build((batch, None, self.width), (batch, None, self.width))
        layers = (*self.convs_1, *self.convs_2, *self.convs_3, *self.norms_1, *self.norms_2, self.conv_out)
        for layer in (*layers, *self.dropouts_1, *self.dropouts_2):
            layer.build(within)

    def call(self, inputs: tf.Tensor, context: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        context = checked_context(context, self.context_size)
        hidden = add_context(self.conv_in(inputs), self.context_in, context)
        for i in range(self.blocks):
            change = self.activation(self.convs_1[i](self.activation(hidden)))
            change = self.convs_2[i](self.dropouts_1[i](change, training=training))
            hidden = self.norms_1[i](hidden + _gate(change))
            if self.heads:
                change = self.dropouts_2[i](_between_pixels(self.attentions[i], hidden), training=training)
                hidden = self.norms_2[i](hidden + _gate(self.convs_3[i](change)))
        return self.conv_out(self.activation(hidden))


def _gate(both: tf.Tensor) -> tf.Tensor:
    values, gates = tf.split(both, 2, -1)
    return values * tf.sigmoid(gates)


def _between_pixels(attention: keras.layers.Layer, hidden: tf.Tensor) -> tf.Tensor:
    """Attention between the pixels of each image, as tokens with positions."""
    shape = tf.shape(hidden)
    tokens = tf.reshape(hidden + _positions(hidden), [shape[0], shape[1] * shape[2], hidden.shape[-1]])
    return tf.ensure_shape(tf.reshape(attention(tokens, tokens), shape), hidden.shape)


def _positions(hidden: tf.Tensor) -> tf.Tensor:
    """Sinusoids of the rows and columns of an image, `[height, width, channels]`."""
    waves = hidden.shape[-1] // 4
    frequencies = tf.constant(np.geomspace(1, 1e-3, waves), tf.float32)
    found = []
    for axis in (1, 2):
        size = tf.shape(hidden)[axis]
        angles = tf.cast(tf.range(size), tf.float32)[:, tf.newaxis] * frequencies
        both = tf.cast(tf.concat([tf.sin(angles), tf.cos(angles)], -1), hidden.dtype)
        found.append(both[:, tf.newaxis] if axis == 1 else both[tf.newaxis])
    rows, columns = found
    return tf.concat([rows + tf.zeros_like(columns), columns + tf.zeros_like(rows)], -1)
