"""The noise of a request's rows, a function of a seed and of each row alone."""

import tensorflow as tf

from tfp_realnvp.bijectors import dequantize
from tfp_realnvp.flows import Dequantizer


def dequantize_rows(
    images: tf.Tensor, *, levels: int, seed: int | tf.Tensor, dequantizer: Dequantizer | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """`x = image + u` and `log q(u | image)`, with noise that depends only on the seed and an image's own pixels.

    The noise is uniform, whose `log q` is 0, or the dequantizer's.
    """
    # A 64-bit hash of each row, as two integers.
    hashes = tf.bitcast(tf.reshape(tf.fingerprint(images), [-1, 2, 4]), tf.int32)
    seeds = tf.bitwise.bitwise_xor(hashes, tf.stack([seed, 0]))

    def of_row(row: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, row_seed = row
        if dequantizer is None:
            return dequantize(image, seed=row_seed, levels=levels)
        return dequantizer.latent_noise(image, seed=row_seed)

    dtype = tf.float32 if dequantizer is None else dequantizer.dtype
    noise = tf.map_fn(of_row, (images, seeds), fn_output_signature=tf.TensorSpec(images.shape[1:], dtype))
    if dequantizer is None:
        return noise, tf.zeros([tf.shape(images)[0]])
    return dequantizer.dequantize(images, noise)


def noise_of_rows(rows: tf.Tensor, count: int, seed: int | tf.Tensor) -> tf.Tensor:
    """Uniform noise `[n, count]` that depends on the seed and a row's own numbers, and on none beside it."""
    if count == 0:
        return tf.zeros([tf.shape(rows)[0], 0])
    # Each number of the noise is a hash of the row, the seed and its place.
    size = rows.shape[-1]
    places = tf.stack([tf.range(count), tf.fill([count], seed)], -1)
    both = tf.concat(
        [
            tf.repeat(tf.bitcast(rows, tf.int32)[:, tf.newaxis], count, axis=1),
            tf.repeat(places[tf.newaxis], tf.shape(rows)[0], axis=0),
        ],
        -1,
    )
    hashes = tf.fingerprint(tf.reshape(both, [-1, size + 2]))
    numbers = tf.cast(tf.bitcast(hashes[:, :4], tf.int32), tf.float32)
    uniform = tf.clip_by_value(numbers * 2.0**-32 + 0.5, 2.0**-24, 1 - 2.0**-24)
    return tf.reshape(uniform, [-1, count])
