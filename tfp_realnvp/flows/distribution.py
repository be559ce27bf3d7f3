"""The distribution defined by a flow and a base distribution."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfp_realnvp import private
from tfp_realnvp.bijectors import Bijector
from tfp_realnvp.bijectors.arguments import KeepsArguments
from tfp_realnvp.bijectors.batch_axes import broadcast_context
from tfp_realnvp.bijectors.variables import FollowsKeras
from tfp_realnvp.flows.event_shapes import event_shape_of


class FlowDistribution(KeepsArguments, FollowsKeras, private.TransformedDistribution):
    """The distribution of `x` when `z = flow(x)` has a base distribution, a standard normal by default.

        log p(x) = log base(flow(x)) + log|det d flow/dx|
        sample:  x = flow^{-1}(z),  z ~ base

    It is a `tfd.TransformedDistribution` of the base and `tfb.Invert(flow)`, with these differences:

    * `context=` in `log_prob`, `prob`, `sample` and `experimental_sample_and_log_prob`, passed to every layer. The
      batch axes of events and context are broadcast; n samples take a context `[n, size]`, one row per sample, or
      `[size]`.
    * As in all of TFP, `seed=(0, 1)` gives the same samples at each call, and an integer in eager mode other ones.
    * Each conditioner is evaluated once, and no cached result survives a change of the weights.
    * Integers, and events of another shape, are refused instead of cast or broadcast.
    * `log_prob` is -inf, with a gradient of 0, if an event contains a NaN, an infinity or a number beyond 2^-12 times
      the dtype's largest, if it lies outside the support, or if its latent or density overflows. It is never NaN or
      +inf. Gradients through a latent that overflows are not finite.
    * `experimental_sample_and_log_prob` of pixels returns the density of the rounded sample, from another forward pass.
    * `copy(...)` and `copy.copy` share the flow and its variables; `copy.deepcopy` and pickle duplicate them. A flow
      from an export cannot be copied, only loaded again.

    Args:
      flow: a bijector from data to latent.
      event_shape: shape of one event of data; an integer is the size of a vector.
      base: distribution of the latent, with the latent's event shape, no batch shape, and this dtype; standard normal
        by default. Its learned parameters must be `tf.Variable`s, which train with the flow. Its density should be
        defined everywhere: outside their support, some distributions of TFP return finite densities.
      dtype: dtype of events.
      validate_args: whether to refuse events that are not finite.
      name: the distribution's name; by default the flow's, which joint distributions do not use.

    Raises:
      TypeError: if the flow is not a bijector of this package, in whose `Chain` TFP's bijectors can be wrapped, or the
        base is not a distribution.
      ValueError: if the event shape does not consist of positive integers, or the flow does not accept it.

    ```python
    distribution = nvp.FlowDistribution(nvp.bijectors.BatchNorm(channels=2), event_shape=[2])
    distribution.log_prob(distribution.sample(3, seed=1))  # shape [3]
    ```
    """

    def __init__(
        self,
        flow: Bijector,
        event_shape: Any,
        *,
        base: tfd.Distribution | None = None,
        dtype: Any = tf.float32,
        validate_args: bool = False,
        name: str | None = None,
    ):
        if not isinstance(flow, Bijector):
            raise TypeError(
                f"expected a tfp_realnvp bijector from data to latent, got {_described(flow)}: "
                "wrap TFP's in nvp.bijectors.Chain([bijector]), as tfb.Invert(bijector) if it maps from latent to "
                "data"
            )
        dtype = tf.as_dtype(dtype)
        latent_shape = flow.forward_event_shape(tf.TensorShape(event_shape_of(event_shape, scalars=True)))
        has_default_base = base is None
        if base is not None and (not isinstance(base, tfd.Distribution) or isinstance(base, tfd.JointDistribution)):
            raise TypeError(f"expected a base that is a tfd.Distribution of one tensor, got {base!r}")
        if base is None:
            base = tfd.Sample(tfd.Normal(tf.zeros([], dtype), tf.ones([], dtype)), latent_shape)
        if base.event_shape != latent_shape or base.batch_shape.rank != 0 or base.dtype != dtype:
            raise ValueError(
                f"expected a base of event shape {latent_shape}, no batch shape and dtype {dtype.name}, got event "
                f"shape {base.event_shape}, batch shape {base.batch_shape} and dtype {base.dtype.name}"
            )
        given = dict(kwargs_split_fn=_split_context, validate_args=validate_args, name=name or flow.name)
        super().__init__(base, tfp.bijectors.Invert(flow), **given)
        self.flow = flow
        # Only standard normal latents support a temperature and, for images, other sizes.
        self.has_default_base = has_default_base

    @property
    def takes_context(self) -> bool:
        """Whether a layer reads the context."""
        return any(leaf.takes_context for leaf in self.flow.leaves())

    def copy(self, **override: Any) -> "FlowDistribution":
        """As `tfd.Distribution.copy`; another dtype or event shape needs another flow.

        Raises:
          ValueError: for a dtype or an event shape that differs, with the same flow.
        """
        if "flow" not in override:
            dtype = tf.as_dtype(override.get("dtype", self.dtype))
            shape = tf.TensorShape(event_shape_of(override.get("event_shape", self.event_shape), scalars=True))
            if dtype != self.dtype or shape != self.event_shape:
                raise ValueError(
                    f"expected the dtype {self.dtype.name} and the event shape {self.event_shape} of the flow, got "
                    f"{dtype.name} and {shape}: pass a flow of them, too"
                )
        return super().copy(**override)

    def __reduce__(self) -> tuple[Any, ...]:
        # Otherwise copies would be made attribute by attribute, and TFP's `Invert` cannot be constructed without
        # arguments.
        return _Copyable(self).__reduce__()

    def __copy__(self) -> "FlowDistribution":
        return self.copy()

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {}

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.zeros([0], tf.int32)

    def log_prob(self, value: Any, name: str = "log_prob", **kwargs: Any) -> tf.Tensor:
        """The log-density in nats, `[...]`, of events `[..., *event_shape]`; takes a `context`."""
        return super().log_prob(self._checked(value), name, **kwargs)

    def prob(self, value: Any, name: str = "prob", **kwargs: Any) -> tf.Tensor:
        """The density of events; see `log_prob`."""
        return super().prob(self._checked(value), name, **kwargs)

    def unnormalized_log_prob(self, value: Any, name: str = "unnormalized_log_prob", **kwargs: Any) -> tf.Tensor:
        """The same as `log_prob`."""
        return super().unnormalized_log_prob(self._checked(value), name, **kwargs)

    def _checked(self, value: Any) -> tf.Tensor:
        """`value` as a tensor of this dtype and event shape."""
        if isinstance(value, keras.KerasTensor):
            raise TypeError(
                f"expected events, got the symbolic {value!r}: call log_prob within the call method of a Keras layer, "
                "or train with nvp.FlowModel"
            )
        is_tensor = tf.is_tensor(value)
        given = value.dtype if is_tensor else np.asarray(value).dtype
        if given is np.dtype(object):
            raise TypeError(f"expected {self.dtype.name} events, got Python objects: {value!r}")
        dtype, hint = tf.as_dtype(given), ""
        if dtype.is_integer or dtype.is_bool:
            hint = ": a flow is a density over real numbers, so integers such as pixels must be dequantised first, see "
            hint += "tfp_realnvp.dequantize"
        if not dtype.is_floating or is_tensor and dtype != self.dtype:
            raise TypeError(f"expected {self.dtype.name} events, got {dtype.name}{hint}")
        value = tf.convert_to_tensor(value, self.dtype)
        batch_ndims = None if value.shape.rank is None else value.shape.rank - self.event_shape.rank
        if batch_ndims is None or batch_ndims < 0 or not value.shape[batch_ndims:].is_compatible_with(self.event_shape):
            raise ValueError(f"expected events of shape {self.event_shape}, got shape {value.shape}")
        if value.shape[batch_ndims:].is_fully_defined():
            return value
        # A shape known only at run time is checked then; with another shape layers would drop entries.
        return tf.ensure_shape(value, [*value.shape[:batch_ndims], *self.event_shape], name="events")

    def _log_prob(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        if self.validate_args:
            finite = tf.reduce_all(tf.math.is_finite(x))
            with tf.control_dependencies([tf.debugging.Assert(finite, ["expected finite events", x])]):
                x = tf.identity(x)
        self._check_context(context)
        # Replaced before the flow: large inputs would overflow in a network's sums and turn gradients into NaN.
        in_range = tf.abs(x) <= x.dtype.max / 2**12
        z, log_det = self.flow.forward_and_log_det(tf.where(in_range, x, tf.zeros([], x.dtype)), context)
        log_prob = self.distribution.log_prob(z) + self._for_each_event(log_det)
        all_in_range = tf.reduce_all(in_range, axis=list(range(-self.event_shape.rank, 0)))
        return _or_minus_infinity(all_in_range, log_prob)

    def samples(self, sample_shape: Any, seed: Any, context: tf.Tensor | None = None) -> tf.Tensor:
        """The core of `sample`."""
        z, context = self._latents(sample_shape, seed, context)
        return self.flow.inverse_and_log_det(z, context)[0]

    def samples_and_log_probs(
        self, sample_shape: Any, seed: Any, context: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The core of `experimental_sample_and_log_prob`."""
        z, context = self._latents(sample_shape, seed, context)
        x, log_det = self.flow.inverse_and_log_det(z, context)
        if any(getattr(part, "rounds_samples", False) for part in (self.flow, *self.flow.submodules)):
            return x, self._log_prob(x, context)
        return x, _or_minus_infinity(True, self.distribution.log_prob(z) - self._for_each_event(log_det))

    def _latents(self, sample_shape: Any, seed: Any, context: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Draws from the base, and a context for each draw."""
        self._check_context(context)
        has_tensors = any(tf.is_tensor(size) for size in tf.nest.flatten(sample_shape))
        shape = tf.get_static_value(tf.convert_to_tensor(sample_shape)) if has_tensors else np.asarray(sample_shape)
        if shape is not None and shape.size and (shape.dtype.kind not in "iu" or np.min(shape) < 0):
            raise ValueError(f"expected a sample shape of integers of 0 or more, got {sample_shape!r}")
        # TFP takes an integer of NumPy's for the shape of a pair.
        z = self.distribution.sample(sample_shape, seed=int(seed) if isinstance(seed, np.integer) else seed)
        if context is None:
            return z, None
        wider, context = broadcast_context(z, context, self.flow.inverse_min_event_ndims)
        if wider.shape.rank != z.shape.rank or not wider.shape.is_compatible_with(z.shape):
            raise ValueError(
                f"expected a context whose batch axes broadcast to the sample shape {sample_shape}, got shape "
                f"{context.shape}: n samples take a context of n rows, one per sample"
            )
        return z, context

    def _check_context(self, context: Any) -> None:
        """Refuses a context that no layer reads. Networks check its size."""
        if context is not None and not self.takes_context:
            raise ValueError(
                f"{self.name}: expected no context, got shape {np.shape(context)}: no layer reads one: most flows "
                "are built with context_size, and a conditioner of your own needs an argument context"
            )

    def _for_each_event(self, log_det: tf.Tensor) -> tf.Tensor:
        """Sums a log-det that has axes within an event, such as an elementwise flow's."""
        parts = self.event_shape.rank - self.flow.forward_min_event_ndims
        return tf.reduce_sum(log_det, axis=list(range(-parts, 0)))


def _or_minus_infinity(has_density: tf.Tensor | bool, log_prob: tf.Tensor) -> tf.Tensor:
    return tf.where(has_density & tf.math.is_finite(log_prob), log_prob, tf.constant(-np.inf, log_prob.dtype))


def flow_distribution(value: Any) -> FlowDistribution:
    """Returns `value`, which must be a `FlowDistribution`."""
    if isinstance(value, FlowDistribution):
        return value
    raise TypeError(
        f"expected a FlowDistribution, such as nvp.real_nvp returns, got {_described(value)}: "
        "nvp.FlowDistribution(nvp.bijectors.Chain(bijectors), event_shape) builds one from data-to-latent bijectors"
    )


def _described(value: Any) -> str:
    return f"an object of {type(value).__module__.split('.')[0]}'s class {type(value).__name__}"


class _Copyable:
    """A distribution copied by its parameters, including its base and TFP's own constructor arguments."""

    def __init__(self, distribution: tfd.Distribution):
        self._distribution = distribution

    def __reduce__(self) -> tuple[Any, ...]:
        def copyable(value: Any) -> Any:
            return _Copyable(value) if isinstance(value, tfd.Distribution) else value

        parameters = tf.nest.map_structure(copyable, self._distribution.parameters)
        return _from_parameters, (type(self._distribution), parameters)


def _from_parameters(cls: type[tfd.Distribution], parameters: dict[str, Any]) -> tfd.Distribution:
    return cls(**parameters)


def _split_context(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    unknown = sorted(set(kwargs) - {"context"})
    if unknown:
        raise TypeError(f"expected no keyword but context, got {', '.join(unknown)}")
    return {}, kwargs
