"""A Keras model of densities, which have no targets."""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors import dequantize
from tfp_realnvp.columns import Columns
from tfp_realnvp.flows import Dequantizer, FlowDistribution
from tfp_realnvp.flows.distribution import flow_distribution
from tfp_realnvp.training.adam import Adam
from tfp_realnvp.training.batches import separated, unpacked, weighted, without_none
from tfp_realnvp.training.constant_channels import warn_of_constant_channels
from tfp_realnvp.training.pixel_range import warn_of_scaled_pixels


def compiles_by_default() -> bool:
    """Whether to compile with XLA by default: yes on one accelerator; on a CPU a plain graph is faster.

    No if the strategy in scope has several replicas: this fails on CPUs and is untested elsewhere. TPU strategies
    always compile.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return False
    return any(device.device_type in ("GPU", "TPU") for device in tf.config.list_logical_devices())


class DensityModel(keras.Model):
    """A Keras model of the density of events; `y` is the context.

        loss = -mean over the batch of w log p(x)

    `compile` takes no loss; `fit` accepts sample weights without targets.

    Args:
      distribution: a flow.
      levels: number of levels of a pixel.
      classes: number of classes if the context of an event is its class label; None otherwise.
      dequantizer: a flow over the noise of integer images; None for uniform noise.
      columns: of a table, whose rows are the events; None for vectors that the flow takes as they are.
      seed: seed of the dequantisation.
      name: the model's name.
    """

    def __init__(
        self,
        distribution: FlowDistribution,
        *,
        levels: int,
        classes: int | None,
        dequantizer: Dequantizer | None,
        columns: Columns | None,
        seed: int,
        name: str,
    ):
        distribution = flow_distribution(distribution)
        # The distribution's dtype, whatever the global policy: a mixed policy is meant for networks and would round
        # events.
        super().__init__(name=name, dtype=distribution.dtype.name, autocast=False)
        if dequantizer is not None:
            dequantizer.check_flow(distribution, levels)
        if columns is not None:
            columns.check_flow(distribution, classes)
        self.distribution = distribution
        self.dequantizer = dequantizer
        self.columns = columns
        self.levels = levels
        self.classes = classes
        self.seed = seed
        self.loss_metric = keras.metrics.Mean(name="loss")

    @property
    def dimensions(self) -> int:
        """The number of entries of an event, D in bits/dim."""
        return math.prod(self.distribution.event_shape)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self.loss_metric]

    def call(
        self,
        events: tf.Tensor,
        context: tf.Tensor | None = None,
        training: bool | None = None,
        seed: tf.Tensor | Sequence[int] = (0, 0),
        part: int | tf.Tensor = 0,
        parts: int = 1,
    ) -> tf.Tensor:
        """The log-density of each event in nats; for integers, after dequantisation, a bound of their log-probability.

        Args:
          events: `[batch, *event_shape]`, integers or real numbers; rows `[batch, size]` where there are `columns`.
          context: conditioning input of a conditional flow, labels or vectors.
          training: as in Keras.
          seed: seed of the dequantisation.
          part: index of the events among the equal parts of a batch, see `dequantize`.
          parts: number of parts.
        """
        if self.columns is not None:
            if context is not None:
                raise ValueError(f"expected no context beside columns, got one of shape {context.shape}")
            events = self.columns.check_rows(events)
            noise = self.columns.noise(events, seed=seed, part=_of_all_replicas((part, parts)))
            return self.columns.log_prob(self.distribution, events, noise, training=bool(training))
        given = {} if context is None else {"context": self.context_of(context)}
        x, log_q = self.dequantized(events, seed, (part, parts))
        log_prob = self.distribution.log_prob(x, **given)
        return log_prob if log_q is None else log_prob - log_q

    def context_of(self, given: tf.Tensor) -> tf.Tensor:
        """The flow's context: labels as one-hot vectors, NaN for a label of no class; vectors unchanged."""
        dtype = self.distribution.dtype
        if self.classes is None:
            return tf.cast(given, dtype)
        if not given.dtype.is_integer or given.shape.rank not in (None, 1):
            raise ValueError(
                f"expected labels of {self.classes} classes, integers of shape [batch], got {given.dtype.name} of "
                f"shape {given.shape}"
            )
        is_class = (given >= 0) & (given < self.classes)
        # Zeros would train and evaluate without a word; an assertion would be lost under XLA.
        one_hot = tf.one_hot(given, self.classes, dtype=dtype)
        return tf.where(is_class[:, tf.newaxis], one_hot, tf.constant(math.nan, dtype))

    def dequantized(
        self, events: tf.Tensor, seed: tf.Tensor | Sequence[int], part: tuple[int | tf.Tensor, int] = (0, 1)
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Events as real numbers, and the log-density of their noise if it is not 0.

        The noise of integers depends on their position in the global batch over all replicas.
        """
        is_image = self.distribution.event_shape.rank == 3
        if not events.dtype.is_floating and not is_image:
            raise TypeError(f"expected vectors of floats, got {events.dtype.name}: only images are dequantised")
        if not events.dtype.is_integer:
            self._check_floats(events.dtype)
            return tf.cast(events, self.distribution.dtype), None
        part = _of_all_replicas(part)
        if self.dequantizer is not None:
            return self.dequantizer.dequantize(events, self.dequantizer.latent_noise(events, seed=seed, part=part))
        return dequantize(events, seed=seed, levels=self.levels, dtype=self.distribution.dtype, part=part), None

    def _check_floats(self, dtype: tf.DType) -> None:
        """Refuses events that would be taken as they are though they have, or should have, noise of their own."""
        if not dtype.is_floating:
            raise TypeError(f"expected images of integers or dequantized floats, got {dtype.name}")
        if self.dequantizer is not None:
            raise TypeError(f"expected integer images for a dequantizer, got {dtype.name}, which get no noise")

    def test_step(self, events: tf.Tensor) -> dict[str, tf.Tensor]:
        """Evaluates a batch; returns the running means."""
        log_prob = self.log_prob_of(events, training=False, seed=self.noise_seed(-1))
        self.loss_metric.update_state(-log_prob)
        return DensityModel.get_metrics_result(self)  # Without a subclass's training metrics.

    def predict_step(self, events: tf.Tensor) -> tf.Tensor:
        events, context, _ = unpacked(events)
        return self(events, context, training=False, seed=self.noise_seed(-1))

    def log_prob_of(
        self, batch: Any, *, training: bool, seed: tf.Tensor, part: tuple[int | tf.Tensor, int] = (0, 1)
    ) -> tf.Tensor:
        """The log-density of each event of a batch, times its sample weight if it has one."""
        events, context, weight = unpacked(batch)
        log_prob = self(events, context, training=training, seed=seed, part=part[0], parts=part[1])
        of_columns = None if self.columns is None else self.columns.weights_of(events)
        return weighted(weighted(log_prob, of_columns), weight)

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        loss = self.loss_metric.result()
        # Keras returns 0 if nothing was counted.
        loss = tf.where(self.loss_metric.count > 0, loss, tf.constant(math.nan, loss.dtype))
        logs = {"loss": loss}
        if self.distribution.event_shape.rank == 3:
            logs["bits_per_dim"] = loss / (self.dimensions * math.log(2))
        return logs

    def noise_seed(self, step: Any) -> tf.Tensor:
        """The seed of the dequantisation at a step."""
        return tf.stack([tf.constant(self.seed, tf.int32), tf.cast(step, tf.int32)])

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str | None = None,
        *,
        jit_compile: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.compile`, with defaults for flows.

        Args:
          optimizer: an optimizer without loss scaling; by default Adam with a learning rate of 1e-3.
          jit_compile: whether to compile the step with XLA; see `compiles_by_default`.
          **kwargs: passed to `keras.Model.compile`; no loss or metrics.

        Raises:
          ValueError: for a loss or metrics, which compare predictions with targets, or for an optimizer that expects
            gradients of a scaled loss.
        """
        given = [name for name in ("loss", "loss_weights", "metrics", "weighted_metrics") if kwargs.get(name)]
        if given:
            raise ValueError(
                f"expected no {' and no '.join(given)}: the loss is the mean of -log p(x), and there are no targets; a "
                "callback can add other figures to the logs"
            )
        super().compile(
            optimizer=Adam(1e-3) if optimizer is None else optimizer,
            jit_compile=compiles_by_default() if jit_compile is None else jit_compile,
            **kwargs,
        )
        scales = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        if scales or self.optimizer.loss_scale_factor is not None:
            raise ValueError(
                "expected an optimizer without a loss scale, which would divide gradients by it: with networks "
                "in float16, the model scales its loss itself"
            )

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As `keras.Model.fit`; warns about float images outside the flow's pixel levels, and constant columns.

        Args:
          x: events, a pair `(events, context)`, or a data set of batches.
          y: the context of a conditional flow.
          *args: as in Keras.
          **kwargs: as in Keras. `sample_weight` is one weight per event, beside that of a weight column;
            `class_weight` needs `classes`.

        Raises:
          ValueError: for a `class_weight` without `classes`, or weights below 0.
        """
        warn_of_scaled_pixels(x, self.distribution)
        given = _by_name(super().fit, x, y, *args, **kwargs)
        x, y = (given.pop(name) for name in ("x", "y"))
        if (of_classes := given.get("class_weight")) is not None:
            if self.classes is None:
                raise ValueError("expected no class_weight without classes; sample_weight gives each event a weight")
            _check_weights(list(of_classes.values()))
        match given.get("validation_data"):
            case (events, context, weight):
                _check_weights(weight)
                if context is None and weight is not None:
                    given["validation_data"] = (*separated(events, None, weight), weight)
            case tf.data.Dataset() as batches:
                given["validation_data"] = without_none(batches)
        weight = given.get("sample_weight")
        _check_weights(weight)
        history = super().fit(*separated(x, y, weight), **given)
        warn_of_constant_channels(self.distribution)
        return history

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`, with the same warning; `x`, `y` and `sample_weight` as in `fit`."""
        warn_of_scaled_pixels(x, self.distribution)
        given = _by_name(super().evaluate, x, y, *args, **kwargs)
        x, y, weight = given.pop("x"), given.pop("y"), given.get("sample_weight")
        _check_weights(weight)
        return super().evaluate(*separated(x, y, weight), **given)

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not supported: a `.keras` file needs a configuration of each part, and a flow may contain any function."""
        raise NotImplementedError(
            "expected save_weights(path) of a FlowModel, which load_weights reads into an equal flow (in Keras' "
            "ModelCheckpoint: save_weights_only=True), or nvp.save(model.distribution, path) for serving"
        )

    def export(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not supported: `tfp_realnvp.save` and `tfp_realnvp.publish` export densities and samples."""
        raise NotImplementedError(
            "expected nvp.save(model.distribution, path) or nvp.publish(model.distribution, folder), which write a "
            "SavedModel with signatures for densities and samples"
        )


def _by_name(method: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments of a call by their names."""
    given = dict(inspect.signature(method).bind(*args, **kwargs).arguments)
    return given | given.pop("kwargs", {})


def _check_weights(weight: Any) -> None:
    """Refuses weights below 0, with which training would go up the gradient."""
    if weight is not None and (least := np.min(np.asarray(weight), initial=0)) < 0:
        raise ValueError(f"expected weights of 0 or more, got {least:g}")


def _of_all_replicas(part: tuple[int | tf.Tensor, int]) -> tuple[int | tf.Tensor, int]:
    """A part of this replica's batch as one of the batch that all share."""
    (index, count), replica = part, tf.distribute.get_replica_context()
    if replica is not None and replica.num_replicas_in_sync > 1:
        index = index * replica.num_replicas_in_sync + replica.replica_id_in_sync_group
        count *= replica.num_replicas_in_sync
    return index, count
