"""An exported flow as a bijector."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors import Bijector
from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.conditioners.network import checked_context


class SavedFlow(Bijector):
    """An exported flow as one bijector from data to latent.

        forward:  z = f(x),  inverse: x = f^{-1}(z),  log|det df/dx|: as when it was exported, in inference mode

    Args:
      module: the result of `tf.saved_model.load` of an export.
      event_ndims: number of axes of an event.
      context_size: size of the context of a conditional flow, or None.
      rounds_samples: whether the flow has a `DequantizedLogit`.
      split_orders: the flow's `tfp_realnvp.flows.split_orders`, or None if unknown.
      name: the bijector's name.

    Raises:
      ValueError: for a context where none or another is expected.
    """

    def __init__(
        self,
        module: Any,
        event_ndims: int,
        *,
        context_size: int | None = None,
        rounds_samples: bool = False,
        split_orders: Sequence[str] | None = None,
        name: str = "saved_flow",
    ):
        super().__init__(event_ndims=event_ndims, name=name)
        self._module = module
        self.context_size = context_size
        self.rounds_samples = rounds_samples
        self.split_orders = split_orders if split_orders is None else tuple(split_orders)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        context = checked_context(context, self.context_size)
        return self._module.forward(x) if context is None else self._module.forward(x, context)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        context = checked_context(context, self.context_size)
        return self._module.inverse(z) if context is None else self._module.inverse(z, context)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("expected a flow with its networks to copy, got an export: load it again with nvp.load")
