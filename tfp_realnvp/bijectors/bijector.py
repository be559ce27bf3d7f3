"""The base class of all bijectors: one method returns the value and its log-determinant."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp import private
from tfp_realnvp.bijectors.arguments import KeepsArguments
from tfp_realnvp.bijectors.backprop import is_training
from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet, with_one_batch_axis
from tfp_realnvp.bijectors.layer import Layer
from tfp_realnvp.bijectors.variables import OwnsLayers


class Bijector(Layer, OwnsLayers, KeepsArguments, tfp.bijectors.Bijector):
    """An invertible map `z = f(x)` from data to latent, evaluated once per pass.

    Forward is the paper's direction: `z = f(x)` and `log|det df/dx|` come from one evaluation, and so do
    `x = f^{-1}(z)` and `log|det df^{-1}/dz|`. A subclass writes these two pairs, and `describe` if it has settings:

        _forward_and_log_det(x, context, training) -> z, log|det df/dx|
        _inverse_and_log_det(z, context, training) -> x, log|det df^{-1}/dz|

    In both, `x` is `[batch, *event]` with exactly one batch axis and `training` is a Python bool: the value of the
    enclosing Keras `Model.call(..., training=...)`, False outside of a model. An elementwise bijector (`event_ndims=0`)
    returns a log-determinant for each element, any other bijector one for each event. The whole `tfb.Bijector`
    interface works on top, with any number of batch axes and `context=`.

    A Keras layer or variable assigned to an attribute is tracked: it appears in `variables`, checkpoints and exports.
    The same holds for `tf.Variable`s, and for layers and variables inside a `tf.Module`, a transformer, or a list,
    tuple or dictionary as it stands at the end of the constructor.

    A `Chain` that stores no activations keeps each layer's input. A layer that can do with less overrides
    `_forward_and_kept` and `_backward`, see `Layer`.

    Args:
      event_ndims: axes of an event: 3 for images `[height, width, channels]`, 1 for vectors, 0 for elementwise maps.
      size: the required size of the last axis, or None for any.
      validate_args: whether the subclass asserts at run time what shapes cannot show.

    Raises:
      ValueError: for a layer that is not built yet, whose variables would be missed, or for events of another size.
    """

    # Bijectors are compared by identity. TFP compares constructor arguments; its cache, which is shared by a class,
    # would confuse two batch norms.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    _cache = private.greedy_cache("_forward_and_attributes", "_inverse_and_attributes")

    def __init__(self, *, event_ndims: int, size: int | None = None, validate_args: bool = False, name: str):
        super().__init__(forward_min_event_ndims=event_ndims, validate_args=validate_args, name=name)
        self._size = size

    def __reduce_ex__(self, protocol: Any) -> Any:
        for part in self.submodules:
            if isinstance(part, tfp.bijectors.Invert):  # From TFP: needs arguments to be constructed.
                raise TypeError(
                    f"{self.name}: expected bijectors that can be copied, got the tfb.Invert {part.name}: build "
                    "another flow and assign its variables"
                )
        return super().__reduce_ex__(protocol)

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        return {}

    def _variable(self, value: Any, name: str, dtype: str, **kwargs: Any) -> keras.Variable:
        """A Keras variable, initialised by an array or a number, or by an initializer's name and a `shape`."""
        value = value if isinstance(value, str) else np.asarray(value, dtype)
        return keras.Variable(value, dtype=dtype, autocast=False, name=name, **kwargs)

    @property
    def takes_context(self) -> bool:
        """Whether the layer itself may read the context; a flow of layers that do not refuses one."""
        return True

    def describe(self) -> str:
        """The bijector and its settings in a few words, for `summary`."""
        return self.name

    def forward_and_log_det(
        self, x: tf.Tensor | np.ndarray, context: tf.Tensor | np.ndarray | None = None
    ) -> ValueAndLogDet:
        """Returns `z = f(x)` and `log|det df/dx|` in nats from one evaluation.

        Args:
          x: float tensor `[..., *event]`.
          context: conditioning input of a conditional flow, `[..., size]`, whose batch axes broadcast with those of
            `x`; or None.

        Raises:
          ValueError: if the bijector does not accept the shape of `x`.
        """
        x = tf.convert_to_tensor(x)
        self._forward_event_shape(self._event_shape_of(x))
        pass_fn = functools.partial(self._forward_and_log_det, training=is_training())
        with tf.name_scope("forward"):  # A layer's own scope must not be a graph's outermost one.
            return with_one_batch_axis(pass_fn, x, self.forward_min_event_ndims, context)

    def inverse_and_log_det(
        self, z: tf.Tensor | np.ndarray, context: tf.Tensor | np.ndarray | None = None
    ) -> ValueAndLogDet:
        """Returns `x = f^{-1}(z)` and `log|det df^{-1}/dz|` from one evaluation; see `forward_and_log_det`."""
        z = tf.convert_to_tensor(z)
        self._inverse_event_shape(self._event_shape_of(z))
        pass_fn = functools.partial(self._inverse_and_log_det, training=is_training())
        with tf.name_scope("inverse"):
            return with_one_batch_axis(pass_fn, z, self.inverse_min_event_ndims, context)

    def _event_shape_of(self, x: tf.Tensor) -> tf.TensorShape:
        event_ndims = self.forward_min_event_ndims
        if x.shape.rank is None or x.shape.rank < event_ndims:
            raise ValueError(f"{self.name}: expected a shape of at least {event_ndims} axes, got {x.shape}")
        # If the size is known only when the graph runs, some layers would silently drop entries.
        if event_ndims and x.shape[-1] is None:
            raise ValueError(
                f"{self.name}: expected a last axis of known size, got shape {x.shape}: set it with tf.ensure_shape"
            )
        return x.shape[x.shape.rank - event_ndims :]

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        if self._size is not None and shape[-1] not in (None, self._size):
            words = "vectors of size {}" if self.forward_min_event_ndims == 1 else "{} channels"
            raise ValueError(f"{self.name}: expected {words.format(self._size)}, got {shape[-1]}")
        return shape

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return Bijector._forward_event_shape(self, shape)

    def _forward_and_attributes(
        self, x: tf.Tensor, context: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        z, log_det = self.forward_and_log_det(x, context)
        return z, {"ildj": -log_det}

    def _inverse_and_attributes(
        self, z: tf.Tensor, context: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        x, log_det = self.inverse_and_log_det(z, context)
        return x, {"ildj": log_det}

    def _forward_log_det_jacobian(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return self.forward_and_log_det(x, context)[1]

    def _inverse_log_det_jacobian(self, z: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return self.inverse_and_log_det(z, context)[1]
