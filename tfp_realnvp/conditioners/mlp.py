"""Multilayer perceptrons for vectors: plain for couplings, masked for autoregressive layers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.conditioners.network import Network, checked_angles, checked_context, last_axis, with_angles


def uniform_by_inputs(inputs: int) -> keras.initializers.Initializer:
    """Uniform on [-1, 1] / sqrt(inputs), for kernels and biases, as in PyTorch.

    With zero biases all kinks would start at the origin, and a flow over few entries would learn slowly.
    """
    return keras.initializers.RandomUniform(-(inputs**-0.5), inputs**-0.5)


def causal_masks(
    entries: int, hidden_units: Sequence[int], outputs_per_entry: int, circular: Sequence[int], has_context: bool
) -> list[np.ndarray]:
    """Which weights of each dense layer may differ from 0, `[inputs, units]`, by the degrees of `MaskedMLP`."""
    # Units of degree 0 read the context alone. Without them the first entry would not depend on it.
    lowest = 0 if has_context else min(1, entries - 1)
    hidden = [np.arange(units) % max(entries - lowest, 1) + lowest for units in hidden_units]
    of_entries = np.arange(1, entries + 1)
    # A sine has the degree of its angle.
    degrees = [np.concatenate([of_entries, of_entries[list(circular)]]), *hidden]
    masks = [before[:, np.newaxis] <= after for before, after in zip(degrees, degrees[1:])]
    return [*masks, degrees[-1][:, np.newaxis] < np.tile(of_entries, outputs_per_entry)]


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
      circular: positions of inputs that are angles in radians, read as cosine and sine.
      zero_output: whether the last layer starts at zero, so that a coupling starts as the identity.
      **kwargs: passed to `keras.layers.Layer`. Under a mixed dtype policy the output stays in the variables' dtype.

    Shapes: `[batch, size]` to `[batch, outputs]`; context `[batch, context_size]`.

    Raises:
      ValueError: for a context where none or another is expected, or positions of angles that are not inputs.
    """

    def __init__(
        self,
        *,
        outputs: int,
        hidden_units: Sequence[int] = (256, 256),
        activation: str = "relu",
        context_size: int | None = None,
        circular: Sequence[int] = (),
        zero_output: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.outputs = outputs
        self.hidden_units = tuple(hidden_units)
        self.activation = keras.activations.get(activation)
        self.context_size = context_size
        self.circular = circular
        self.zero_output = zero_output
        self.denses = [
            keras.layers.Dense(units, self.activation, dtype=self.dtype_policy, name=f"dense_{i}")
            for i, units in enumerate(self.hidden_units)
        ]
        start = "zeros" if zero_output else "glorot_uniform"
        self.dense_out = keras.layers.Dense(
            outputs, kernel_initializer=start, dtype=self.variable_dtype, name="dense_out"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        size = last_axis(input_shape)
        self.circular = checked_angles(self.circular, size)
        size += len(self.circular) + (self.context_size or 0)
        for dense in self.denses:
            dense.kernel_initializer, dense.bias_initializer = uniform_by_inputs(size), uniform_by_inputs(size)
            dense.build((None, size))
            size = dense.units
        self.dense_out.build((None, size))

    def call(self, inputs: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        context = checked_context(context, self.context_size)
        hidden = with_angles(inputs, self.circular)
        hidden = hidden if context is None else tf.concat([hidden, context], -1)
        for dense in (*self.denses, self.dense_out):
            hidden = dense(hidden)
        return hidden


@keras.saving.register_keras_serializable("tfp_realnvp")
class MaskedMLP(Network):
    """A dense network whose output for entry i depends only on entries before i (MADE).

        h_0 = x;  h_j = a((M_j * W_j) h_{j-1} + b_j [+ C context]);  y = (M * W) h_n + b

    Input i has degree i (from 1), and so has its sine if it is an angle; hidden units have degrees 1 ... size - 1 in
    turn, or 0 ... size - 1 with a context, on which the first entry then depends, too. A hidden unit is connected to
    degrees up to its own, an output for entry i to degrees below i. Initialisation and other arguments are as in `MLP`.

    Args:
      outputs_per_entry: number of outputs per entry; the first output of all entries comes first.

    Shapes: `[batch, size]` to `[batch, outputs_per_entry * size]`; context `[batch, context_size]`.

    Raises:
      ValueError: for a context where none or another is expected, or positions of angles that are not inputs.

    Germain, Gregor, Murray, Larochelle. MADE: masked autoencoder for distribution estimation. ICML 2015. arXiv
    1502.03509.
    """

    def __init__(
        self,
        *,
        outputs_per_entry: int = 2,
        hidden_units: Sequence[int] = (256, 256),
        activation: str = "relu",
        context_size: int | None = None,
        circular: Sequence[int] = (),
        zero_output: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.outputs_per_entry = outputs_per_entry
        self.hidden_units = tuple(hidden_units)
        self.activation = keras.activations.get(activation)
        self.context_size = context_size
        self.circular = circular
        self.zero_output = zero_output

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        def weight(name: str, shape: tuple[int, ...], initializer: Any = None) -> keras.Variable:
            return self.add_weight(name=name, shape=shape, initializer=initializer, autocast=False)

        size = last_axis(input_shape)
        self.circular = checked_angles(self.circular, size)
        has_context = self.context_size is not None
        masks = causal_masks(size, self.hidden_units, self.outputs_per_entry, self.circular, has_context)
        self._masks = [mask.astype(np.float32) for mask in masks]
        self.kernels, self.biases = [], []
        for i, mask in enumerate(masks):
            starts = [uniform_by_inputs(mask.shape[0]) for _ in range(2)]
            if i == len(masks) - 1:
                starts = ["zeros" if self.zero_output else "glorot_uniform", "zeros"]
            self.kernels.append(weight(f"kernel_{i}", mask.shape, starts[0]))
            self.biases.append(weight(f"bias_{i}", mask.shape[1:], starts[1]))
        if self.context_size is not None:
            self.context_kernel = weight("context_kernel", (self.context_size, masks[0].shape[1]))

    def call(self, inputs: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        context = checked_context(context, self.context_size)
        hidden = with_angles(inputs, self.circular)
        for i, (kernel, bias, mask) in enumerate(zip(self.kernels, self.biases, self._masks)):
            is_last = i == len(self._masks) - 1
            dtype = self.variable_dtype if is_last else self.compute_dtype
            masked = tf.cast(kernel.value * tf.cast(mask, kernel.dtype), dtype)
            hidden = tf.matmul(tf.cast(hidden, dtype), masked) + tf.cast(bias.value, dtype)
            if i == 0 and context is not None:
                hidden += tf.matmul(tf.cast(context, dtype), tf.cast(self.context_kernel.value, dtype))
            hidden = hidden if is_last else self.activation(hidden)
        return hidden

    def compute_output_shape(self, input_shape: tuple[int | None, ...], **unused: Any) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.outputs_per_entry * last_axis(input_shape))
