"""A rising curve with as many bends as one likes: the distribution function of a mixture, on the scale of its logit.

    F(x) = sum_k w_k sigmoid((x - m_k) / s_k)
    y = log F(x) - log(1 - F(x))
    log dy/dx = log F'(x) - log F(x) - log(1 - F(x))

With one component it is `(x - m) / s`. Far out it goes on as straight lines. Flow++ uses it in couplings; with
`a = 1 / s` and `b = -m / s` it is one layer of the deep sigmoidal network of neural autoregressive flows.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.bisection import inverse_by_bisection

# log s lies between minus this and this: neither a scale nor its inverse overflows, whatever a network says.
_MOST_LOG_SCALE = 5.0


def components_of(raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Log-weights, means and log-scales, each `[..., components]`, of any numbers `[..., 3 * components]`.

    Of zeros, the means lie apart from one another, or all components would learn the same.
    """
    logits, means, log_scales = tf.split(raw, 3, -1)
    apart = np.linspace(-1, 1, means.shape[-1] + 2)[1:-1]
    log_scales = _MOST_LOG_SCALE * tf.tanh(log_scales / _MOST_LOG_SCALE)
    return tf.nn.log_softmax(logits), means + tf.constant(apart, means.dtype), log_scales


def mixture_logit(
    x: tf.Tensor, components: tuple[tf.Tensor, tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """`y` and `log dy/dx` of each entry.

    Args:
      x: `[...]`.
      components: of `components_of`, each `[..., components]`.
    """
    log_weights, means, log_scales = components
    u = (x[..., tf.newaxis] - means) * tf.exp(-log_scales)
    above, below = tf.nn.softplus(u), tf.nn.softplus(-u)
    log_cdf = tf.reduce_logsumexp(log_weights - below, -1)
    log_survival = tf.reduce_logsumexp(log_weights - above, -1)
    log_density = tf.reduce_logsumexp(log_weights - above - below - log_scales, -1)
    return log_cdf - log_survival, log_density - log_cdf - log_survival


def inverse_mixture_logit(
    y: tf.Tensor, components: tuple[tf.Tensor, tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """`x` and `log dx/dy` of each entry, by bisection, see `inverse_by_bisection`."""
    _, means, log_scales = components
    # Where each component alone would have it: the mixture has it between the least and the greatest of these.
    alone = means + tf.exp(log_scales) * y[..., tf.newaxis]

    def value_and_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        value, log_slope = mixture_logit(x, components)
        return value, tf.exp(log_slope)

    x = inverse_by_bisection(value_and_slope, y, tf.reduce_min(alone, -1), tf.reduce_max(alone, -1))
    return x, -mixture_logit(x, components)[1]
