"""The interface that a chain needs from its layers: bijectors of this package, their inverses, and TFP's."""

import abc
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp import private
from tfp_realnvp.bijectors.backprop import Backward, state_of
from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.variables import learned_layers


class Leaf(NamedTuple):
    """One bijector of a flow, as `Bijector.leaves` yields it."""

    bijector: tfb.Bijector  # Without a `tfb.Invert` around it.
    is_inverse: bool  # Whether the flow applies its inverse.
    path: tuple[tfb.Bijector, ...]  # The bijectors that contain it, from the outermost.
    shape: tf.TensorShape | None  # Event shape after it; None if the flow's shape is not given.

    def describe(self) -> str:
        """The bijector in a few words."""
        words = self.bijector.describe() if hasattr(self.bijector, "describe") else self.bijector.name
        return f"Inverse of {words}" if self.is_inverse else words

    @property
    def takes_context(self) -> bool:
        """Whether the bijector may read the context; TFP's do not."""
        return getattr(self.bijector, "takes_context", False)

    def forward(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The output and log-det for events `x`, `[batch, *event]`."""
        layer = as_layer(self.bijector, x.shape.rank - 1)
        evaluate = layer._inverse_and_log_det if self.is_inverse else layer._forward_and_log_det
        return evaluate(x, context, training)


class Layer(abc.ABC):
    """A layer's passes, with and without stored activations, and the traversal of its parts."""

    @property
    def networks(self) -> float:
        """The number of networks whose activations are worth storing."""
        return 0

    @property
    def bijector_of_layer(self) -> tfb.Bijector:
        """The bijector; a bijector of this package is its own layer."""
        return self

    def leaves(
        self, event_shape: Any = None, *, path: tuple[tfb.Bijector, ...] = (), is_inverse: bool = False
    ) -> Iterator[Leaf]:
        """Yields a `Leaf` for each bijector in data-to-latent order: the parts of a chain; a split, then its parts.

        Leaves have shapes if `event_shape`, the shape of the data, is given. Containers pass `path` and `is_inverse`.
        """
        yield Leaf(self.bijector_of_layer, is_inverse, path, self.shape_after(event_shape, is_inverse))

    def shape_after(self, shape: Any, is_inverse: bool) -> tf.TensorShape | None:
        """The shape of an event after the layer, or after its inverse."""
        if shape is None:
            return None
        bijector = self.bijector_of_layer
        return bijector.inverse_event_shape(shape) if is_inverse else bijector.forward_event_shape(shape)

    @abc.abstractmethod
    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        """Returns `z = f(x)` and `log|det df/dx|`."""

    @abc.abstractmethod
    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        """Returns `x = f^{-1}(z)` and `log|det df^{-1}/dz|`."""

    def _forward_with_inputs(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        """`_forward_and_log_det` if "remat" stores the layer; a container may store only its last parts."""
        return self._forward_and_log_det(x, context, training)

    def _forward_and_kept(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool, inverts: bool
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        """Returns `z`, the log-det, and what `_backward` needs besides `z`.

        With `inverts`, `x` is not kept if `_backward` can recompute it from `z`.
        """
        kept = x, state_of(learned_layers(self.bijector_of_layer))
        return *self._forward_and_log_det(x, context, training), kept

    def _backward(
        self, z: tf.Tensor, kept: Any, dz: tf.Tensor, dlog_det: tf.Tensor, backward: Backward
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `x` and its gradient; adds the gradients of variables and context to `backward`.

        `kept` comes from `_forward_and_kept`; `dlog_det` is the gradient of the log-det, of its shape or `[batch]`.
        """
        x, state = kept
        x = backward.after_later_layers(x, dz)
        return x, backward.from_input(self._forward_and_log_det, x, state, dz, dlog_det)


def as_layer(bijector: tfb.Bijector, event_ndims: int) -> Layer:
    """Any bijector as a layer for events of `event_ndims` axes."""
    if isinstance(bijector, Layer):
        return bijector
    return (_Inverse if isinstance(bijector, private.Invert) else _OfTFP)(bijector, event_ndims)


def parameter_shape(bijector: tfb.Bijector) -> tf.TensorShape:
    """The batch shape of a TFP bijector's parameters, `[2]` of `tfb.Scale([1.0, 2.0])`; a layer here has none."""
    if isinstance(bijector, Layer):
        return tf.TensorShape([])
    try:
        shape = bijector.experimental_batch_shape(x_event_ndims=bijector.forward_min_event_ndims)
    except NotImplementedError:  # Of a user's own bijector without properties of parameters.
        return tf.TensorShape([])
    return tf.TensorShape([]) if shape.rank is None else shape


def check_parameters(bijector: tfb.Bijector, parameters: tf.TensorShape, event: Any, event_ndims: int) -> None:
    """Refuses parameters whose batch shape does not broadcast to the axes of an event that the bijector maps alone."""
    if not parameters.rank:
        return
    event = tf.TensorShape(event)
    outer = event[: event.rank - event_ndims]
    try:
        fits = outer.rank >= parameters.rank and tf.broadcast_static_shape(outer, parameters).is_compatible_with(outer)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{bijector.name}: expected parameters that broadcast to events of shape {event}, got shape {parameters}"
        )


class _Adapter(Layer):
    def __init__(self, bijector: tfb.Bijector, event_ndims: int):
        self._bijector, self._event_ndims = bijector, event_ndims

    @property
    def bijector_of_layer(self) -> tfb.Bijector:
        return self._bijector


class _Inverse(_Adapter):
    """The layer of a `tfb.Invert`."""

    @property
    def _inverted(self) -> Layer:
        return as_layer(self._bijector.bijector, self._event_ndims)

    def leaves(
        self, event_shape: Any = None, *, path: tuple[tfb.Bijector, ...] = (), is_inverse: bool = False
    ) -> Iterator[Leaf]:
        return self._inverted.leaves(event_shape, path=path, is_inverse=not is_inverse)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._inverted._inverse_and_log_det(x, context, training)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._inverted._forward_and_log_det(z, context, training)


class _OfTFP(_Adapter):
    """The layer of a bijector of TFP, which takes no context.

    Outside the support, where TFP returns NaN, entries become 0 and the log-det -inf, so that later layers and their
    gradients stay finite. A linear map is defined everywhere.
    """

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._evaluate("forward", x)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._evaluate("inverse", z)

    def _evaluate(self, direction: str, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        bijector, event_ndims = self._bijector, self._event_ndims
        is_linear = bijector.is_constant_jacobian
        # A new tensor, since TFP's cache may hold results of older weights for the original.
        x = tf.identity(x) if is_linear else _with_finite_gradient(x)
        y = getattr(bijector, direction)(x)  # Before the log-det, which then comes from TFP's cache.
        log_det = getattr(bijector, f"{direction}_log_det_jacobian")(x, event_ndims=event_ndims)
        batch_ndims = x.shape.rank - event_ndims
        log_det = tf.broadcast_to(log_det, tf.shape(x)[:batch_ndims])  # TFP may return one for all events.
        if is_linear:
            return y, log_det
        inside = tf.math.is_finite(y)
        is_defined = tf.reduce_all(inside, list(range(batch_ndims, y.shape.rank))) & tf.math.is_finite(log_det)
        y = tf.where(inside, y, tf.zeros([], y.dtype))
        return y, tf.where(is_defined, log_det, tf.constant(-math.inf, log_det.dtype))


@tf.custom_gradient
def _with_finite_gradient(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """`x`, with a gradient of 0 in entries where it is not finite: those outside the support of the next layer."""

    def gradient(dx: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.math.is_finite(dx), dx, tf.zeros_like(dx))

    return tf.identity(x), gradient
