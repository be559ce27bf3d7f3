"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors.bijector import Bijector

# `tfb.Invert(b)` gives an instance of this base class whenever `b` is no CompositeTensor, as ours are not.
_Invert = tfp.bijectors.Invert.__bases__[0]


class Chain(Bijector):
    """Applies bijectors from first to last, from data to latent.

        forward:  z = f_n(... f_2(f_1(x)))
        inverse:  x = f_1^{-1}(... f_n^{-1}(z))
        log|det df/dx| = sum of the log-dets of the layers

    The list reads from top to bottom as the data flows; `tfb.Chain` reads the other way. Every layer is handed the
    context and is evaluated once. A layer may be any `tfb.Bijector`: one of TFP's takes no context.

    Args:
      bijectors: the layers, in the order data meets them; at least one.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: when there is no layer.

    #### Examples

    ```python
    flow = nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(), nvp.bijectors.Squeeze("diagonal")])
    z, log_det = flow.forward_and_log_det(tf.fill([2, 8, 8, 3], 100.0))
    ```
    """

    def __init__(self, bijectors: Sequence[tfp.bijectors.Bijector], *, validate_args: bool = False, name="chain"):
        parameters = dict(locals())
        if not bijectors:
            raise ValueError("expected at least one bijector, got none")
        self.bijectors = list(bijectors)
        super().__init__(
            event_ndims=max(max(b.forward_min_event_ndims, b.inverse_min_event_ndims) for b in bijectors),
            parameters=parameters,
            validate_args=validate_args,
            name=name,
        )

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        for bijector in self.bijectors:
            shape = bijector.forward_event_shape(shape)
        return shape

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        for bijector in reversed(self.bijectors):
            shape = bijector.inverse_event_shape(shape)
        return shape

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        for bijector in self.bijectors:
            shape = bijector.forward_event_shape_tensor(shape)
        return shape

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        for bijector in reversed(self.bijectors):
            shape = bijector.inverse_event_shape_tensor(shape)
        return shape

    def trace(
        self, x: tf.Tensor, context: tf.Tensor | None = None, training: bool = False
    ) -> Iterator[tuple[tfp.bijectors.Bijector, tf.Tensor, tf.Tensor]]:
        """Yields each layer with its output and its log-det, in the order data meets them.

        Args:
          x: `[batch, *event]`, with one batch axis.
          context: what a conditional flow depends on.
          training: whether batch norm uses the statistics of the batch.
        """
        for bijector in self.bijectors:
            x, log_det = self._forward_of(bijector, x, context, training)
            yield bijector, x, self._for_each_event(log_det)

    def _forward_and_log_det(self, x, context, training):
        total = 0.0
        for _, z, log_det in self.trace(x, context, training):
            total += log_det
        return z, total

    def _inverse_and_log_det(self, z, context, training):
        total = 0.0
        for bijector in reversed(self.bijectors):
            z, log_det = self._inverse_of(bijector, z, context, training)
            total += self._for_each_event(log_det)
        return z, total

    def _forward_of(self, bijector, x, context, training):
        """One forward pass through a layer: one of ours, the `tfb.Invert` of ours, or one of TFP's."""
        if isinstance(bijector, Bijector):
            return bijector._forward_and_log_det(x, context, training)
        if isinstance(bijector, _Invert):
            return self._inverse_of(bijector.bijector, x, context, training)
        x = tf.identity(x)  # TFP's cache may still hold what older weights made of the very tensor.
        return bijector.forward(x), bijector.forward_log_det_jacobian(x, event_ndims=self.forward_min_event_ndims)

    def _inverse_of(self, bijector, z, context, training):
        if isinstance(bijector, Bijector):
            return bijector._inverse_and_log_det(z, context, training)
        if isinstance(bijector, _Invert):
            return self._forward_of(bijector.bijector, z, context, training)
        z = tf.identity(z)
        return bijector.inverse(z), bijector.inverse_log_det_jacobian(z, event_ndims=self.forward_min_event_ndims)

    def _for_each_event(self, log_det: tf.Tensor) -> tf.Tensor:
        """Sums a log-det that an elementwise layer gave for each entry."""
        if self.forward_min_event_ndims == 0:
            return log_det
        return tf.reduce_sum(log_det, axis=list(range(1, log_det.shape.rank)))
