"""What couplings and autoregressive layers share: a transformer whose parameters a conditioner computes."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.masks import Mask
from tfp_realnvp.bijectors.precision import call_conditioner
from tfp_realnvp.bijectors.variables import keras_parts
from tfp_realnvp.transformers import Transformer


class Structure(Bijector):
    """Transforms entries one by one, with parameters computed from those that a mask lets the conditioner read.

    Args:
      transformer: the map of each changed entry. It belongs to this layer alone, for it may learn something itself.
      conditioner: a built Keras layer or any callable, from `mask.kept(x)` to `[batch, ..., transformer.outputs *
        changed entries]`: the transformer's first number for all entries, then its second, and so on. A layer is
        called with `training=`, and with `context=` when the flow is given a context. Wrap a callable's
        `tf.Variable`s in a `tf.Module` and they are seen, too.
      mask: which entries the conditioner reads, and which are changed.
      dtype: of the transformer's variables, and of the flow.
      parameters: of the subclass's constructor.
      name: the bijector's name.

    Raises:
      TypeError: when the transformer is none, such as a class.
      ValueError: when the conditioner's output does not fit the changed entries.
    """

    def __init__(
        self,
        transformer: Transformer,
        conditioner: Callable[..., tf.Tensor],
        mask: Mask,
        *,
        dtype: str,
        parameters: dict[str, Any],
        name: str,
    ):
        if not isinstance(transformer, Transformer):
            raise TypeError(f"expected a transformer, such as tfp_realnvp.transformers.Affine(), got {transformer!r}")
        transformer.build(tf.as_dtype(dtype).name, name)
        self.transformer = transformer
        self.mask = mask
        parts = keras_parts(conditioner)
        self.conditioner = self._no_dependency(conditioner) if parts else conditioner
        super().__init__(
            event_ndims=mask.event_ndims,
            parameters=parameters,
            layers=(*parts, *transformer.variables),
            name=name,
        )

    def describe(self):
        network = self.conditioner
        kind = "callable" if isinstance(network, types.FunctionType) else type(network).__name__
        kind = network.describe() if hasattr(network, "describe") else kind
        return f"{type(self).__name__} {self.mask}: {self.transformer}, {kind}"

    def _raw(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> tf.Tensor:
        """What the transformer takes, `[batch, ..., outputs, entries]`."""
        output = tf.cast(call_conditioner(self.conditioner, self.mask.kept(x), context, training), x.dtype)
        outputs, entries = self.transformer.outputs, self.mask.changed_size(x.shape[-1])
        if output.shape[-1] != outputs * entries:
            raise ValueError(
                f"{self.name}: expected the conditioner to return {outputs * entries} channels, {outputs} for each of "
                f"{entries} entries ({self.transformer}), got shape {output.shape}"
            )
        between = output.shape[1:-1]
        if between.is_fully_defined():
            return tf.reshape(output, [-1, *between, outputs, entries])
        return tf.reshape(output, tf.concat([tf.shape(output)[:-1], [outputs, entries]], 0))

    def _transform(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        changed, log_slope = self.transformer.forward(self.mask.changed(x), raw)
        return self.mask.combine(x, changed), self.mask.sum(log_slope)

    def _solve(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        changed, log_slope = self.transformer.inverse(self.mask.changed(z), raw)
        return self.mask.combine(z, changed), self.mask.sum(log_slope)

    def _forward_and_log_det(self, x, context, training):
        return self._transform(x, self._raw(x, context, training))
