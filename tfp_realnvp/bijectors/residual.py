"""The residual flow's block."""

import math
import typing
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.elimination import log_det_and_inverse, log_det_of_one_plus
from tfp_realnvp.bijectors.linearized import jacobian_of, random_signs

LogDet = Literal["exact", "series", "roulette"]


class Residual(Bijector):
    """Adds a contractive network to a vector (an i-ResNet block).

        forward:  z = x + g(x),    |g(x) - g(y)| <= c |x - y|,  c < 1
        inverse:  the limit of x_0 = z, x_{k+1} = z - g(x_k)
        log|det df/dx| = log det(I + J) = sum_{k >= 1} (-1)^{k+1} tr(J^k) / k,   J = dg/dx

    Outside of training the log-det is exact: the determinant of the Jacobian, which takes one product with J per entry.
    In training mode the forward pass computes it by one of three methods:

    * "exact": the same.
    * "series": the first n terms of the series, with `tr(J^k)` estimated by `v^T J^k v`, where the entries of v are -1
      or 1 at random. The expectation is off by at most `truncation_bound`.
    * "roulette": the first n terms, and of the others a random number N of each event, term n + k divided by
      `P(N >= k) = c^k`. Unbiased, with a finite variance.

    Both estimates cost one product with J per term, independently of the vector's size. Their gradient is the series'
    own, `v^T (sum_k (-1)^k w_k J^k) dJ v` up to transposition, which is unbiased in "roulette", too; it has no gradient
    in turn. The inverse and its gradient are exact in any mode. Iteration stops at machine precision.

    Args:
      network: a built `LipschitzMLP(outputs=size)`, or a Keras layer with its `coefficient` c, its `context` argument
        and its `linearized(x, context)`, which returns `g(x)` and a function from tangents `[count, batch, size]` to
        their products with J.
      size: number of entries of the vector.
      log_det: "exact", "series" or "roulette".
      terms: n, the number of terms that are always computed.
      seed: seed of the random signs and numbers, which also depend on the number of training passes.

    Raises:
      ValueError: for an unknown method, fewer than 1 term, or a network without a coefficient between 0 and 1.
      tf.errors.InvalidArgumentError: if the inverse does not converge, because g is no contraction.

    ```python
    network = nvp.conditioners.LipschitzMLP(outputs=3, hidden_units=(16,))
    network.build([None, 3])
    block = nvp.bijectors.Residual(network, size=3)
    z, log_det = block.forward_and_log_det(tf.random.normal([4, 3]))
    ```

    Behrmann, Grathwohl, Chen, Duvenaud, Jacobsen. Invertible residual networks. ICML 2019. arXiv 1811.00995. Chen,
    Behrmann, Duvenaud, Jacobsen. Residual flows for invertible generative modeling. NeurIPS 2019. arXiv 1906.02735.
    """

    networks = 1

    def __init__(
        self,
        network: keras.layers.Layer,
        size: int,
        *,
        log_det: LogDet = "exact",
        terms: int = 4,
        seed: int = 0,
        name: str = "residual",
    ):
        if log_det not in typing.get_args(LogDet):
            raise ValueError(f"expected log_det to be one of {', '.join(typing.get_args(LogDet))}, got {log_det!r}")
        if terms < 1:
            raise ValueError(f"expected at least 1 term, got {terms}")
        coefficient = getattr(network, "coefficient", None)
        if coefficient is None or not 0 < coefficient < 1:
            raise ValueError(
                f"expected a network with a coefficient between 0 and 1, such as LipschitzMLP, got {coefficient} from "
                f"{type(network).__name__}"
            )
        super().__init__(event_ndims=1, size=size, name=name)
        self.log_det, self.terms, self.seed = log_det, terms, seed
        self.network = network
        if log_det != "exact":
            # Each replica would count the same passes.
            counter = dict(trainable=False, aggregation="only_first_replica")
            self.passes = self._variable(0, f"{name}_passes", "int64", **counter)

    def describe(self) -> str:
        method = {"series": f"{self.terms} terms of the series", "roulette": "Russian roulette"}.get(self.log_det)
        return f"{self.name}: log-det exact" + ("" if method is None else f", in training by {method}")

    @property
    def truncation_bound(self) -> float:
        """An upper bound in nats on the bias of the log-det in training: `D c^{n+1} / ((n + 1)(1 - c))` for "series".

        It is 0 for "exact" and "roulette". Each eigenvalue of J, at most c in absolute value, adds a geometric series.
        """
        if self.log_det != "series":
            return 0.0
        c, after = self.network.coefficient, self.terms + 1
        return self._size * c**after / (after * (1 - c))

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        g, product = self.network.linearized(x, context)
        if training and self.log_det != "exact":
            return x + g, self._estimated(product, x)
        return x + g, log_det_of_one_plus(jacobian_of(product, x))

    def _estimated(self, product: typing.Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
        """The log-det by "series" or "roulette"; only the last product is part of the gradient."""
        seed = tf.stack([tf.constant(self.seed, tf.int64), self.passes.value])
        self.passes.assign_add(1)
        seeds = tf.random.experimental.stateless_split(seed, 2)
        signs = random_signs(x, seeds[0])
        most = tf.fill(tf.shape(x)[:1], self.terms)
        c = self.network.coefficient
        if self.log_det == "roulette":
            uniform = 1 - tf.random.stateless_uniform(tf.shape(x)[:1], seeds[1], dtype=x.dtype)  # Above 0.
            most += tf.cast(tf.floor(tf.math.log(uniform) / math.log(c)), tf.int32)  # P(N >= k) = c^k.

        def add_term(
            k: tf.Tensor, power: tf.Tensor, total: tf.Tensor, for_gradient: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
            """Adds term k, of `J^k v`, to the log-det, and of `J^{k-1} v` to the gradient's vector."""
            weight = tf.cast(most >= k, x.dtype)
            if self.log_det == "roulette":
                weight *= c ** tf.cast(-tf.maximum(k - self.terms, 0), x.dtype)
            signed = tf.where(k % 2 == 1, weight, -weight)
            for_gradient += signed[:, tf.newaxis] * power
            power = tf.stop_gradient(product(power[tf.newaxis])[0])
            trace = tf.reduce_sum(signs * power, -1)
            return k + 1, power, total + signed * trace / tf.cast(k, x.dtype), for_gradient

        _, _, total, for_gradient = tf.while_loop(
            lambda k, *unused: k <= tf.reduce_max(most),
            add_term,
            (1, signs, tf.zeros_like(x[:, 0]), tf.zeros_like(x)),
        )
        differentiable = tf.reduce_sum(signs * product(tf.stop_gradient(for_gradient)[tf.newaxis])[0], -1)
        return tf.stop_gradient(total) + differentiable - tf.stop_gradient(differentiable)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        x = tf.stop_gradient(self._fixed_point(tf.stop_gradient(z), context))
        g, product = self.network.linearized(x, context)
        _, inverse = log_det_and_inverse(jacobian_of(product, x))
        # A Newton step has the gradient of the limit; its value is rounding.
        change = x + g - z
        x -= tf.linalg.matvec(inverse, change - tf.stop_gradient(change))
        _, product = self.network.linearized(x, context)
        return x, -log_det_of_one_plus(jacobian_of(product, x))

    def _fixed_point(self, z: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
        precision = float(np.finfo(z.dtype.as_numpy_dtype).eps)
        c = self.network.coefficient
        # After k iterations the error is at most c^k / (1 - c) times the first change.
        limit = math.ceil(math.log(precision * (1 - c)) / math.log(c))
        scale = 1 + tf.abs(z)

        def closer(x: tf.Tensor, change: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            new = z - self.network.linearized(x, context)[0]
            return new, tf.reduce_max(tf.abs(new - x) / scale)

        x, change = tf.while_loop(
            lambda x, change: ~(change <= 4 * precision),  # True for NaN, too.
            closer,
            (z, tf.constant(np.inf, z.dtype)),
            maximum_iterations=limit,
        )
        # Rounding may keep the last digits moving.
        message = f"{self.name}: expected the inverse to converge in {limit} iterations, got a relative change of"
        with tf.control_dependencies([tf.debugging.Assert(change <= 1e3 * precision, [message, change])]):
            return tf.identity(x)
