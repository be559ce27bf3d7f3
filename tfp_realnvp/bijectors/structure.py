"""The common base of couplings and autoregressive layers: a transformer with a conditioner for its parameters."""

import types
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.masks import Mask
from tfp_realnvp.bijectors.precision import call_conditioner, reads_context
from tfp_realnvp.transformers import Transformer
from tfp_realnvp.transformers.transformer import build_once, check_transformer, checked


class Structure(Bijector):
    """Transforms entries with parameters computed from the entries that the mask exposes; see `Coupling`.

    Layers that are given the same transformer share its variables, as those of a shared conditioner.
    """

    networks = 1

    def __init__(
        self,
        transformer: Transformer,
        conditioner: Callable[..., tf.Tensor],
        mask: Mask,
        *,
        dtype: str,
        name: str,
        **kwargs: Any,
    ):
        check_transformer(transformer)
        super().__init__(event_ndims=mask.event_ndims, name=name, **kwargs)
        build_once(transformer, tf.as_dtype(dtype).name, name)
        self.mask, self.conditioner, self.transformer = mask, conditioner, transformer

    @property
    def takes_context(self) -> bool:
        return reads_context(self.conditioner)

    def describe(self) -> str:
        network = self.conditioner
        kind = "callable" if isinstance(network, types.FunctionType) else type(network).__name__
        kind = network.describe() if hasattr(network, "describe") else kind
        return f"{type(self).__name__} {self.mask}: {self.transformer}, {kind}"

    def _raw(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> tf.Tensor:
        """The conditioner's output for the transformer, `[batch, ..., outputs, entries]`."""
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
        changed = self.mask.changed(x)
        changed, log_slope = checked(changed, self.transformer.forward(changed, raw), self.transformer)
        return self.mask.combine(x, changed), self.mask.sum(log_slope)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._transform(x, self._raw(x, context, training))
