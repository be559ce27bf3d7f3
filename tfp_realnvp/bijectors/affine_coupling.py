"""The affine coupling layer, the step Real NVP is made of."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from tfp_realnvp.bijectors.backprop import state_of
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.masks import Mask


class AffineCoupling(Bijector):
    """Scales and shifts one part of an event by amounts computed from the other.

    With `x_a` the kept and `x_b` the changed entries, and `t, r = conditioner(x_a)`:

        s = gain * tanh(r)
        forward, form="scale_first":  z_a = x_a,  z_b = x_b * exp(s) + t       (the paper)
        forward, form="shift_first":  z_a = x_a,  z_b = (x_b + t) * exp(s)     (the authors' program)
        inverse:                      the same solved for x_b; s and t depend on z_a = x_a alone
        log|det df/dx| = sum(s) over the changed entries

    Both directions cost one evaluation of the conditioner. `tanh` bounds `s`, so `exp(s)` cannot overflow; `gain` is
    one learned scalar, and a gain of 0 starts the coupling as a mere shift.

    Args:
      conditioner: a built Keras layer or any callable, from `mask.kept(x)` to `[batch, ..., 2 * changed channels]`:
        the shift `t` in the first half of the last axis, the raw log-scale `r` in the second. A layer is called with
        `training=`, and with `context=` when the flow is given a context. Wrap a callable's `tf.Variable`s in a
        `tf.Module` and they are seen, too.
      mask: which entries are kept: `Checkerboard`, `ChannelHalves` or `Alternating`.
      form: "scale_first" or "shift_first".
      initial_gain: where the gain starts.
      dtype: of the gain, and of the flow.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: for an unknown form, or when the conditioner's output does not fit the changed part.

    #### Examples

    ```python
    conditioner = nvp.conditioners.MLP(outputs=2)
    conditioner.build([None, 1])
    coupling = nvp.bijectors.AffineCoupling(conditioner, nvp.bijectors.Alternating(parity=0))
    z, log_det = coupling.forward_and_log_det(tf.constant([[0.5, -1.0]]))
    ```

    #### References

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. arXiv 1605.08803, sections 3.2 to 3.4.
    """

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        mask: Mask,
        *,
        form: str = "scale_first",
        initial_gain: float = 1.0,
        dtype: str = "float32",
        validate_args: bool = False,
        name: str = "affine_coupling",
    ):
        parameters = dict(locals())
        if form not in ("scale_first", "shift_first"):
            raise ValueError(f'expected form to be "scale_first" or "shift_first", got {form!r}')
        self.mask = mask
        self.form = form
        is_layer = isinstance(conditioner, keras.layers.Layer)
        self.conditioner = self._no_dependency(conditioner) if is_layer else conditioner
        gain = keras.Variable(initial_gain, shape=(), dtype=dtype, autocast=False, name=f"{name}_gain")
        self.gain = self._no_dependency(gain)
        super().__init__(
            event_ndims=mask.event_ndims,
            parameters=parameters,
            layers=(conditioner, self.gain) if is_layer else (self.gain,),
            validate_args=validate_args,
            name=name,
        )

    def _shift_and_log_scale(self, x: tf.Tensor, context, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        given = {} if context is None else {"context": context}
        if isinstance(self.conditioner, keras.layers.Layer):
            given["training"] = training
        output = tf.cast(self.conditioner(self.mask.kept(x), **given), x.dtype)
        size = self.mask.changed_size(x.shape[-1])
        if output.shape[-1] != 2 * size:
            raise ValueError(
                f"{self.name}: expected the conditioner to return {2 * size} channels, a shift and a log-scale for "
                f"each of {size}, got shape {output.shape}"
            )
        shift, raw_log_scale = output[..., :size], output[..., size:]
        return shift, self.gain.value * tf.tanh(raw_log_scale)

    def _forward_and_log_det(self, x, context, training):
        return self._transform(x, *self._shift_and_log_scale(x, context, training))

    def _transform(self, x: tf.Tensor, shift: tf.Tensor, log_scale: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        changed = self.mask.changed(x)
        if self.form == "scale_first":
            changed = changed * tf.exp(log_scale) + shift
        else:
            changed = (changed + shift) * tf.exp(log_scale)
        return self.mask.combine(x, changed), self.mask.sum(log_scale)

    def _inverse_and_log_det(self, z, context, training):
        shift, log_scale = self._shift_and_log_scale(z, context, training)
        return self._solve(z, shift, log_scale), -self.mask.sum(log_scale)

    def _solve(self, z: tf.Tensor, shift: tf.Tensor, log_scale: tf.Tensor) -> tf.Tensor:
        changed = self.mask.changed(z)
        if self.form == "scale_first":
            changed = (changed - shift) * tf.exp(-log_scale)
        else:
            changed = changed * tf.exp(-log_scale) - shift
        return self.mask.combine(z, changed)

    def _forward_and_kept(self, x, context, training, inverts):
        if not inverts:
            return super()._forward_and_kept(x, context, training, inverts)
        state = state_of(self.layers)
        return *self._forward_and_log_det(x, context, training), state

    def _backward(self, z, kept, dz, dlog_det, backward):
        if not backward.inverts:
            return super()._backward(z, kept, dz, dlog_det, backward)
        # What the conditioner reads is the same in z as in x: one evaluation gives the inverse and the gradient.
        z = backward.after_later_layers(z, dz)
        network_outputs, network_tape = backward.evaluate(self._shift_and_log_scale, z, kept)
        x = self._solve(z, *network_outputs)
        with tf.GradientTape() as tape:
            tape.watch([x, *network_outputs])
            outputs = self._transform(x, *network_outputs)
        dx, *upstream = tape.gradient(outputs, [x, *network_outputs], [dz, dlog_det])
        return x, dx + backward.gradient(network_tape, network_outputs, upstream, z)
