"""Products with the Jacobian of a network, from its `linearized` method."""

from collections.abc import Callable

import tensorflow as tf

Linear = Callable[[tf.Tensor], tf.Tensor]


def jacobian_of(product: Linear, x: tf.Tensor) -> tf.Tensor:
    """The Jacobian at `x`, `[batch, size, size]`, from one product with each unit vector."""
    size = x.shape[-1]
    units = tf.eye(size, dtype=x.dtype)[:, tf.newaxis]
    columns = product(tf.broadcast_to(units, [size, tf.shape(x)[0], size]))
    return tf.transpose(columns, [1, 2, 0])


def random_signs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Entries of -1 or 1, independent and equally likely, in the shape of `x`: `E[v v^T] = I`."""
    return tf.where(tf.random.stateless_uniform(tf.shape(x), seed, dtype=x.dtype) < 0.5, -tf.ones_like(x), 1)
