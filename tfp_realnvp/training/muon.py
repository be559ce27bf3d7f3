"""Muon for the kernels of networks, Adam for all other variables."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp import private
from tfp_realnvp.training.adam import Adam

# Newton-Schulz coefficients of the authors' program; singular values end up between .7 and 1.2.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
# Names of the kernels of Keras' layers and of weight-normalised convolutions.
_KERNELS = ("kernel", "direction")


@keras.saving.register_keras_serializable("tfp_realnvp")
class Muon(Adam):
    """Updates all singular directions of a kernel by equal amounts; other variables are updated by `Adam`.

    Let `G` be the gradient of a kernel as a matrix, with a row per input (all but the last axis) and a column per
    output, `m` a decaying sum of gradients, and `U S V^T` a singular value decomposition:

        m <- momentum m + G,    U S V^T = momentum m + G
        kernel <- kernel - rate * size sqrt(max(rows, columns)) U V^T

    `U V^T` is approximated by five Newton-Schulz iterations on the smaller of its Gram matrices. The entries of an
    update have a root mean square of `size` times the rate, about as in Adam, so that one learning rate serves both.

    A kernel is a variable named "kernel" or "direction" with at least `least` rows and columns. This excludes linear
    bijectors and the last layer of a coupling with few channels.

    Args:
      learning_rate: as in `Adam`.
      momentum: decay of the sum of gradients.
      size: root mean square of an update, in units of the learning rate.
      least: minimum number of rows and columns of a kernel.
      **kwargs: passed to `Adam`.

    ```python
    model = nvp.FlowModel(nvp.real_nvp(event_shape=(6,)))
    model.compile(nvp.training.Muon(0.01))
    ```

    Jordan et al. Muon: an optimizer for hidden layers in neural networks. 2024. https://kellerjordan.github.io/posts/muon
    Liu et al. Muon is scalable for LLM training. 2025. arXiv 2502.16982. The scale of the update.
    """

    def __init__(
        self, learning_rate: Any = 1e-2, *, momentum: float = 0.95, size: float = 0.2, least: int = 32, **kwargs: Any
    ):
        super().__init__(learning_rate, **kwargs)
        self.momentum, self.size, self.least = momentum, size, least
        self._names: list[str] = []
        self._decays: tuple[tf.Tensor, tf.Tensor] | None = None

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"momentum": self.momentum, "size": self.size, "least": self.least}

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if not self.built:
            self._names = [variable.name for variable in variables]
        super().build(variables)

    def _is_kernel(self, variable: tf.Variable) -> bool:
        if len(variable.shape) < 2 or self._names[private.index_of(self, variable)] not in _KERNELS:
            return False
        return min(_matrix_shape(variable.shape)) >= self.least

    def apply(self, *args: Any, **kwargs: Any) -> None:
        """As in `Adam`."""
        try:
            super().apply(*args, **kwargs)
        finally:
            self._decays = None

    def _shared(self, tensors: Sequence[Any], skip: tf.Tensor | None) -> Callable[[tf.DType], dict[str, Any]]:
        momentum, rate = tf.constant(self.momentum, tf.float64), tf.cast(self.learning_rate, tf.float64)
        if skip is not None:
            momentum, rate = tf.where(skip, tf.ones_like(momentum), momentum), tf.where(skip, tf.zeros_like(rate), rate)
        self._decays = momentum, rate
        return super()._shared(tensors, skip)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        if not self._is_kernel(variable):
            super().update_step(gradient, variable, learning_rate)
            return
        self.decay(variable)
        assert self._decays is not None  # `apply`, which calls this, made them.
        momentum, rate = (tf.cast(number, variable.dtype) for number in self._decays)
        gradient = tf.cast(gradient, variable.dtype)
        summed = private.moments_of(self, variable)[0]
        moved = momentum * summed + gradient
        with tf.control_dependencies([summed.assign(moved)]):
            update = orthogonalized(tf.reshape(momentum * moved + gradient, [-1, variable.shape[-1]]))
        size = self.size * max(_matrix_shape(variable.shape)) ** 0.5
        variable.assign_sub(rate * size * tf.reshape(update, variable.shape))


def orthogonalized(matrix: tf.Tensor) -> tf.Tensor:
    """Approximates `U V^T` of a matrix `U S V^T`: all singular values except those near 0 are moved close to 1.

    With `X_0 = matrix / ||matrix||`, `A_k = X_k^T X_k` and `Q_k = a + b A_k + c A_k^2`, each iteration is
    `X_{k+1} = X_k Q_k`. All factors are polynomials in `A_0`, so `X` itself is multiplied only once:

        A_{k+1} = Q_k A_k Q_k,    X_n = X_0 Q_0 ... Q_{n-1}
    """
    is_wide = matrix.shape[0] < matrix.shape[1]
    matrix /= tf.norm(matrix) + tf.constant(1e-30, matrix.dtype)
    gram = tf.matmul(matrix, matrix, transpose_a=not is_wide, transpose_b=is_wide)
    a, b, c = _COEFFICIENTS
    product = None
    for i in range(_ITERATIONS):
        factor = b * gram + c * tf.matmul(gram, gram)
        factor = tf.linalg.set_diag(factor, tf.linalg.diag_part(factor) + a)
        product = factor if product is None else tf.matmul(factor, product)
        if i < _ITERATIONS - 1:
            gram = tf.matmul(tf.matmul(factor, gram), factor)
    return tf.matmul(product, matrix) if is_wide else tf.matmul(matrix, product)


def _matrix_shape(shape: tf.TensorShape) -> tuple[int, int]:
    return shape[:-1].num_elements(), shape[-1]
