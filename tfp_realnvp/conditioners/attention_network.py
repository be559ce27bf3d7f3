"""Attention between the entries of a vector, for couplings and autoregressive layers."""

from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.conditioners.network import Network, checked_context, last_axis


@keras.saving.register_keras_serializable("tfp_realnvp")
class AttentionNetwork(Network):
    """A transformer encoder whose tokens are the entries of a vector.

    For couplings, with a token for each kept entry `x_j` and one for each changed entry:

        h_j = x_j v_j + p_j,  or p_j for a changed entry  (+ dense(context));   v, p learned
        h = h + attention(norm(h));  h = h + dense(a(dense(norm(h))))           for each block
        y_i = dense(norm(h_i))  of each changed entry i

    For autoregressive layers (`is_causal`), token i reads entry i - 1, and attends to no later token; the first token
    reads nothing, and no token reads the last entry.

    Args:
      outputs_per_entry: number of outputs per changed entry; the first output of all entries comes first.
      entries: number of changed entries.
      width: size of a token.
      blocks: number of blocks.
      heads: number of attention heads.
      is_causal: whether outputs for an entry depend on the entries before it alone; the input is the whole vector.
      activation: name of a Keras activation, or a callable.
      context_size: size of the last axis of the context of a conditional flow, or None for no context.
      zero_output: whether the last layer starts at zero, so that a coupling starts as the identity.
      **kwargs: passed to `keras.layers.Layer`. Under a mixed dtype policy the output stays in the variables' dtype.

    Shapes: `[batch, size]` to `[batch, outputs_per_entry * entries]`; context `[batch, context_size]`.

    Raises:
      ValueError: unless the width is a multiple of the heads, or for a context where none or another is expected.

    Vaswani et al. Attention is all you need. NeurIPS 2017. arXiv 1706.03762.
    """

    def __init__(
        self,
        *,
        outputs_per_entry: int,
        entries: int,
        width: int = 64,
        blocks: int = 2,
        heads: int = 4,
        is_causal: bool = False,
        activation: str = "gelu",
        context_size: int | None = None,
        zero_output: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if min(width, heads) < 1 or blocks < 0 or width % heads:
            raise ValueError(
                "expected a width that is a multiple of heads, and blocks of 0 or more, got "
                f"{width}, {heads} and {blocks}"
            )
        self.outputs_per_entry = outputs_per_entry
        self.entries = entries
        self.width = width
        self.blocks = blocks
        self.heads = heads
        self.is_causal = is_causal
        self.activation = keras.activations.get(activation)
        self.context_size = context_size
        self.zero_output = zero_output

        def dense(units: int, name: str, **more: Any) -> keras.layers.Dense:
            return keras.layers.Dense(units, **{"dtype": self.dtype_policy, "name": name, **more})

        def norm(name: str) -> keras.layers.Layer:
            return keras.layers.LayerNormalization(dtype=self.dtype_policy, name=name)

        self.context_in = None if context_size is None else dense(width, "context_in", use_bias=False)
        self.norms_1 = [norm(f"block_{i}_norm_1") for i in range(blocks)]
        self.attentions = [
            keras.layers.MultiHeadAttention(heads, width // heads, dtype=self.dtype_policy, name=f"block_{i}_attention")
            for i in range(blocks)
        ]
        self.norms_2 = [norm(f"block_{i}_norm_2") for i in range(blocks)]
        self.denses_1 = [dense(2 * width, f"block_{i}_dense_1", activation=self.activation) for i in range(blocks)]
        self.denses_2 = [dense(width, f"block_{i}_dense_2") for i in range(blocks)]
        self.norm_out = norm("norm_out")
        start = "zeros" if zero_output else "glorot_uniform"
        self.dense_out = dense(outputs_per_entry, "dense_out", kernel_initializer=start, dtype=self.variable_dtype)

    def describe(self) -> str:
        """The network in a few words, for `summary`."""
        return f"AttentionNetwork {self.blocks} blocks x {self.width}"

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        size = last_axis(input_shape)
        if self.is_causal and size != self.entries:
            raise ValueError(f"expected a vector of {self.entries} entries for is_causal, got shape {input_shape}")
        self._read = size - 1 if self.is_causal else size
        tokens = self.entries if self.is_causal else size + self.entries

        def weight(name: str, *shape: int) -> keras.Variable:
            return self.add_weight(
                name=name, shape=shape, initializer=keras.initializers.RandomNormal(), autocast=False
            )

        self.values = weight("values", self._read, self.width)
        self.positions = weight("positions", tokens, self.width)
        if self.context_in is not None:
            self.context_in.build((None, self.context_size))
        within = (None, tokens, self.width)
        for attention in self.attentions:
            attention.build(within, within)
        for layer in (*self.norms_1, *self.norms_2, *self.denses_1, self.norm_out, self.dense_out):
            layer.build(within)
        for layer in self.denses_2:
            layer.build((None, tokens, 2 * self.width))

    def call(self, inputs: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        context = checked_context(context, self.context_size)
        dtype = self.compute_dtype
        read = tf.cast(inputs, dtype)[:, : self._read, tf.newaxis] * tf.cast(self.values.value, dtype)
        # Kept entries come first; an autoregressive layer's first token reads nothing.
        nothing = self.entries if not self.is_causal else 1
        around = [0, nothing] if not self.is_causal else [nothing, 0]
        hidden = tf.pad(read, [[0, 0], around, [0, 0]]) + tf.cast(self.positions.value, dtype)
        if self.context_in is not None:
            hidden += self.context_in(context)[:, tf.newaxis]
        for norm_1, attention, norm_2, dense_1, dense_2 in zip(
            self.norms_1, self.attentions, self.norms_2, self.denses_1, self.denses_2
        ):
            tokens = norm_1(hidden)
            hidden += attention(tokens, tokens, use_causal_mask=self.is_causal)
            hidden += dense_2(dense_1(norm_2(hidden)))
        outputs = self.dense_out(self.norm_out(hidden[:, -self.entries :]))
        return tf.reshape(tf.transpose(outputs, [0, 2, 1]), [-1, self.outputs_per_entry * self.entries])

    def compute_output_shape(self, input_shape: tuple[int | None, ...], **unused: Any) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.outputs_per_entry * self.entries)
