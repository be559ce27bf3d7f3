"""Inverts monotone functions that have no closed-form inverse."""

from collections.abc import Callable

import tensorflow as tf


def inverse_by_bisection(
    function: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]], y: tf.Tensor, low: tf.Tensor, high: tf.Tensor
) -> tf.Tensor:
    """The `x` in [low, high] for which `function(x)` is `y`, entry by entry.

    Each of 32 steps (64 in float64) halves the bracket, to 2^-32 (2^-64) of its width. The gradient is the root's:
    `dx = (dy - df) / f'`, with `df` the change of the function at fixed `x`.

    Args:
      function: maps `x` to the function's value, increasing in `x`, and its slope.
      y: the target values.
      low: points where the function is at most `y`; same shape as `y`.
      high: points where the function is at least `y`.
    """
    steps = 64 if y.dtype == tf.float64 else 32
    target = tf.stop_gradient(y)

    def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = low + (high - low) / 2
        is_above = tf.stop_gradient(function(middle)[0]) > target
        return tf.where(is_above, low, middle), tf.where(is_above, middle, high)

    bracket = tf.stop_gradient(low), tf.stop_gradient(high)
    low, high = tf.while_loop(lambda *unused: True, halve, bracket, maximum_iterations=steps)
    x = tf.stop_gradient(low + (high - low) / 2)
    value, slope = function(x)
    # A Newton step has the root's gradient. The step itself is not taken, since its rounding error would exceed the
    # bracket where the function is nearly flat.
    step = (value - y) / tf.stop_gradient(slope)
    return x - (step - tf.stop_gradient(step))
