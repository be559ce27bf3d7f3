"""The masked autoregressive layer of MAF, and turned around of IAF."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from tfp_realnvp.bijectors.bijector import Bijector


class MaskedAutoregressive(Bijector):
    """Scales and shifts each entry of a vector by amounts computed from the entries before it.

    With `t_i, r_i = conditioner(x)_i`, which depend on `x_1 ... x_{i-1}` alone:

        s = gain * tanh(r)
        forward:  z_i = x_i exp(s_i) + t_i,        all entries in one evaluation of the conditioner
        inverse:  x_i = (z_i - t_i) exp(-s_i),     one entry after the other, an evaluation each
        log|det df/dx| = sum_i s_i

    So a density costs one pass and a sample as many as there are entries (MAF). In `tfb.Invert` it is the other way
    round, fast samples and slow densities of data that were not sampled (IAF).

    Args:
      conditioner: a built `MaskedMLP(outputs_per_entry=2)`, or any Keras layer or callable from `[batch, size]` to
        `[batch, size, 2]` whose output for an entry depends on no later one, nor on itself: nothing checks it. A layer
        is called with `context=` when the flow is given a context.
      size: of an event, a vector.
      initial_gain: where the gain starts.
      dtype: of the gain, and of the flow.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: when the conditioner's output does not fit, or for an input of another size.

    #### Examples

    ```python
    conditioner = nvp.conditioners.MaskedMLP(hidden=(32,))
    conditioner.build([None, 3])
    layer = nvp.bijectors.MaskedAutoregressive(conditioner, size=3)
    z, log_det = layer.forward_and_log_det(tf.random.normal([4, 3]))
    ```

    #### References

    Papamakarios, Pavlakou, Murray. Masked autoregressive flow for density estimation. NeurIPS 2017. arXiv 1705.07057.
    Kingma et al. Improved variational inference with inverse autoregressive flow. NeurIPS 2016. arXiv 1606.04934.
    """

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        size: int,
        *,
        initial_gain: float = 1.0,
        dtype: str = "float32",
        validate_args: bool = False,
        name: str = "masked_autoregressive",
    ):
        parameters = dict(locals())
        self.size = size
        is_layer = isinstance(conditioner, keras.layers.Layer)
        self.conditioner = self._no_dependency(conditioner) if is_layer else conditioner
        self.gain = self._variable(initial_gain, f"{name}_gain", dtype)
        super().__init__(
            event_ndims=1,
            parameters=parameters,
            layers=(conditioner, self.gain) if is_layer else (self.gain,),
            validate_args=validate_args,
            name=name,
        )

    def _shift_and_log_scale(self, x: tf.Tensor, context, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        if x.shape[-1] != self.size:
            raise ValueError(f"{self.name}: expected vectors of size {self.size}, got {x.shape[-1]}")
        given = {} if context is None else {"context": context}
        if isinstance(self.conditioner, keras.layers.Layer):
            given["training"] = training
        output = tf.cast(self.conditioner(x, **given), x.dtype)
        if output.shape[1:] != [self.size, 2]:
            raise ValueError(
                f"{self.name}: expected the conditioner to return a shift and a log-scale for each of {self.size} "
                f"entries, [batch, {self.size}, 2], got shape {output.shape}"
            )
        return output[..., 0], self.gain.value * tf.tanh(output[..., 1])

    def _forward_and_log_det(self, x, context, training):
        shift, log_scale = self._shift_and_log_scale(x, context, training)
        return x * tf.exp(log_scale) + shift, tf.reduce_sum(log_scale, -1)

    def _inverse_and_log_det(self, z, context, training):
        # After i rounds the first i entries are right, and so is all that is said of the entry after them.
        def one_more(x: tf.Tensor, log_scale: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            shift, log_scale = self._shift_and_log_scale(x, context, training)
            return (z - shift) * tf.exp(-log_scale), log_scale

        start = tf.zeros_like(z), tf.zeros_like(z)
        x, log_scale = tf.while_loop(lambda *unused: True, one_more, start, maximum_iterations=self.size)
        return x, -tf.reduce_sum(log_scale, -1)
