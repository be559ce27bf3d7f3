"""The base class of every bijector here: one method gives the value and its log-determinant."""

import abc
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


class Bijector(Layer, OwnsLayers, KeepsArguments, tfp.bijectors.Bijector, metaclass=abc.ABCMeta):
    """An invertible map `z = f(x)` from data to latent, evaluated once per pass.

    Forward is the paper's direction: `z = f(x)` and `log|det df/dx|` come from one evaluation, and so do
    `x = f^{-1}(z)` and `log|det df^{-1}/dz|`. A subclass writes these two pairs, and `describe` if it has settings:

        _forward_and_log_det(x, context, training) -> z, log|det df/dx|
        _inverse_and_log_det(z, context, training) -> x, log|det df^{-1}/dz|

    In both, `x` is `[batch, *event]` with exactly one batch axis and `training` is a Python bool: the value of the
    enclosing Keras `Model.call(..., training=...)`, False outside of a model. A bijector that acts on elements
    (`event_ndims=0`) gives a log-determinant for each element, any other one for each event. All of `tfb.Bijector`
    works on top, with any number of batch axes, and `context=`.

    A Keras layer or variable that is assigned to an attribute is learned: `variables`, checkpoints and exports have it.
    The same holds for those in a `tf.Module`, a transformer, or a list, tuple or dictionary as the constructor leaves
    it, and for `tf.Variable`s.

    A `Chain` that stores no activations keeps a layer's input; a layer that needs less overrides `_forward_and_kept`
    and `_backward`, see `Layer`.

    Args:
      event_ndims: axes of an event: 3 for images `[height, width, channels]`, 1 for vectors, 0 for elementwise maps.
      size: of the last axis, if the bijector takes no other.
      validate_args: whether the subclass asserts at run time what cannot be seen from shapes.

    Raises:
      ValueError: for a layer that is not built yet, whose variables would be missed; for events of another size.
    """

    # By identity. TFP compares constructor arguments: its cache, which a class shares, would mix up two batch norms.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    _cache = private.greedy_cache("_forward_and_attributes", "_inverse_and_attributes")

    def __init__(self, *, event_ndims: int, size: int | None = None, validate_args: bool = False, name: str):
        super().__init__(forward_min_event_ndims=event_ndims, validate_args=validate_args, name=name)
        self._size = size

    def __reduce_ex__(self, protocol: Any) -> Any:
        for part in self.submodules:
            if isinstance(part, tfp.bijectors.Invert):  # Of a TFP bijector: its class needs arguments.
                raise TypeError(
                    f"{self.name}: expected bijectors that can be copied, got the tfb.Invert {part.name}: build "
                    "another flow and assign its variables"
                )
        return super().__reduce_ex__(protocol)

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        return {}

    def _variable(self, value: Any, name: str, dtype: str, **kwargs: Any) -> keras.Variable:
        """A Keras variable that starts at an array or a number, or by an initializer's name and a `shape`."""
        value = value if isinstance(value, str) else np.asarray(value, dtype)
        return keras.Variable(value, dtype=dtype, autocast=False, name=name, **kwargs)

    def describe(self) -> str:
        """The bijector and its settings in a few words, for `summary`."""
        return self.name

    @abc.abstractmethod
    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        """Returns `z = f(x)` and `log|det df/dx|`."""

    @abc.abstractmethod
    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        """Returns `x = f^{-1}(z)` and `log|det df^{-1}/dz|`."""

    def forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `z = f(x)` and `log|det df/dx|` in nats from one evaluation.

        Args:
          x: float tensor `[..., *event]`.
          context: what a conditional flow depends on, `[..., size]` with the batch axes of `x` or axes that broadcast
            with them, or None.

        Raises:
          ValueError: when the shape of `x` is not one the bijector takes.
        """
        x = tf.convert_to_tensor(x)
        self._forward_event_shape(self._event_shape_of(x))
        pass_fn = functools.partial(self._forward_and_log_det, training=is_training())
        with tf.name_scope("forward"):  # Keras opens a scope of a layer's name, which must not be a graph's first.
            return with_one_batch_axis(pass_fn, x, self.forward_min_event_ndims, context)

    def inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
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
        # Some layers would drop entries of a size that is known only when the graph runs.
        if event_ndims and x.shape[-1] is None:
            raise ValueError(
                f"{self.name}: expected a known size of the last axis, got shape {x.shape}: tf.ensure_shape states it"
            )
        return x.shape[x.shape.rank - event_ndims :]

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        if self._size is not None and shape[-1] not in (None, self._size):
            words = "vectors of size {}" if self.forward_min_event_ndims == 1 else "{} channels"
            raise ValueError(f"{self.name}: expected {words.format(self._size)}, got {shape[-1]}")
        return shape

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return Bijector._forward_event_shape(self, shape)

    def _forward_and_attributes(self, x, context=None):
        z, log_det = self.forward_and_log_det(x, context)
        return z, {"ildj": -log_det}

    def _inverse_and_attributes(self, z, context=None):
        x, log_det = self.inverse_and_log_det(z, context)
        return x, {"ildj": log_det}

    def _forward_log_det_jacobian(self, x, context=None):
        return self.forward_and_log_det(x, context)[1]

    def _inverse_log_det_jacobian(self, z, context=None):
        return self.inverse_and_log_det(z, context)[1]
