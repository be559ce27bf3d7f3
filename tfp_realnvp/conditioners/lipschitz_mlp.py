"""A dense network with a bounded Lipschitz constant, for residual flows."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.conditioners.mlp import uniform_by_inputs
from tfp_realnvp.conditioners.network import Network, checked_context, last_axis

# Maps tangents `[count, batch, size]` to `J tangents`, with J the Jacobian at the input, for each of them.
Linear = Callable[[tf.Tensor], tf.Tensor]
_GRAM_STEPS = 5


@keras.saving.register_keras_serializable("tfp_realnvp")
class LipschitzMLP(Network):
    """A dense network `g` with `|g(x) - g(y)| <= coefficient |x - y|` for any weights.

        h_0 = x;  h_j = a(W_j h_{j-1} + b_j [+ C context in the first layer]);  g(x) = W h_n + b
        a(h) = h sigmoid(softplus(beta) h) / 1.1,  |a'| <= 1
        W_j = V_j min(1, coefficient^(1 / (n + 1)) / s(V_j)),  s(V) >= |V|

    The kernels V are normalised in each evaluation, so the bound also holds between updates, for weights that were
    assigned, and for the gradient, which passes through `s`. `keras.layers.SpectralNormalization` estimates `|V|` from
    below, by one power iteration in training mode, and has no coefficient. `spectral_bound` bounds it from above.

    All of it is computed in the dtype of the variables: in half precision the inverse of a residual block would be
    exact only to 2^-8.

    Args:
      outputs: size of the last axis of the output.
      hidden_units: sizes of the hidden layers, at least one.
      coefficient: Lipschitz constant with respect to the input, between 0 and 1.
      context_size: size of the last axis of the context of a conditional flow, or None for no context.
      zero_output: whether the last layer starts at zero, so that a residual block starts as the identity.
      **kwargs: passed to `keras.layers.Layer`.

    Shapes: `[batch, size]` to `[batch, outputs]`; context `[batch, context_size]`.

    Raises:
      ValueError: for a coefficient that is not between 0 and 1, no hidden layer, or a context where none or another is
        expected.

    Chen, Behrmann, Duvenaud, Jacobsen. Residual flows for invertible generative modeling. NeurIPS 2019. arXiv
    1906.02735. Delattre, Barthelemy, Araujo, Allauzen. Efficient bound of Lipschitz constant for convolutional layers
    by Gram iteration. ICML 2023. arXiv 2305.16173.
    """

    def __init__(
        self,
        *,
        outputs: int,
        hidden_units: Sequence[int] = (128, 128),
        coefficient: float = 0.9,
        context_size: int | None = None,
        zero_output: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not 0 < coefficient < 1:
            raise ValueError(f"expected a coefficient between 0 and 1, got {coefficient}")
        if not hidden_units or min(hidden_units) < 1:
            raise ValueError(f"expected hidden_units of 1 or more, got {tuple(hidden_units)}")
        self.outputs = outputs
        self.hidden_units = tuple(hidden_units)
        self.coefficient = coefficient
        self.context_size = context_size
        self.zero_output = zero_output

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        def weight(name: str, shape: tuple[int, ...], initializer: Any) -> keras.Variable:
            return self.add_weight(name=name, shape=shape, initializer=initializer, autocast=False)

        sizes = [last_axis(input_shape), *self.hidden_units, self.outputs]
        self.kernels, self.biases, self.betas = [], [], []
        for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
            is_last = i == len(self.hidden_units)
            starts = [uniform_by_inputs(inputs) for _ in range(2)]
            if is_last:
                starts = ["zeros" if self.zero_output else "glorot_uniform", "zeros"]
            self.kernels.append(weight(f"kernel_{i}", (inputs, outputs), starts[0]))
            self.biases.append(weight(f"bias_{i}", (outputs,), starts[1]))
            if not is_last:
                self.betas.append(weight(f"beta_{i}", (), keras.initializers.Constant(0.5)))
        if self.context_size is not None:
            self.context_kernel = weight("context_kernel", (self.context_size, sizes[1]), "glorot_uniform")

    def call(self, inputs: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return self.linearized(inputs, context)[0]

    def linearized(self, inputs: tf.Tensor, context: tf.Tensor | None = None) -> tuple[tf.Tensor, Linear]:
        """Returns `g(inputs)`, and the product with its Jacobian as a function, at the cost of one `g` per tangent."""
        context = checked_context(context, self.context_size)
        bound = self.coefficient ** (1 / len(self.kernels))
        kernels = [_bounded(tf.convert_to_tensor(kernel.value), bound) for kernel in self.kernels]
        hidden, slopes = inputs, []
        for i, (kernel, bias) in enumerate(zip(kernels, self.biases)):
            hidden = tf.matmul(hidden, kernel) + bias.value
            if i == 0 and context is not None:
                hidden += tf.matmul(tf.cast(context, hidden.dtype), self.context_kernel.value)
            if i < len(self.betas):
                hidden, slope = _activated(hidden, tf.nn.softplus(self.betas[i].value))
                slopes.append(slope)

        def product(tangents: tf.Tensor) -> tf.Tensor:
            for kernel, slope in zip(kernels, slopes):
                tangents = tf.matmul(tangents, kernel) * slope
            return tf.matmul(tangents, kernels[-1])

        return hidden, product


def _activated(x: tf.Tensor, beta: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`x sigmoid(beta x) / 1.1` (LipSwish) and its slope."""
    gate = tf.sigmoid(beta * x)
    return x * gate / 1.1, gate * (1 + beta * x * (1 - gate)) / 1.1


def _bounded(kernel: tf.Tensor, bound: float) -> tf.Tensor:
    """The kernel, scaled so that its largest singular value is at most `bound`."""
    return kernel * (bound / tf.maximum(spectral_bound(kernel), bound))


def spectral_bound(kernel: tf.Tensor) -> tf.Tensor:
    """An upper bound on the largest singular value s of a matrix of rank r: at most `s r^(1/64)`.

    With `G_0` the matrix and `G_{i+1} = G_i^T G_i` the singular values of `G_5` are those of the matrix to the power of
    32, and their root mean square bounds the largest one: `s <= |G_5|_F^(1/32)`. Each `G_i` is scaled to norm 1.
    """
    tiny = tf.constant(np.finfo(kernel.dtype.as_numpy_dtype).tiny, kernel.dtype)
    gram = tf.transpose(kernel) if kernel.shape[0] < kernel.shape[1] else kernel  # The smaller of the two products.
    log_bound = tf.zeros([], kernel.dtype)
    for i in range(_GRAM_STEPS + 1):
        largest = tf.maximum(tf.stop_gradient(tf.reduce_max(tf.abs(gram))), tiny)
        squares = tf.reduce_sum((gram / largest) ** 2)
        norm = largest * tf.sqrt(tf.maximum(squares, tf.ones_like(squares)))  # A matrix of zeros has a norm of `tiny`.
        log_bound += tf.math.log(norm) / 2**i
        if i < _GRAM_STEPS:
            unit = gram / norm
            gram = tf.matmul(unit, unit, transpose_a=True)
    return tf.exp(log_bound)
