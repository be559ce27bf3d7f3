"""The distribution a flow makes of a Gaussian."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Bijector
from tfp_realnvp.bijectors.variables import FollowsKeras

tfd = tfp.distributions

# `tfd.TransformedDistribution(...)` gives an instance of this base class whenever its bijector is no CompositeTensor.
# Ours hold networks and are none; as a CompositeTensor the distribution would hide its variables from a `tf.Module`.
_TransformedDistribution = tfd.TransformedDistribution.__bases__[0]


class FlowDistribution(FollowsKeras, _TransformedDistribution):
    """The distribution of `x` when `z = flow(x)` is standard normal.

        log p(x) = log N(flow(x); 0, I) + log|det d flow/dx|
        sample:  x = flow^{-1}(z),  z ~ N(0, I)

    A `tfd.TransformedDistribution` of the base and `tfb.Invert(flow)`. It adds to TFP's:

    * `context=` in `log_prob`, `prob`, `sample` and `experimental_sample_and_log_prob`, handed to every layer;
      any other keyword is refused.
    * One evaluation of each conditioner, and no result kept from before weights changed.
    * Integers, for which a density means nothing, are refused, not cast.
    * `log_prob` is -inf, with a gradient of 0, where an event has no density: it holds a NaN, an infinity or a number
      beyond 2^-12 of the largest of the dtype, lies outside the support, or its latent or density overflows. It is
      never NaN or +inf. Under `validate_args` a NaN or an infinity is an error.
    * `experimental_sample_and_log_prob` of pixels gives the density of the sample as it was rounded, from another
      forward pass: a logit far from 0 lies on the last number before the edge of the support.

    Args:
      flow: a bijector from data to latent.
      event_shape: shape of one event of data.
      dtype: of events.
      validate_args: whether to refuse events that are not finite.
      name: the distribution's name.

    #### Examples

    ```python
    flow = nvp.bijectors.BatchNorm(channels=2)
    distribution = nvp.FlowDistribution(flow, event_shape=[2])
    distribution.log_prob(distribution.sample(3, seed=1))  # shape [3]
    ```
    """

    def __init__(
        self,
        flow: Bijector,
        event_shape: Any,
        *,
        dtype: Any = tf.float32,
        validate_args: bool = False,
        name: str = "flow",
    ):
        parameters = dict(locals())
        dtype = tf.as_dtype(dtype)
        latent_shape = flow.forward_event_shape(tf.TensorShape(event_shape))
        base = tfd.Sample(tfd.Normal(tf.zeros([], dtype), tf.ones([], dtype)), latent_shape)
        super().__init__(
            base,
            tfp.bijectors.Invert(flow),
            kwargs_split_fn=_split_context,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        self.flow = flow

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {}

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.zeros([0], tf.int32)

    def _call_log_prob(self, value: Any, name: str, **kwargs: Any) -> tf.Tensor:
        return super()._call_log_prob(self._checked(value), name, **kwargs)

    def _call_prob(self, value: Any, name: str, **kwargs: Any) -> tf.Tensor:
        return super()._call_prob(self._checked(value), name, **kwargs)

    def _call_unnormalized_log_prob(self, value: Any, name: str, **kwargs: Any) -> tf.Tensor:
        return super()._call_unnormalized_log_prob(self._checked(value), name, **kwargs)

    def _checked(self, value: Any) -> tf.Tensor:
        """`value` as a tensor of this dtype and event shape, or an error that says what came."""
        is_tensor = tf.is_tensor(value)
        dtype = tf.as_dtype(value.dtype if is_tensor else np.asarray(value).dtype)
        if not dtype.is_floating:
            raise TypeError(
                f"expected {self.dtype.name} events, got {dtype.name}: a flow gives the density of real numbers, so "
                "integers such as pixels are dequantised first, see tfp_realnvp.dequantize"
            )
        if is_tensor and dtype != self.dtype:
            raise TypeError(f"expected {self.dtype.name} events, got {dtype.name}")
        value = tf.convert_to_tensor(value, self.dtype)
        ndims = self.event_shape.rank
        if value.shape.rank is None or value.shape.rank < ndims:
            raise ValueError(f"expected events of shape {self.event_shape}, got shape {value.shape}")
        if not value.shape[value.shape.rank - ndims :].is_compatible_with(self.event_shape):
            raise ValueError(f"expected events of shape {self.event_shape}, got shape {value.shape}")
        return value

    def _log_prob(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        if self.validate_args:
            finite = tf.reduce_all(tf.math.is_finite(x))
            with tf.control_dependencies([tf.debugging.Assert(finite, ["expected finite events", x])]):
                x = tf.identity(x)
        # Replaced before the flow, not after: what overflows in a network would make its gradients NaN. So would the
        # largest numbers, since a network adds many of them.
        in_range = tf.abs(x) <= x.dtype.max / 2**12
        z, log_det = self.flow.forward_and_log_det(tf.where(in_range, x, tf.zeros([], x.dtype)), context)
        log_prob = self.distribution.log_prob(z) + self._for_each_event(log_det)
        all_in_range = tf.reduce_all(in_range, axis=list(range(-self.event_shape.rank, 0)))
        return _or_minus_infinity(all_in_range, log_prob)

    def _call_sample_n(
        self, sample_shape: Any, seed: Any, context: tf.Tensor | None = None
    ) -> tf.Tensor:
        z = self.distribution.sample(sample_shape, seed=seed)
        return self.flow.inverse_and_log_det(z, context)[0]

    def _sample_and_log_prob(
        self, sample_shape: Any, seed: Any, context: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        z = self.distribution.sample(sample_shape, seed=seed)
        x, log_det = self.flow.inverse_and_log_det(z, context)
        if any(getattr(part, "rounds_samples", False) for part in (self.flow, *self.flow.submodules)):
            return x, self._log_prob(x, context)
        return x, _or_minus_infinity(True, self.distribution.log_prob(z) - self._for_each_event(log_det))

    def _for_each_event(self, log_det: tf.Tensor) -> tf.Tensor:
        """Sums what a flow whose events are parts of ours, such as an elementwise one, gave for each part."""
        parts = self.event_shape.rank - self.flow.forward_min_event_ndims
        return tf.reduce_sum(log_det, axis=list(range(-parts, 0)))


def _or_minus_infinity(has_density: tf.Tensor | bool, log_prob: tf.Tensor) -> tf.Tensor:
    """`log_prob` where there is a density and the number is finite."""
    return tf.where(has_density & tf.math.is_finite(log_prob), log_prob, tf.constant(-np.inf, log_prob.dtype))


def _split_context(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    unknown = sorted(set(kwargs) - {"context"})
    if unknown:
        raise TypeError(f"expected no keyword but context, got {', '.join(unknown)}")
    return {}, kwargs
