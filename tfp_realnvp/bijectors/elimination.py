"""Log-determinants and inverses of matrices that need no pivoting."""

from collections.abc import Callable

import tensorflow as tf


def log_det_of_one_plus(matrices: tf.Tensor) -> tf.Tensor:
    """`log det(I + J)` of matrices J with a spectral norm below 1, `[batch, size, size]`, as `[batch]`.

    The gradient is `(I + J)^{-T}`, which comes from the same elimination.
    """
    log_det, inverse = log_det_and_inverse(matrices)

    @tf.custom_gradient
    def with_gradient(matrices: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # Equal to `inverse`, with the derivative of an inverse for a second-order gradient.
            differentiable = 2 * inverse - inverse @ (_one_plus(matrices) @ inverse)
            return upstream[:, tf.newaxis, tf.newaxis] * tf.linalg.matrix_transpose(differentiable)

        return log_det, gradient

    return with_gradient(matrices)


def log_det_and_inverse(matrices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`log det(I + J)` and `(I + J)^{-1}`, without gradients.

    Gauss-Jordan elimination in place: sweep k replaces `A` by `A - (A e_k - e_k)(e_k^T A + e_k^T) / A_kk`, and the
    determinant is the product of the pivots `A_kk`. No pivot is 0 or negative, since `x^T (I + J) x > 0`. Unlike
    `tf.linalg.slogdet` and `tf.linalg.inv` it compiles with XLA to fast code.
    """
    size = matrices.shape[-1]
    rows_first = tf.transpose(tf.stop_gradient(_one_plus(matrices)), [1, 2, 0])

    def sweep(k: tf.Tensor, a: tf.Tensor, log_det: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        one = tf.one_hot(k, size, dtype=a.dtype)[:, tf.newaxis]
        row = tf.gather(a, k)
        pivot = tf.gather(row, k)
        column = tf.reduce_sum(a * one, 1)
        a -= (column - one)[:, tf.newaxis] * ((row + one) / pivot)
        return k + 1, a, log_det + tf.math.log(pivot)

    start = 0, rows_first, tf.zeros_like(rows_first[0, 0])
    _, inverse, log_det = tf.while_loop(lambda *unused: True, sweep, start, maximum_iterations=size)
    return tf.stop_gradient(log_det), tf.stop_gradient(tf.transpose(inverse, [2, 0, 1]))


def _one_plus(matrices: tf.Tensor) -> tf.Tensor:
    return matrices + tf.eye(matrices.shape[-1], dtype=matrices.dtype)
