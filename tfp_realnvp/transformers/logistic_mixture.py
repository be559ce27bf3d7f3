"""The CDF of a logistic mixture on the logit scale, a monotone function of any shape.

    F(x) = sum_k w_k sigmoid((x - m_k) / s_k)
    y = log F(x) - log(1 - F(x))
    dy/dx = F'(x) / F(x) + F'(x) / (1 - F(x)) = sum_k p_k sigmoid(-u_k) / s_k + sum_k q_k sigmoid(u_k) / s_k

with `u_k = (x - m_k) / s_k`, and `p_k` and `q_k` the shares of component k in `F` and in `1 - F`. In the tails `log F'`
and `log(1 - F)` are large and nearly equal; these sums avoid the cancellation.
"""

import numpy as np
import tensorflow as tf

from tfp_realnvp.transformers.bisection import inverse_by_bisection

# Bounds |log s|, so that neither a scale nor its inverse overflows.
_MOST_LOG_SCALE = 5.0
# The logits of the weights, the means and the log-scales of components, each `[components, ...]`. Sums over the first
# axis take half as long as sums over a short last axis.
Components = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def components_of(raw: tf.Tensor) -> Components:
    """Components from raw numbers `[3 * components, ...]`."""
    logits, means, log_scales = tf.split(raw, 3)
    apart = np.linspace(-1, 1, means.shape[0] + 2)[1:-1]  # Spread out, or all components would stay equal.
    apart = apart.reshape([-1] + [1] * (means.shape.rank - 1))
    log_scales = _MOST_LOG_SCALE * tf.tanh(log_scales / _MOST_LOG_SCALE)
    return logits, means + tf.constant(apart, means.dtype), log_scales


def mixture_logit(x: tf.Tensor, components: Components) -> tuple[tf.Tensor, tf.Tensor]:
    """`y` and `log dy/dx` of each entry of `x`, `[...]`, for components from `components_of`."""
    logits, means, log_scales = components
    u = (x - means) * tf.exp(-log_scales)
    above = tf.nn.softplus(u)
    below = above - u  # softplus(-u), up to the rounding of `u`.
    # Shares and odds do not depend on the sum of the weights.
    log_shares, log_cdf = _shares(logits - below)
    log_shares_above, log_survival = _shares(logits - above)
    log_slopes = tf.concat([log_shares - above - log_scales, log_shares_above - below - log_scales], 0)
    return log_cdf - log_survival, _shares(log_slopes)[1]


def _shares(log_parts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The logarithms of each term's share of the sum, and of the sum."""
    largest = tf.stop_gradient(tf.reduce_max(log_parts, 0))
    relative = log_parts - largest
    log_total = tf.math.log(tf.reduce_sum(tf.exp(relative), 0))
    return relative - log_total, largest + log_total


def inverse_mixture_logit(y: tf.Tensor, components: Components) -> tuple[tf.Tensor, tf.Tensor]:
    """`x` and `log dx/dy` of each entry, by bisection."""
    _, means, log_scales = components
    # The root of the mixture lies between the smallest and the largest root of a single component.
    alone = means + tf.exp(log_scales) * y

    def value_and_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        value, log_slope = mixture_logit(x, components)
        return value, tf.exp(log_slope)

    x = inverse_by_bisection(value_and_slope, y, tf.reduce_min(alone, 0), tf.reduce_max(alone, 0))
    return x, -mixture_logit(x, components)[1]
