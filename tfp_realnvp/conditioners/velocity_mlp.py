"""A dense network of a vector and the time, for continuous flows."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.conditioners.mlp import uniform_by_inputs
from tfp_realnvp.conditioners.network import Network, checked_context, last_axis

Divergence = Callable[[tf.Tensor | None], tf.Tensor]


@keras.saving.register_keras_serializable("tfp_realnvp")
class VelocityMLP(Network):
    """A dense network `v(x, t)` with its divergence.

        h_0 = x;  h_j = tanh(W_j h_{j-1} + b_j [+ u t + C context in the first layer]);  v(x, t) = W h_n + b

    With `D_j` the slopes of layer j at x the Jacobian is `J = W D_n W_n ... D_1 W_1`. Its trace has a closed form for
    one hidden layer, `sum_i D_1i (W_1 W)_ii`, and for two, `D_2^T (W_2 * (W_1 W)^T) D_1`: about the cost of one more
    layer, for vectors of any size. With more layers the trace takes one product with J per entry.

    All of it is computed in the dtype of the variables, since the errors of half precision would add up over the steps
    of a solver.

    Args:
      outputs: size of the last axis of input and output.
      hidden_units: sizes of the hidden layers, at least one.
      context_size: size of the last axis of the context of a conditional flow, or None for no context.
      zero_output: whether the last layer starts at zero, so that a continuous flow starts as the identity.
      **kwargs: passed to `keras.layers.Layer`.

    Shapes: `[batch, size]` and a scalar `time=` to `[batch, outputs]`; context `[batch, context_size]`.

    Raises:
      ValueError: for no hidden layer, or a context where none or another is expected.
    """

    def __init__(
        self,
        *,
        outputs: int,
        hidden_units: Sequence[int] = (64, 64),
        context_size: int | None = None,
        zero_output: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not hidden_units or min(hidden_units) < 1:
            raise ValueError(f"expected hidden_units of 1 or more, got {tuple(hidden_units)}")
        self.outputs = outputs
        self.hidden_units = tuple(hidden_units)
        self.context_size = context_size
        self.zero_output = zero_output

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        def weight(name: str, shape: tuple[int, ...], initializer: Any) -> keras.Variable:
            return self.add_weight(name=name, shape=shape, initializer=initializer, autocast=False)

        sizes = [last_axis(input_shape), *self.hidden_units, self.outputs]
        self.kernels, self.biases = [], []
        for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
            starts = [uniform_by_inputs(inputs) for _ in range(2)]
            if i == len(self.hidden_units):
                starts = ["zeros" if self.zero_output else "glorot_uniform", "zeros"]
            self.kernels.append(weight(f"kernel_{i}", (inputs, outputs), starts[0]))
            self.biases.append(weight(f"bias_{i}", (outputs,), starts[1]))
        self.of_time = weight("of_time", (sizes[1],), uniform_by_inputs(sizes[0]))
        if self.context_size is not None:
            self.context_kernel = weight("context_kernel", (self.context_size, sizes[1]), "glorot_uniform")

    def call(self, inputs: tf.Tensor, time: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return self.with_divergence(inputs, time, context)[0]

    def with_divergence(
        self, inputs: tf.Tensor, time: tf.Tensor, context: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, Divergence]:
        """Returns `v(inputs, time)`, and a function for the trace of its Jacobian, `[batch]`.

        The function takes None for the exact trace, or directions d, `[batch, size]`, for Hutchinson's `d^T J d`.
        """
        context = checked_context(context, self.context_size)
        kernels = [tf.convert_to_tensor(kernel.value) for kernel in self.kernels]
        hidden, slopes = inputs, []
        for i, (kernel, bias) in enumerate(zip(kernels, self.biases)):
            hidden = tf.matmul(hidden, kernel) + bias.value
            if i == 0:
                hidden += tf.cast(time, hidden.dtype) * self.of_time.value
                if context is not None:
                    hidden += tf.matmul(tf.cast(context, hidden.dtype), self.context_kernel.value)
            if i < len(kernels) - 1:
                hidden = tf.tanh(hidden)
                slopes.append(1 - hidden**2)

        def product(tangents: tf.Tensor) -> tf.Tensor:
            for kernel, slope in zip(kernels, slopes):
                tangents = tf.matmul(tangents, kernel) * slope
            return tf.matmul(tangents, kernels[-1])

        def divergence(directions: tf.Tensor | None) -> tf.Tensor:
            if directions is not None:
                return tf.reduce_sum(directions * product(directions), -1)
            if len(slopes) == 1:
                return tf.linalg.matvec(slopes[0], tf.reduce_sum(tf.transpose(kernels[0]) * kernels[1], -1))
            if len(slopes) == 2:
                around = kernels[1] * tf.transpose(tf.matmul(kernels[2], kernels[0]))
                return tf.reduce_sum(tf.matmul(slopes[0], around) * slopes[1], -1)
            size = self.outputs
            units = tf.eye(size, dtype=inputs.dtype)[:, tf.newaxis]
            columns = product(tf.broadcast_to(units, [size, tf.shape(inputs)[0], size]))
            return tf.reduce_sum(columns * units, [0, 2])

        return hidden, divergence
