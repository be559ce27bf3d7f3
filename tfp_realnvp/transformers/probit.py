"""From the logistic to the normal distribution."""

import math

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.transformers.transformer import Transformer


class Probit(Transformer):
    """The normal quantile of the logistic CDF, which maps a logistic variable to a standard normal one.

        forward:  z = Phi^{-1}(sigmoid(x))
        inverse:  x = log Phi(z) - log Phi(-z)
        log dz/dx = log sigmoid(x) + log sigmoid(-x) + z^2 / 2 + log(2 pi) / 2

    It has no parameters. After `Sigmoidal`, the logit of a mixture's CDF, it gives the mixture's Gaussianization:
    `Compose(Sigmoidal(), Probit())` maps a variable with that mixture's density to a standard normal one.

    Meng, Song, Song, Ermon. Gaussianization flows. AISTATS 2020. arXiv 2003.01941.
    """

    outputs = 0

    def forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The CDF of -|x| is small and exact; beyond `most` it would underflow.
        most = -math.log(float(np.finfo(x.dtype.as_numpy_dtype).tiny)) - 2
        sign = tf.where(x < 0, -tf.ones_like(x), tf.ones_like(x))
        tail = sign * x  # Unlike |x| it has a slope at 0.
        near = -tf.math.ndtri(tf.sigmoid(-tf.minimum(tail, most)))
        # tail = z^2/2 + log z + log(2 pi)/2 - log(1 - 1/z^2 + 3/z^4 - ...), solved for z by iteration.
        beyond = tf.maximum(tail, most)
        far = math.sqrt(2) * tf.sqrt(beyond)
        for _ in range(6):
            far = math.sqrt(2) * tf.sqrt(beyond - _log_inverse_slope(far) - math.log(2 * math.pi) / 2)
        z = tf.where(tail < most, near, far) * sign
        return z, _log_slope(x, z)

    def inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        normal = tfd.Normal(tf.zeros([], z.dtype), tf.ones([], z.dtype))
        x = normal.log_cdf(z) - normal.log_cdf(-z)
        return x, -_log_slope(x, z)

    def __str__(self) -> str:
        return "probit"


def _log_inverse_slope(z: tf.Tensor) -> tf.Tensor:
    """`log dx/dz` for large positive z, where `x = -log Phi(-z)`, by the asymptotic series."""
    r = (1 / z) ** 2
    return tf.math.log(z) - tf.math.log1p(r * (-1 + r * (3 + r * (-15 + r * 105))))


def _log_slope(x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """`log dz/dx`; far out from z alone, since x and z^2 / 2 would cancel."""
    least = 12.0 if z.dtype == tf.float32 else 30.0
    is_far = tf.abs(z) > least
    far = -_log_inverse_slope(tf.maximum(tf.abs(z), least))
    x, z = (tf.where(is_far, tf.zeros_like(x), each) for each in (x, z))
    near = tf.math.log_sigmoid(x) + tf.math.log_sigmoid(-x) + z**2 / 2 + math.log(2 * math.pi) / 2
    return tf.where(is_far, far, near)
