"""Inverting what rises and has no closed inverse."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def inverse_by_bisection(
    function: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]], y: tf.Tensor, low: tf.Tensor, high: tf.Tensor
) -> tf.Tensor:
    """The `x` in [low, high] of which `function(x)` is `y`, entry by entry.

    Each step halves the bracket: after 32 of them, 64 in float64, it is 2^-32 (2^-64) of its first width, which is
    under the rounding of a bracket as wide as its numbers are large. No step can fail, and all take the same time.

    The gradient is the root's own, `dx = (dy - df) / f'`, with `df` what the function changes by at a fixed `x`: it
    reaches `y` and whatever the function was made of, and the search is not part of it.

    Args:
      function: from `x` to its value, which rises with `x`, and its slope.
      y: the values to find.
      low: of the shape of `y`, where the function is at most `y`.
      high: where it is at least `y`.
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
    # A step of Newton's method has the root's gradient. The step itself is not taken: where the function is all but
    # flat, its rounding would be larger than the bracket.
    step = (value - y) / tf.stop_gradient(slope)
    return x - (step - tf.stop_gradient(step))
