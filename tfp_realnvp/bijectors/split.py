"""Factoring out half of the channels."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors.backprop import Backward
from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.layer import Leaf


class Split(Bijector):
    """Applies `flow` to the first half of the channels and leaves the second half unchanged.

        forward:  (z_1, z_2) = (flow(x_1), x_2)
        inverse:  (x_1, x_2) = (flow^{-1}(z_1), z_2)
        log|det df/dx| = log|det d flow/dx_1|

    The second half is final: it holds the latents of this scale. Both halves stay in one tensor, so that the event
    keeps its shape and the base distribution need not know about scales.

    Args:
      flow: the rest of the flow, a bijector that keeps its event's shape `[height, width, channels / 2]`.

    Raises:
      ValueError: when the number of channels is odd.

    ```python
    norm = nvp.bijectors.BatchNorm(channels=6)
    z = nvp.bijectors.Split(norm).forward(tf.random.normal([2, 4, 4, 12]))
    ```

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. Section 3.6.
    """

    # "remat" stores the last layers of `flow`, and nothing before the split.
    networks = math.inf
    takes_context = False

    def __init__(self, flow: Bijector, *, name: str = "split"):
        super().__init__(event_ndims=3, name=name)
        self.flow = flow

    def describe(self) -> str:
        return "Split: the first half continues"

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        height, width, channels = tf.TensorShape(shape).as_list()
        if (channels or 0) % 2:
            raise ValueError(f"{self.name}: expected an even number of channels, got {(height, width, channels)}")
        self.flow.forward_event_shape([height, width, channels and channels // 2])
        return tf.TensorShape(shape)

    _inverse_event_shape = _forward_event_shape

    def leaves(
        self, event_shape: Any = None, *, path: tuple[tfp.bijectors.Bijector, ...] = (), is_inverse: bool = False
    ) -> Iterator[Leaf]:
        yield from super().leaves(event_shape, path=path, is_inverse=is_inverse)
        half = None if event_shape is None else [*event_shape[:-1], event_shape[-1] // 2]
        yield from self.flow.leaves(half, path=(*path, self), is_inverse=is_inverse)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._on_first_half(self.flow._forward_and_log_det, x, context, training)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._on_first_half(self.flow._inverse_and_log_det, z, context, training)

    def _forward_with_inputs(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._on_first_half(self.flow._forward_with_inputs, x, context, training)

    def _forward_and_kept(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool, inverts: bool
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        return self._on_first_half(self.flow._forward_and_kept, x, context, training, inverts)

    def _on_first_half(self, evaluate: Callable[..., tuple[Any, ...]], x: tf.Tensor, *args: Any) -> tuple[Any, ...]:
        goes_on, final = tf.split(x, 2, -1)
        goes_on, *rest = evaluate(goes_on, *args)
        return tf.concat([goes_on, final], -1), *rest

    def _backward(
        self, z: tf.Tensor, kept: Any, dz: tf.Tensor, dlog_det: tf.Tensor, backward: Backward
    ) -> tuple[tf.Tensor, tf.Tensor]:
        (came_back, final), (d_came_back, d_final) = tf.split(z, 2, -1), tf.split(dz, 2, -1)
        came_back, d_came_back = self.flow._backward(came_back, kept, d_came_back, dlog_det, backward)
        return tf.concat([came_back, final], -1), tf.concat([d_came_back, d_final], -1)
