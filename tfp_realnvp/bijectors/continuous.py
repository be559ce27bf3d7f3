"""The continuous flow's layer: an ordinary differential equation."""

import typing
from typing import Literal

import keras
import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.linearized import random_signs

Trace = Literal["exact", "hutchinson"]


class Continuous(Bijector):
    """Moves a vector along a velocity field from time 0 to time 1 (FFJORD).

        forward:  z = h(1),  dh/dt = v(h, t),  h(0) = x
        inverse:  x = h(0),  from h(1) = z, the same equation from time 1 to time 0
        log|det df/dx| = integral over t of tr(dv/dh)(h(t), t)

    Value and log-det are solved together by the classical Runge-Kutta method of order 4, with steps of equal length and
    4 evaluations of the network per step. Both directions and their log-dets approximate the solution: their errors
    fall with `steps^-4`, and `error` estimates them. An event's result does not depend on the other events, and
    gradients are exact derivatives of what is computed. Memory in training grows with `steps`.

    Outside of training the trace is exact. In training mode it is exact, or Hutchinson's estimate `s^T (dv/dh) s`, with
    one random vector s of entries -1 and 1 per event and pass: unbiased for the log-det and its gradient.

    Args:
      network: a built `VelocityMLP(outputs=size)`, or a Keras layer with its `context` argument and its
        `with_divergence(x, time, context)`.
      size: number of entries of the vector.
      steps: number of steps of the solver.
      trace: "exact" or "hutchinson", in training.
      seed: seed of the random vectors, which also depend on the number of training passes.

    Raises:
      ValueError: for fewer than 1 step, or an unknown trace.

    ```python
    network = nvp.conditioners.VelocityMLP(outputs=3, hidden_units=(16,))
    network.build([None, 3])
    layer = nvp.bijectors.Continuous(network, size=3)
    x = tf.random.normal([4, 3])
    z, log_det = layer.forward_and_log_det(x)
    layer.error(x)  # Of z and log_det, [4] each.
    ```

    Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud. FFJORD: free-form continuous dynamics for scalable reversible
    generative models. ICLR 2019. arXiv 1810.01367. Chen, Rubanova, Bettencourt, Duvenaud. Neural ordinary differential
    equations. NeurIPS 2018. arXiv 1806.07366.
    """

    networks = 1

    def __init__(
        self,
        network: keras.layers.Layer,
        size: int,
        *,
        steps: int = 20,
        trace: Trace = "exact",
        seed: int = 0,
        name: str = "continuous",
    ):
        if trace not in typing.get_args(Trace):
            raise ValueError(f"expected trace to be one of {', '.join(typing.get_args(Trace))}, got {trace!r}")
        if steps < 1:
            raise ValueError(f"expected at least 1 step, got {steps}")
        super().__init__(event_ndims=1, size=size, name=name)
        self.steps, self.trace, self.seed = steps, trace, seed
        self.network = network
        if trace != "exact":
            # Each replica would count the same passes.
            counter = dict(trainable=False, aggregation="only_first_replica")
            self.passes = self._variable(0, f"{name}_passes", "int64", **counter)

    def describe(self) -> str:
        trace = "exact" if self.trace == "exact" else "exact, in training by Hutchinson"
        return f"{self.name}: {self.steps} steps, {4 * self.steps} evaluations, trace {trace}"

    def error(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Estimates the solver's error in the forward pass of `x`, `[batch, size]`.

        The estimate compares with a solution of twice as many steps, whose error is a 16th.

        Returns:
          The largest error among the entries of z, and the error of the log-det in nats, each `[batch]`.
        """
        x = tf.convert_to_tensor(x)
        z, log_det = self._solved(x, context, self.steps)
        finer, finer_log_det = self._solved(x, context, 2 * self.steps)
        return 16 / 15 * tf.reduce_max(tf.abs(z - finer), -1), 16 / 15 * tf.abs(log_det - finer_log_det)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._solved(x, context, self.steps, signs=self._signs(x, training))

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._solved(z, context, self.steps, signs=self._signs(z, training), is_inverse=True)

    def _signs(self, x: tf.Tensor, training: bool) -> tf.Tensor | None:
        """The random vectors of Hutchinson's estimate, or None for the exact trace."""
        if not training or self.trace == "exact":
            return None
        signs = random_signs(x, tf.stack([tf.constant(self.seed, tf.int64), self.passes.value]))
        self.passes.assign_add(1)
        return signs

    def _solved(
        self,
        x: tf.Tensor,
        context: tf.Tensor | None,
        steps: int,
        *,
        signs: tf.Tensor | None = None,
        is_inverse: bool = False,
    ) -> ValueAndLogDet:
        start, length = (1.0, -1 / steps) if is_inverse else (0.0, 1 / steps)

        def slopes(time: tf.Tensor, h: tf.Tensor) -> ValueAndLogDet:
            velocity, divergence = self.network.with_divergence(h, time, context)
            return velocity, divergence(signs)

        def step(k: tf.Tensor, h: tf.Tensor, log_det: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            time = start + length * tf.cast(k, h.dtype)
            v1, d1 = slopes(time, h)
            v2, d2 = slopes(time + length / 2, h + length / 2 * v1)
            v3, d3 = slopes(time + length / 2, h + length / 2 * v2)
            v4, d4 = slopes(time + length, h + length * v3)
            h += length / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
            return k + 1, h, log_det + length / 6 * (d1 + 2 * d2 + 2 * d3 + d4)

        nothing = tf.zeros_like(x[:, 0])
        # XLA differentiates only a loop with a limit.
        _, end, log_det = tf.while_loop(lambda k, *_: k < steps, step, (0, x, nothing), maximum_iterations=steps)
        return end, log_det
