"""An exported flow as a bijector, and the flow over its noise."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors import Bijector
from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.conditioners.network import checked_context
from tfp_realnvp.flows import Dequantizer


class SavedFlow(Bijector):
    """An exported flow as one bijector from data to latent.

        forward:  z = f(x),  inverse: x = f^{-1}(z),  log|det df/dx|: as when it was exported, in inference mode

    Args:
      module: the result of `tf.saved_model.load` of an export, whose functions live as long as it does.
      event_ndims: number of axes of an event.
      context_size: size of the context's last axis for a conditional flow, or None.
      rounds_samples: whether the flow has a `DequantizedLogit`.
      passes: the names of its functions forward and inverse.
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
        passes: tuple[str, str] = ("forward", "inverse"),
        split_orders: Sequence[str] | None = None,
        name: str = "saved_flow",
    ):
        super().__init__(event_ndims=event_ndims, name=name)
        self._module = module
        self._passes = passes
        self.context_size = context_size
        self.rounds_samples = rounds_samples
        self.split_orders = split_orders if split_orders is None else tuple(split_orders)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._pass(self._passes[0], x, context)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._pass(self._passes[1], z, context)

    def _pass(self, name: str, x: tf.Tensor, context: tf.Tensor | None) -> ValueAndLogDet:
        context = checked_context(context, self.context_size)
        function = getattr(self._module, name)
        return function(x) if context is None else function(x, context)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("expected a flow with its networks to copy, got an export: load it again with nvp.load")


def saved_dequantizer(module: Any, event_shape: Sequence[int], levels: int, dtype: Any) -> Dequantizer:
    """The dequantizer of an export, whose functions squeeze images themselves."""
    passes = "noise_forward", "noise_inverse"
    flow = SavedFlow(module, len(event_shape), context_size=event_shape[-1], passes=passes, name="saved_dequantizer")
    return Dequantizer(flow, event_shape, levels=levels, dtype=dtype)
