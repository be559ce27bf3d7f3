"""From the logistic to the normal distribution."""

import math

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.transformers.transformer import Transformer

# Coefficients of `ndtri`, of the highest power first, for `sqrt(-2 log p)` below 8 and above.
_NEAR = (
    [
        4.05544892305962419923,
        31.5251094599893866154,
        57.1628192246421288162,
        44.0805073893200834700,
        14.6849561928858024014,
        2.18663306850790267539,
        -0.140256079171354495875,
        -0.0350424626827848203418,
        -0.000857456785154685413611,
    ],
    [
        1.0,
        15.7799883256466749731,
        45.3907635128879210584,
        41.3172038254672030440,
        15.0425385692907503408,
        2.50464946208309415979,
        -0.142182922854787788574,
        -0.0380806407691578277194,
        -0.000933259480895457427372,
    ],
)
_FAR = (
    [
        3.23774891776946035970,
        6.91522889068984211695,
        3.93881025292474443415,
        1.33303460815807542389,
        0.201485389549179081538,
        0.0123716634817820021358,
        0.000301581553508235416007,
        2.65806974686737550832e-6,
        6.23974539184983293730e-9,
    ],
    [
        1.0,
        6.02427039364742014255,
        3.67983563856160859403,
        1.37702099489081330271,
        0.216236993594496635890,
        0.0134204006088543189037,
        0.000328014464682127739104,
        2.89247864745380683936e-6,
        6.79019408009981274425e-9,
    ],
)


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
        small = tf.exp(-tf.minimum(tail, most))  # Not the sigmoid, which XLA rounds to 0 from 17 on.
        near = -ndtri(small / (1 + small))
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


def ndtri(p: tf.Tensor) -> tf.Tensor:
    """The quantile of the standard normal distribution, as `tf.math.ndtri`, also when XLA compiles it.

    XLA's kernel is that of `2 p - 1`: it has wrong digits below p = 1e-4, and is infinite below 3e-8. The tail is a
    rational function of `sqrt(-2 log p)`.

    Moshier. Cephes mathematical library, `ndtri`. 1989.
    """
    edge = math.exp(-2)
    is_tail = p < edge
    safe = tf.where(is_tail, p, tf.constant(edge, p.dtype))
    x = tf.sqrt(-2 * tf.math.log(tf.maximum(safe, float(np.finfo(p.dtype.as_numpy_dtype).tiny))))
    near, far = (
        tf.math.polyval([tf.constant(c, p.dtype) for c in above], 1 / x)
        / tf.math.polyval([tf.constant(c, p.dtype) for c in below], 1 / x)
        for above, below in (_NEAR, _FAR)
    )
    tail = -(x - (tf.math.log(x) + tf.where(x < 8, near, far)) / x)
    return tf.where(is_tail, tail, tf.math.ndtri(tf.where(is_tail, tf.constant(0.5, p.dtype), p)))


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
