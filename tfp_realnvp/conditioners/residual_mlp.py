"""A residual network for vectors, for couplings and autoregressive layers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.conditioners.mlp import causal_masks, uniform_by_inputs
from tfp_realnvp.conditioners.network import Network, checked_angles, checked_context, last_axis, with_angles


@keras.saving.register_keras_serializable("tfp_realnvp")
class ResidualMLP(Network):
    """Pre-activation residual blocks of two dense layers, gated by the context.

        h_0 = A [x, context] + b
        h_i = h_{i-1} + g_i * (V_i dropout(a(U_i a(h_{i-1}) + u_i)) + v_i)        i = 1 ... blocks
        g_i = sigmoid(G_i context + c_i),  or 1 without a context
        y = W h_blocks + w

    For autoregressive layers (`is_causal`) A (for x), U_i, V_i and W are masked by degrees, as in `MaskedMLP`: outputs
    for entry i depend on the entries before it, and on the context. All blocks have the same degrees, so that sums keep
    them. A, U_i and G_i start uniform on +-1 / sqrt(inputs), V_i on +-.001: a block starts near the identity.

    Args:
      outputs_per_entry: number of outputs per changed entry; the first output of all entries comes first.
      entries: number of changed entries.
      width: number of hidden units.
      blocks: number of blocks.
      dropout: share of the hidden units that training sets to 0.
      is_causal: whether outputs for an entry depend on the entries before it alone; the input is the whole vector.
      activation: name of a Keras activation, or a callable.
      context_size: size of the last axis of the context of a conditional flow, or None for no context.
      circular: positions of inputs that are angles in radians, read as cosine and sine.
      zero_output: whether the last layer starts at zero, so that a coupling starts as the identity.
      seed: seed of the dropout.
      **kwargs: passed to `keras.layers.Layer`. Under a mixed dtype policy the output stays in the variables' dtype.

    Shapes: `[batch, size]` to `[batch, outputs_per_entry * entries]`; context `[batch, context_size]`.

    Raises:
      ValueError: for a width below 1, blocks below 0, positions of angles that are not inputs, a causal network of a
        vector of another size, or a context where none or another is expected.

    Durkan, Bekasov, Murray, Papamakarios. Neural spline flows. NeurIPS 2019. arXiv 1906.04032. Appendix B; the masks:
    Nash, Durkan. Autoregressive energy machines. ICML 2019. arXiv 1904.05626.
    """

    def __init__(
        self,
        *,
        outputs_per_entry: int,
        entries: int,
        width: int = 64,
        blocks: int = 2,
        dropout: float = 0.0,
        is_causal: bool = False,
        activation: str = "relu",
        context_size: int | None = None,
        circular: Sequence[int] = (),
        zero_output: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if width < 1 or blocks < 0:
            raise ValueError(f"expected a width of 1 or more and blocks of 0 or more, got {width} and {blocks}")
        self.outputs_per_entry = outputs_per_entry
        self.entries = entries
        self.width = width
        self.blocks = blocks
        self.dropout = dropout
        self.is_causal = is_causal
        self.activation = keras.activations.get(activation)
        self.context_size = context_size
        self.circular = circular
        self.zero_output = zero_output
        self.seed = seed
        into = within = out = None
        if is_causal:
            angles, has_context = checked_angles(circular, entries), context_size is not None
            into, within, out = causal_masks(entries, (width, width), outputs_per_entry, angles, has_context)
        reads, near_zero = uniform_by_inputs(width), keras.initializers.RandomUniform(-1e-3, 1e-3)
        self.dense_in = self._dense("dense_in", width, into)
        self.denses_1 = [self._dense(f"block_{i}_dense_1", width, within, reads) for i in range(blocks)]
        self.denses_2 = [self._dense(f"block_{i}_dense_2", width, within, near_zero) for i in range(blocks)]
        # Without dropout there is no seed either, a variable that every step would change.
        self.dropouts = [
            keras.layers.Dropout(dropout, seed=seed + i, dtype=self.dtype_policy, name=f"block_{i}_dropout")
            for i in range(blocks if dropout else 0)
        ]
        self.context_in: keras.layers.Dense | None = None
        self.gates: list[keras.layers.Dense] = []
        if context_size is not None:
            starts = uniform_by_inputs(context_size)
            self.context_in = self._dense("context_in", width, use_bias=False)
            self.gates = [self._dense(f"block_{i}_gate", width, starts=starts) for i in range(blocks)]
        self.dense_out = self._dense("dense_out", outputs_per_entry * entries, out, dtype=self.variable_dtype)
        self.dense_out.kernel_initializer = keras.initializers.get("zeros" if zero_output else "glorot_uniform")

    def _dense(
        self,
        name: str,
        units: int,
        mask: np.ndarray | None = None,
        starts: keras.initializers.Initializer | None = None,
        **options: Any,
    ) -> keras.layers.Dense:
        options = {"dtype": self.dtype_policy, "name": name, **options}
        if starts is not None:
            options |= {"kernel_initializer": starts, "bias_initializer": starts}
        return keras.layers.Dense(units, **options) if mask is None else _MaskedDense(units, mask, **options)

    def describe(self) -> str:
        """The network in a few words, for `summary`."""
        return f"ResidualMLP {self.blocks} blocks x {self.width}"

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        size = last_axis(input_shape)
        if self.is_causal and size != self.entries:
            raise ValueError(f"expected a vector of {self.entries} entries for is_causal, got shape {input_shape}")
        self.circular = checked_angles(self.circular, size)
        size += len(self.circular)
        starts = uniform_by_inputs(size + (self.context_size or 0))
        self.dense_in.kernel_initializer = self.dense_in.bias_initializer = starts
        self.dense_in.build((None, size))
        if self.context_in is not None:
            self.context_in.kernel_initializer = starts
            self.context_in.build((None, self.context_size))
        for layer in self.gates:
            layer.build((None, self.context_size))
        for layer in (*self.denses_1, *self.dropouts, *self.denses_2, self.dense_out):
            layer.build((None, self.width))

    def call(self, inputs: tf.Tensor, context: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        context = checked_context(context, self.context_size)
        hidden = self.dense_in(with_angles(inputs, self.circular))
        if self.context_in is not None:
            hidden += self.context_in(context)
        for i in range(self.blocks):
            change = self.activation(self.denses_1[i](self.activation(hidden)))
            if self.dropouts:
                change = self.dropouts[i](change, training=training)
            change = self.denses_2[i](change)
            if self.gates:
                change *= tf.sigmoid(self.gates[i](context))
            hidden += change
        return self.dense_out(hidden)

    def compute_output_shape(self, input_shape: tuple[int | None, ...], **unused: Any) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.outputs_per_entry * self.entries)


class _MaskedDense(keras.layers.Dense):
    """A dense layer some of whose weights are 0."""

    def __init__(self, units: int, mask: np.ndarray, **kwargs: Any):
        super().__init__(units, **kwargs)
        self._mask = mask

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        kernel = self.kernel.value
        return tf.matmul(inputs, kernel * tf.cast(self._mask, kernel.dtype)) + self.bias.value
