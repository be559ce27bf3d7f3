"""A transformer of each entry by itself, with learned parameters or parameters computed from the context."""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.precision import call_conditioner, reads_context
from tfp_realnvp.transformers import Transformer
from tfp_realnvp.transformers.transformer import build_once, check_transformer, checked


class Elementwise(Bijector):
    """Transforms each entry by itself, with parameters that no other entry determines.

        forward:  z_i = f(x_i; r_i),         f increasing,  r = conditioner(context), or learned
        inverse:  x_i = f^{-1}(z_i; r_i)
        log|det df/dx| = sum_i log f'

    As the last layer before a standard normal base it gives every latent entry a density of its own: with `Affine` a
    normal distribution with a learned mean and scale, with a conditioner those of `p(z | context)`, with `Sigmoidal` a
    mixture.

    Args:
      transformer: the map f of each entry, such as `tfp_realnvp.transformers.Affine()`.
      event_shape: shape of one event, `[size]` or `[height, width, channels]`.
      conditioner: a built Keras layer or any callable, called as a `Coupling` calls its own, with an empty vector
        `[batch, 0]` and the context. It returns `[batch, transformer.outputs * entries of the event]`: for each pixel
        the first parameter of all channels, then the second, and so on. None for learned parameters, which start at 0.

    Raises:
      TypeError: if the transformer is not an instance of `Transformer`.
      ValueError: if events have another shape, or the conditioner's output has the wrong size.

    ```python
    layer = nvp.bijectors.Elementwise(nvp.transformers.Affine(), event_shape=[3])
    z, log_det = layer.forward_and_log_det(tf.random.normal([4, 3]))
    ```

    Papamakarios et al. Normalizing flows for probabilistic modeling and inference. JMLR 2021. arXiv 1912.02762.
    """

    def __init__(
        self,
        transformer: Transformer,
        event_shape: Sequence[int],
        conditioner: Callable[..., tf.Tensor] | None = None,
        *,
        dtype: str = "float32",
        name: str = "elementwise",
    ):
        check_transformer(transformer)
        *pixels, entries = event_shape
        super().__init__(event_ndims=len(pixels) + 1, name=name)
        build_once(transformer, tf.as_dtype(dtype).name, name)
        self.transformer, self._event = transformer, tf.TensorShape(event_shape)
        self._raw_shape = (*pixels, transformer.outputs, entries)
        self.raw = None
        if conditioner is None:
            self.raw = self._variable("zeros", f"{name}_raw", dtype, shape=self._raw_shape)
        else:
            self.conditioner = conditioner

    @property
    def takes_context(self) -> bool:
        return hasattr(self, "conditioner") and reads_context(self.conditioner)

    def describe(self) -> str:
        parameters = "learned" if self.raw is not None else "of the context"
        return f"Elementwise: {self.transformer}, parameters {parameters}"

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        if not shape.is_compatible_with(self._event):
            raise ValueError(f"{self.name}: expected events of shape {self._event}, got {shape}")
        return self._event

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._forward_event_shape(shape)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._each_entry(self.transformer.forward, x, context, training)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._each_entry(self.transformer.inverse, z, context, training)

    def _each_entry(
        self, transform: Callable[..., ValueAndLogDet], x: tf.Tensor, context: tf.Tensor | None, training: bool
    ) -> ValueAndLogDet:
        x = tf.ensure_shape(x, [None, *self._event], name="events")  # A size known at run time may be another.
        y, log_slope = checked(x, transform(x, self._raw_of(x, context, training)), self.transformer)
        return tf.ensure_shape(y, x.shape), tf.reduce_sum(log_slope, list(range(1, x.shape.rank)))

    def _raw_of(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> tf.Tensor:
        """Those of each event, `[batch, ..., outputs, entries]`."""
        if self.raw is not None:
            # Not left to broadcasting, which splines do not do.
            return tf.broadcast_to(self.raw.value, [tf.shape(x)[0], *self._raw_shape])
        nothing = tf.zeros([tf.shape(x)[0], 0], x.dtype)
        output = tf.cast(call_conditioner(self.conditioner, nothing, context, training), x.dtype)
        if output.shape[1:] != [math.prod(self._raw_shape)]:
            raise ValueError(
                f"{self.name}: expected the conditioner to return {math.prod(self._raw_shape)} numbers, "
                f"{self.transformer.outputs} for each of {self._event.num_elements()} entries ({self.transformer}), "
                f"got shape {output.shape}"
            )
        return tf.reshape(output, [-1, *self._raw_shape])
