"""The multilayer perceptron of vector couplings."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.conditioners.context import checked_context
from tfp_realnvp.conditioners.network import Network


def uniform_by_inputs(inputs: int) -> keras.initializers.Initializer:
    """Uniform on [-1, 1] / sqrt(inputs), for kernels and biases, as in PyTorch.

    With biases of zero all kinks would start at the origin, and a flow on few entries would learn slowly.
    """
    return keras.initializers.RandomUniform(-(inputs**-0.5), inputs**-0.5)


@keras.saving.register_keras_serializable("tfp_realnvp")
class MLP(Network):
    """Dense layers with activations between them.

        h_0 = x  (or [x, context]);  h_i = a(dense_i(h_{i-1}));  y = dense(h_n)

    Kernels and biases of hidden layers start uniform on +-1 / sqrt(inputs).

    Args:
      outputs: size of the last axis of the output.
      hidden_units: sizes of the hidden layers.
      activation: name of a Keras activation, or a callable.
      context_size: size of the last axis of the context of a conditional flow, or None for no context.
      zero_output: whether the last layer starts at zero, so that a coupling starts as the identity.
      **kwargs: of `keras.layers.Layer`. Under a mixed dtype policy the last layer, and so the output, stays in the
        variables' dtype.

    Shapes: `[batch, size]` to `[batch, outputs]`; context `[batch, context_size]`.

    Raises:
      ValueError: for a context where none or another is expected.
    """

    def __init__(
        self,
        *,
        outputs: int,
        hidden_units: Sequence[int] = (256, 256),
        activation: str = "relu",
        context_size: int | None = None,
        zero_output: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.outputs = outputs
        self.hidden_units = tuple(hidden_units)
        self.activation = keras.activations.get(activation)
        self.context_size = context_size
        self.zero_output = zero_output
        self.denses = [
            keras.layers.Dense(size, self.activation, dtype=self.dtype_policy, name=f"dense_{i}")
            for i, size in enumerate(self.hidden_units)
        ]
        self.dense_out = keras.layers.Dense(
            outputs,
            kernel_initializer="zeros" if zero_output else "glorot_uniform",
            dtype=self.variable_dtype,
            name="dense_out",
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        size = input_shape[-1] + (self.context_size or 0)
        for dense in (*self.denses, self.dense_out):
            if dense is not self.dense_out:
                dense.kernel_initializer, dense.bias_initializer = uniform_by_inputs(size), uniform_by_inputs(size)
            dense.build((None, size))
            size = dense.units

    def call(self, inputs: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        context = checked_context(context, self.context_size)
        hidden = inputs if context is None else tf.concat([inputs, context], -1)
        for dense in (*self.denses, self.dense_out):
            hidden = dense(hidden)
        return hidden
