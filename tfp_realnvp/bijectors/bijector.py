"""The base class of every bijector here: one method gives the value and its log-determinant."""

from __future__ import annotations

import abc
import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util

from tfp_realnvp.bijectors.backprop import Backward, state_of
from tfp_realnvp.bijectors.batch_axes import with_one_batch_axis
from tfp_realnvp.bijectors.variables import FollowsKeras, learned_layers, variables_of


@keras.saving.register_keras_serializable("tfp_realnvp")
class _TrainingMode(keras.layers.Layer):
    """Answers what `training` means here; Keras tells it to layers alone."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> bool:
        return bool(training)


# Named, for Keras would derive `__training_mode`, and no scope of a graph may start with an underscore.
_training_mode = _TrainingMode(name="training_mode", dtype="float32")


def is_training() -> bool:
    """What the Keras model says whose call this is in, and False outside of one."""
    return _training_mode(tf.zeros([]))


class Bijector(FollowsKeras, tfp.bijectors.Bijector, metaclass=abc.ABCMeta):
    """An invertible map `z = f(x)` from data to latent, evaluated once per pass.

    Forward is the paper's direction: `z = f(x)` and `log|det df/dx|` come from one evaluation, and so do
    `x = f^{-1}(z)` and `log|det df^{-1}/dz|`. A subclass writes these two pairs and nothing else:

        _forward_and_log_det(x, context, training) -> z, log|det df/dx|
        _inverse_and_log_det(z, context, training) -> x, log|det df^{-1}/dz|

    In both, `x` is `[batch, *event]` with exactly one batch axis and `training` is a Python bool. A bijector that
    acts on elements (`event_ndims=0`) gives a log-determinant for each element, any other one for each event.

    Where a `Chain` holds no activations, a layer keeps its input and is evaluated on it again in the backward pass. A
    subclass that needs to keep less overrides this pair:

        _forward_and_kept(x, context, training, inverts) -> z, log|det df/dx|, kept
        _backward(z, kept, dz, dlog_det, backward) -> x, dx

    `training` is what the enclosing Keras `Model.call(..., training=...)` says, and False outside of one. It is
    resolved once per pass, here, and handed on explicitly.

    All of `tfb.Bijector` works on top: `forward`, `inverse`, `forward_log_det_jacobian`,
    `inverse_log_det_jacobian`, `tfb.Invert`, `tfb.Chain`, any number of batch axes, and `context=`.

    Args:
      event_ndims: how many of the last axes are one event: 3 for images `[height, width, channels]`, 1 for
        vectors, 0 for elementwise maps.
      parameters: the `dict(locals())` of the subclass's constructor.
      layers: the Keras layers and variables the bijector learns. Only through this argument are they seen by
        `variables`, `trainable_variables` and checkpoints, for TFP looks for `tf.Variable`s.
      validate_args: whether to assert at run time what cannot be seen from shapes.
      name: the bijector's name.

    Raises:
      ValueError: when a layer is not built yet, for its variables would be missed in silence.
    """

    # Equal is only what is the same object. TFP compares constructor arguments, and its cache, which all instances of
    # a class share, would take two batch norms of one size for the same bijector whatever their moments.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    # Both results of an evaluation go into TFP's cache at once, as in `tfb.FFJORD`: TFP asks for the value and the
    # log-determinant separately, and would otherwise evaluate the conditioner twice. Private API, used here alone.
    _cache = cache_util.BijectorCacheWithGreedyAttrs(
        forward_name="_forward_and_attributes", inverse_name="_inverse_and_attributes"
    )

    def __init__(
        self,
        *,
        event_ndims: int,
        parameters: dict[str, Any],
        layers: tuple[keras.layers.Layer | keras.Variable, ...] = (),
        validate_args: bool = False,
        name: str,
    ):
        super().__init__(
            forward_min_event_ndims=event_ndims,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        for layer in layers:
            if isinstance(layer, keras.layers.Layer) and not layer.built:
                raise ValueError(
                    f"expected a built layer, so that its variables can be seen, got the unbuilt {layer.name!r}: "
                    "call it once, or its build(shape)"
                )
        self.layers = self._no_dependency(list(layers))
        self._show_variables()

    def _show_variables(self) -> None:
        # TFP and checkpoints see a `tf.Variable`, not a Keras one. This list is the one way to them: a checkpoint that
        # went by the layers, too, would hold some values twice, and miss layers that a Keras layer keeps in a list.
        self._visible_variables = [variable.value for variable in variables_of(self.layers)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        for part in self.submodules:
            if isinstance(part, tfp.bijectors.Invert):  # Of a bijector of TFP; TFP makes none without arguments.
                raise TypeError(
                    f"{self.name}: expected bijectors that can be copied, got the tfb.Invert {part.name}: build "
                    "another flow and assign its variables"
                )
        return super().__reduce_ex__(protocol)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Of a copy, by `copy` or pickle. Keras copies a layer with variables of its own: those are to be seen.
        self.__dict__.update(state)
        self._show_variables()

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        return {}

    def _variable(self, value: Any, name: str, dtype: str, **kwargs: Any) -> Any:
        """A Keras variable to be an attribute, which TFP is told of by `layers` alone.

        Args:
          value: where it starts: an array or a number, or the name of an initializer with a `shape`.
          name: its name.
          dtype: its dtype, under any policy.
          **kwargs: of `keras.Variable`.
        """
        value = value if isinstance(value, str) else np.asarray(value, dtype)
        return self._no_dependency(keras.Variable(value, dtype=dtype, autocast=False, name=name, **kwargs))

    def describe(self) -> str:
        """The bijector and its settings in a few words, for `summary`."""
        return self.name

    @abc.abstractmethod
    def _forward_and_log_det(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `z = f(x)` and `log|det df/dx|`."""

    @abc.abstractmethod
    def _inverse_and_log_det(
        self, z: tf.Tensor, context: tf.Tensor | None, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `x = f^{-1}(z)` and `log|det df^{-1}/dz|`."""

    def _forward_and_kept(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool, inverts: bool
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        """Returns what `_forward_and_log_det` does, and what `_backward` needs besides `z`.

        Args:
          x: as there.
          context: as there.
          training: as there.
          inverts: whether `_backward` shall get `x` from `z` if it can, so that it need not be kept.
        """
        kept = x, state_of(learned_layers(self))
        return *self._forward_and_log_det(x, context, training), kept

    def _backward(
        self, z: tf.Tensor, kept: Any, dz: tf.Tensor, dlog_det: tf.Tensor, backward: Backward
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `x` and its gradient; gives those of variables and context to `backward`.

        Args:
          z: the output.
          kept: what `_forward_and_kept` did.
          dz: gradient of the output.
          dlog_det: gradient of the log-determinant, `[batch]`, or of its shape.
          backward: what the layers of this backward pass share.
        """
        x, state = kept
        x = backward.after_later_layers(x, dz)
        return x, backward.from_input(self._forward_and_log_det, x, state, dz, dlog_det)

    def forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `z = f(x)` and `log|det df/dx|` from one evaluation.

        Args:
          x: float tensor `[..., *event]`.
          context: what a conditional flow depends on, `[..., size]` with the batch axes of `x` or axes that broadcast
            with them, or None.

        Returns:
          `z` and the log-determinant in nats, one for each event.

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
        # Layers are of one size, and some drop what is beyond it: where no graph can see the size, it must be stated.
        if event_ndims and x.shape[-1] is None:
            raise ValueError(
                f"{self.name}: expected a known size of the last axis, got shape {x.shape}: tf.ensure_shape states it"
            )
        return x.shape[x.shape.rank - event_ndims :]

    # What follows is what `tfb.Bijector` asks of a subclass.

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
