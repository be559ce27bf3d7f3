"""A Keras model around a distribution: the training step, and `compile` / `fit`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.bijectors import AffineCoupling, Checkerboard, dequantize
from tfp_realnvp.bijectors.bijector import learned_layers
from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.training.adam import Adam


def compiles_by_default() -> bool:
    """Whether XLA pays here: on an accelerator it does, on a CPU a plain graph is faster."""
    return any(device.device_type in ("GPU", "TPU") for device in tf.config.list_logical_devices())


def gradients_or_zeros(
    tape: tf.GradientTape, loss: tf.Tensor, variables: Sequence[keras.Variable]
) -> list[tf.Tensor]:
    """The gradient of each variable; zeros, not None, of one that the loss does not depend on."""
    gradients = tape.gradient(loss, variables)
    return [tf.zeros_like(v.value) if g is None else g for g, v in zip(gradients, variables)]


class FlowModel(keras.Model):
    """Maximum likelihood of a flow, as a Keras model.

        loss = -mean over the batch of log p(x),      in nats for each event
        objective = loss + l2 * (squares of weight-norm magnitudes and of checkerboard couplings' gains)
        x = image + u,  u uniform on [0, 1),          where the data are integers

    Integer images are dequantised inside the step, with noise that is a function of the seed and of
    `optimizer.iterations`: a resumed run draws what the interrupted one would have drawn. Data that are floats
    already are taken as they are.

    Works with `compile` and `fit`, which need no `loss=`, and is the step of `tfp_realnvp.training.train`. Reported
    are `loss` and, for images, `bits_per_dim = loss / (D log 2)`.

    Where the loss or the gradient is not finite, `last_step_finite` is False and our `Adam` skips the step; any other
    optimizer gets zeros for a gradient.

    Args:
      distribution: what a flow factory returned.
      levels: number of levels of a pixel, see `dequantize`.
      l2: weight of the L2 term, 5e-5 in the authors' program.
      clip_norm: largest global norm of the gradient, or None.
      seed: of the dequantisation.
      name: the model's name.

    #### Examples

    ```python
    model = nvp.FlowModel(nvp.real_nvp(event_shape=(8, 8, 1), levels=17))
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(images, batch_size=64)  # uint8 [n, 8, 8, 1]
    ```
    """

    def __init__(
        self,
        distribution: FlowDistribution,
        *,
        levels: int = 256,
        l2: float = 5e-5,
        clip_norm: float | None = 100.0,
        seed: int = 0,
        name: str = "flow_model",
    ):
        # Of the distribution's dtype whatever the global policy: a mixed one, meant for networks, would round events.
        super().__init__(name=name, dtype=distribution.dtype.name, autocast=False)
        self.distribution = distribution
        self.levels = levels
        self.l2 = l2
        self.clip_norm = clip_norm
        self.seed = seed
        # Keras sees the variables of layers that are its attributes, not those of a distribution.
        self.learned_layers = learned_layers(distribution.flow)
        self.loss_metric = keras.metrics.Mean(name="loss")
        self.last_step_finite = keras.Variable(True, dtype="bool", trainable=False, name="last_step_finite")
        self.built = True

    @property
    def dimensions(self) -> int:
        """Entries of an event, the D of bits/dim."""
        return math.prod(self.distribution.event_shape)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self.loss_metric]

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str | None = None,
        *,
        jit_compile: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.compile`, with defaults for flows.

        Args:
          optimizer: Adam with a learning rate of 1e-3 by default.
          jit_compile: whether to compile the step with XLA; see `compiles_by_default`.
          **kwargs: of `keras.Model.compile`.
        """
        super().compile(
            optimizer=Adam(1e-3) if optimizer is None else optimizer,
            jit_compile=compiles_by_default() if jit_compile is None else jit_compile,
            **kwargs,
        )

    def call(self, events: tf.Tensor, training: bool | None = None, seed: tf.Tensor = (0, 0)) -> tf.Tensor:
        """The log-density of each event in nats, of integers after dequantisation with `seed`."""
        if events.dtype.is_integer:
            events = dequantize(events, seed=seed, levels=self.levels, dtype=self.distribution.dtype)
        return self.distribution.log_prob(tf.cast(events, self.distribution.dtype))

    def train_step(self, events: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step of gradient descent on a batch; returns the running means of this epoch."""
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            log_prob = self(events, training=True, seed=self.noise_seed(self.optimizer.iterations))
            loss = -tf.reduce_mean(log_prob)
            objective = tf.add_n([loss, self._l2_term(), *self.losses])
        gradients = gradients_or_zeros(tape, objective, variables)
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(objective) & tf.math.is_finite(norm)
        scale = tf.ones_like(norm) if self.clip_norm is None else self.clip_norm / tf.maximum(norm, self.clip_norm)
        scale = tf.where(finite, scale, tf.zeros_like(scale))
        # Zero times NaN is zero here.
        gradients = [tf.math.multiply_no_nan(gradient, scale) for gradient in gradients]
        if isinstance(self.optimizer, Adam):
            self.optimizer.apply(gradients, variables, skip=~finite)
        else:
            self.optimizer.apply(gradients, variables)
        self.last_step_finite.assign(finite)
        self.loss_metric.update_state(loss, sample_weight=tf.cast(tf.shape(log_prob)[0], loss.dtype))
        return self.get_metrics_result()

    def test_step(self, events: tf.Tensor) -> dict[str, tf.Tensor]:
        """Evaluates a batch; returns the running means."""
        log_prob = self(events, training=False, seed=self.noise_seed(-1))
        self.loss_metric.update_state(-log_prob)
        return self.get_metrics_result()

    def predict_step(self, events: tf.Tensor) -> tf.Tensor:
        return self(events, training=False, seed=self.noise_seed(-1))

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        loss = self.loss_metric.result()
        if self.distribution.event_shape.rank != 3:
            return {"loss": loss}
        return {"loss": loss, "bits_per_dim": loss / (self.dimensions * math.log(2))}

    def _l2_term(self) -> tf.Tensor:
        couplings = [m for m in self.distribution.submodules if isinstance(m, AffineCoupling)]
        gains = [c.gain.value[tf.newaxis] for c in couplings if isinstance(c.mask, Checkerboard)]
        magnitudes = [v.value for v in self.trainable_variables if v.name == "magnitude"]
        if not self.l2 or not gains + magnitudes:
            return tf.zeros([], self.distribution.dtype)
        # `l2_loss` is half of the sum of squares. One of the whole is a few hundred operations less.
        return 2 * self.l2 * tf.nn.l2_loss(tf.concat(gains + magnitudes, 0))

    def noise_seed(self, step: Any) -> tf.Tensor:
        """The seed of the dequantisation at a step."""
        return tf.stack([tf.constant(self.seed, tf.int32), tf.cast(step, tf.int32)])
