"""The affine coupling layer, the step Real NVP is made of."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfp_realnvp.bijectors.coupling import Coupling
from tfp_realnvp.bijectors.masks import Mask


class AffineCoupling(Coupling):
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
      mask: which entries are kept: `Checkerboard`, `ChannelHalves`, `Halves` or `Alternating`.
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

    parameters_per_entry = 2
    _parameter_names = "a shift and a log-scale"

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
        self.form = form
        self.gain = self._variable(initial_gain, f"{name}_gain", dtype)
        super().__init__(
            conditioner, mask, parameters=parameters, variables=(self.gain,), validate_args=validate_args, name=name
        )

    def _constrained(self, output):
        shift, raw_log_scale = tf.split(output, 2, -1)
        return [shift, self.gain.value * tf.tanh(raw_log_scale)]

    def _entrywise(self, x, parameters):
        shift, log_scale = parameters
        if self.form == "scale_first":
            return x * tf.exp(log_scale) + shift, log_scale
        return (x + shift) * tf.exp(log_scale), log_scale

    def _entrywise_inverse(self, z, parameters):
        shift, log_scale = parameters
        if self.form == "scale_first":
            return (z - shift) * tf.exp(-log_scale), -log_scale
        return z * tf.exp(-log_scale) - shift, -log_scale
