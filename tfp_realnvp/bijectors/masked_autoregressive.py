"""The masked autoregressive layer of MAF, and turned around of IAF."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfp_realnvp.bijectors.autoregressive import Autoregressive


class MaskedAutoregressive(Autoregressive):
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
        `[batch, size, 2]`; see `Autoregressive`.
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

    parameters_per_entry = 2
    _parameter_names = "a shift and a log-scale"

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
        self.gain = self._variable(initial_gain, f"{name}_gain", dtype)
        super().__init__(
            conditioner, size, parameters=parameters, variables=(self.gain,), validate_args=validate_args, name=name
        )

    def _shift_and_log_scale(self, output: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return output[..., 0], self.gain.value * tf.tanh(output[..., 1])

    def _entrywise(self, x, output):
        shift, log_scale = self._shift_and_log_scale(output)
        return x * tf.exp(log_scale) + shift, log_scale

    def _entrywise_inverse(self, z, output):
        shift, log_scale = self._shift_and_log_scale(output)
        return (z - shift) * tf.exp(-log_scale), -log_scale
