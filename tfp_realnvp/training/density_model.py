"""What Keras calls of a model of densities, which has no targets."""

from __future__ import annotations

from typing import Any, NoReturn

import keras
import tensorflow as tf

from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.training.adam import Adam
from tfp_realnvp.training.batches import separated, without_none
from tfp_realnvp.training.constant_channels import warn_of_constant_channels
from tfp_realnvp.training.pixel_range import warn_of_scaled_pixels


def compiles_by_default() -> bool:
    """Whether XLA pays here: on one accelerator it does, on a CPU a plain graph is faster.

    Not where a strategy in scope has several replicas: it was not tried there, but for CPUs, where it fails. A TPU's
    strategy compiles anyway.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return False
    return any(device.device_type in ("GPU", "TPU") for device in tf.config.list_logical_devices())


class DensityModel(keras.Model):
    """A Keras model whose `y` is a context: `compile` takes no loss, `fit` weights without targets.

    Attributes:
      distribution: whose density it is.
      labels: number of classes, where the context is a class; None otherwise.
    """

    distribution: FlowDistribution
    labels: int | None

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str | None = None,
        *,
        jit_compile: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.compile`, with defaults for flows.

        Args:
          optimizer: Adam with a learning rate of 1e-3 by default; one that scales no loss.
          jit_compile: whether to compile the step with XLA; see `compiles_by_default`.
          **kwargs: of `keras.Model.compile`, without a loss or metrics.

        Raises:
          ValueError: for a loss or metrics, which compare predictions with targets; for an optimizer that takes the
            gradients for those of a scaled loss.
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
                "expected an optimizer without a loss scale, by which it would divide gradients: where networks compute"
                " in float16, the model scales its loss itself"
            )

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As `keras.Model.fit`; warns of float images that are no pixels of the flow's levels, and of constant columns.

        Args:
          x: events, a pair `(events, context)`, or a data set of batches.
          y: the context of a conditional flow.
          *args: as in Keras.
          **kwargs: as in Keras. `sample_weight` is one weight for each event; `class_weight` needs `labels`.

        Raises:
          ValueError: for a `class_weight` without `labels`.
        """
        warn_of_scaled_pixels(x, self.distribution)
        if kwargs.get("class_weight") is not None and self.labels is None:
            raise ValueError("expected no class_weight without labels; sample_weight gives each event a weight")
        match kwargs.get("validation_data"):
            case (events, None, weight) if weight is not None:
                kwargs["validation_data"] = (*separated(events, None, weight), weight)
            case tf.data.Dataset() as batches:
                kwargs["validation_data"] = without_none(batches)
        history = super().fit(*separated(x, y, kwargs.get("sample_weight")), *args, **kwargs)
        warn_of_constant_channels(self.distribution)
        return history

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`, with the same warning; `x`, `y` and `sample_weight` as in `fit`."""
        warn_of_scaled_pixels(x, self.distribution)
        return super().evaluate(*separated(x, y, kwargs.get("sample_weight")), *args, **kwargs)

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: a `.keras` file holds a recipe of each part, and a flow may hold any function."""
        raise NotImplementedError(
            "expected save_weights(path) of a FlowModel, which load_weights reads into an equal flow (in Keras' "
            "ModelCheckpoint: save_weights_only=True), or nvp.save(model.distribution, path) for serving"
        )

    def export(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: `tfp_realnvp.save` and `tfp_realnvp.publish` write densities and samples."""
        raise NotImplementedError(
            "expected nvp.save(model.distribution, path) or nvp.publish(model.distribution, folder), which write a "
            "SavedModel with signatures for densities and samples"
        )
