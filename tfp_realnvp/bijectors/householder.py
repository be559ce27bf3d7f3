"""Products of Householder reflections."""

import numpy as np
import tensorflow as tf


def product_of_reflections(vectors: tf.Tensor) -> tf.Tensor:
    """The orthogonal matrix `H_1 H_2 ... H_k`, with `H_i = I - 2 v_i v_i^T / |v_i|^2`.

    With unit rows `v_i` of V the product is `I - V^T S^{-1} V`, where S is the strict upper triangle of `V V^T` plus
    `I / 2`: two products and one triangular solve instead of k updates in sequence. A vector of length 0 reflects
    nothing.

    Args:
      vectors: `v_1 ... v_k`, `[k, size]`.

    Returns:
      The matrix, `[size, size]`.

    Joffrain, Low, Quintana-Orti, van de Geijn, Van Zee. Accumulating Householder transformations, revisited. ACM
    Transactions on Mathematical Software 2006.
    """
    # Dividing by the largest entry keeps squares from overflowing and from vanishing.
    tiny = tf.constant(np.finfo(vectors.dtype.as_numpy_dtype).tiny, vectors.dtype)
    largest = tf.stop_gradient(tf.reduce_max(tf.abs(vectors), -1, keepdims=True))
    scaled = vectors / tf.maximum(largest, tiny)
    squares = tf.reduce_sum(scaled**2, -1, keepdims=True)
    unit = scaled / tf.sqrt(tf.where(largest > 0, squares, tf.ones_like(squares)))
    inner = tf.linalg.matmul(unit, unit, transpose_b=True)
    halves = tf.fill(tf.shape(inner)[:1], tf.constant(0.5, inner.dtype))
    upper = tf.linalg.set_diag(tf.linalg.band_part(inner, 0, -1), halves)
    solved = tf.linalg.triangular_solve(upper, unit, lower=False)
    return tf.eye(vectors.shape[-1], dtype=vectors.dtype) - tf.linalg.matmul(unit, solved, transpose_a=True)
