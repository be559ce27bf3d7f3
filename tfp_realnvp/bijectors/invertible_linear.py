"""A learned linear map of the channels: Glow's invertible 1x1 convolution."""

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.householder import product_of_reflections


class InvertibleLinear(Bijector):
    """Multiplies the channels at each position by one matrix; for images, the invertible 1x1 convolution.

        forward:  z = W x at each position
        inverse:  x = W^{-1} z
        log|det df/dx| = positions * log|det W|

    W starts as a random rotation, unless it is triangular. With `form="lu"` its factors are learned, and the log-det is
    free:

        W = P L (U + diag(sign * exp(log_size)))

    with P a fixed permutation, `sign` fixed, L lower triangular with a unit diagonal and U strictly upper triangular.
    With `form="full"` W itself is learned; its log-det takes O(C^3) operations, and W may become singular.

    With `form="householder"` W stays orthogonal, so its inverse is its transpose and the log-det is 0. The vectors of
    C reflections are learned, whose products are all orthogonal matrices with the sign of W's determinant:

        W = H_1 H_2 ... H_C,  H_i = I - 2 v_i v_i^T / |v_i|^2

    With `form="triangular"` W is lower triangular with a positive diagonal, and starts as the identity.

    Args:
      channels: size of the last axis, C.
      event_ndims: number of axes of an event: 1 for vectors, 3 for images.
      form: "lu", "full", "householder" or "triangular".
      seed: seed of the initial rotation.

    Raises:
      ValueError: for an unknown form, or an input with other than `channels` channels.

    ```python
    mixing = nvp.bijectors.InvertibleLinear(channels=12, event_ndims=3)
    z, log_det = mixing.forward_and_log_det(tf.random.normal([8, 4, 4, 12]))
    ```

    Kingma, Dhariwal. Glow: generative flow with invertible 1x1 convolutions. NeurIPS 2018. arXiv 1807.03039.
    Tomczak, Welling. Improving variational auto-encoders using Householder flow. 2016. arXiv 1611.09630.
    """

    takes_context = False

    def __init__(
        self,
        channels: int,
        *,
        event_ndims: int = 1,
        form: str = "lu",
        seed: int = 0,
        dtype: str = "float32",
        name: str = "invertible_linear",
    ):
        if form not in ("lu", "full", "householder", "triangular"):
            raise ValueError(f'expected form to be "lu", "full", "householder" or "triangular", got {form!r}')
        super().__init__(event_ndims=event_ndims, size=channels, name=name)
        self.form = form
        normal = np.random.default_rng(seed).normal(size=[channels, channels])
        if form == "householder":
            self.reflections = self._variable(normal, f"{name}_reflections", dtype)
            return
        if form == "triangular":
            self.lower = self._variable("zeros", f"{name}_lower", dtype, shape=(channels, channels))
            self.log_size = self._variable("zeros", f"{name}_log_size", dtype, shape=(channels,))
            return
        rotation = np.linalg.qr(normal)[0]
        if form == "full":
            self.matrix = self._variable(rotation, f"{name}_matrix", dtype)
        else:
            # A flow may be built while a function is traced; symbolic tensors cannot be initial values.
            with tf.init_scope():
                lu, permuted = (factor.numpy() for factor in tf.linalg.lu(rotation))
            # Row i of L U is row permuted[i] of W.
            self._order = np.argsort(permuted)
            self._signs = np.sign(np.diag(lu)).astype(dtype)
            self.lower = self._variable(np.tril(lu, -1), f"{name}_lower", dtype)
            self.upper = self._variable(np.triu(lu, 1), f"{name}_upper", dtype)
            self.log_size = self._variable(np.log(np.abs(np.diag(lu))), f"{name}_log_size", dtype)

    def _factors(self) -> tuple[tf.Tensor, tf.Tensor]:
        """L, and U with its diagonal."""
        # Not `tf.linalg.set_diag`, which OpenVINO does not read.
        on_diagonal, log_size = np.eye(len(self._signs)) > 0, self.log_size.value
        lower = tf.where(on_diagonal, tf.ones_like(log_size), tf.linalg.band_part(self.lower.value, -1, 0))
        upper = tf.where(on_diagonal, self._signs * tf.exp(log_size), tf.linalg.band_part(self.upper.value, 0, -1))
        return lower, upper

    def _triangular(self) -> tf.Tensor:
        on_diagonal = np.eye(self.log_size.shape[0]) > 0  # As in `_factors`.
        return tf.where(on_diagonal, tf.exp(self.log_size.value), tf.linalg.band_part(self.lower.value, -1, 0))

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        if self.form == "lu":
            lower, upper = self._factors()
            matrix = tf.gather(lower @ upper, self._order)
        elif self.form == "householder":
            matrix = product_of_reflections(self.reflections.value)
        elif self.form == "triangular":
            matrix = self._triangular()
        else:
            matrix = self.matrix.value
        return self._multiplied(matrix, x), self._log_det(x)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        identity = tf.eye(self._size, dtype=z.dtype)
        if self.form == "lu":
            lower, upper = self._factors()
            below = tf.linalg.triangular_solve(lower, tf.gather(identity, np.argsort(self._order)))
            matrix = tf.linalg.triangular_solve(upper, below, lower=False)
        elif self.form == "householder":
            matrix = tf.transpose(product_of_reflections(self.reflections.value))
        elif self.form == "triangular":
            matrix = tf.linalg.triangular_solve(self._triangular(), identity)
        else:
            matrix = tf.linalg.solve(self.matrix.value, identity)
        return self._multiplied(matrix, z), -self._log_det(z)

    def _multiplied(self, matrix: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        if x.shape.rank == 4:
            return tf.nn.conv2d(x, tf.transpose(matrix)[tf.newaxis, tf.newaxis], strides=1, padding="SAME")
        return tf.linalg.matmul(x, matrix, transpose_b=True)

    def _log_det(self, x: tf.Tensor) -> tf.Tensor:
        if self.form == "householder":
            return tf.zeros(tf.shape(x)[:1], x.dtype)
        if self.form in ("lu", "triangular"):
            log_size = self.log_size.value
        else:  # `tf.linalg.slogdet` has no kernel for XLA.
            log_size = tf.math.log(tf.abs(tf.linalg.diag_part(tf.linalg.qr(self.matrix.value)[1])))
        positions = tf.cast(tf.reduce_prod(tf.shape(x)[1:-1]), x.dtype)
        return tf.fill(tf.shape(x)[:1], positions * tf.reduce_sum(log_size))
