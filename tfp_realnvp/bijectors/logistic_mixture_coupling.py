"""The coupling of Flow++."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfp_realnvp.bijectors.coupling import Coupling
from tfp_realnvp.bijectors.logistic_mixture import components_of, inverse_mixture_logit, mixture_logit
from tfp_realnvp.bijectors.masks import Mask


class LogisticMixtureCoupling(Coupling):
    """Bends one part of an event along a mixture's distribution function, of which the other part says all.

    With `x_a` the kept and `x_b` the changed entries, and a shift `t`, a raw log-scale `r` and a mixture's weights `w`,
    means `m` and scales `s` for each changed entry from `conditioner(x_a)`:

        F(x) = sum_k w_k sigmoid((x - m_k) / s_k)
        forward:  z_a = x_a,  z_b = logit(F(x_b)) * exp(gain * tanh(r)) + t
        inverse:  x_a = z_a,  x_b by bisection
        log|det df/dx| = sum over the changed entries of gain * tanh(r) + log F' - log F - log(1 - F)

    The inverse brackets its root between the roots of the components and halves that 32 times (64 in float64), to
    2^-32 of its width; it costs one evaluation of the conditioner, too.

    Args:
      conditioner: a built Keras layer or any callable, from `mask.kept(x)` to `[batch, ..., (2 + 3 * components) *
        changed channels]`; see `Coupling`.
      mask: which entries are kept: `Checkerboard`, `ChannelHalves`, `Halves` or `Alternating`.
      components: of each mixture.
      initial_gain: where the gain starts.
      dtype: of the gain, and of the flow.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: for no component, or when the conditioner's output does not fit the changed part.

    #### Examples

    ```python
    conditioner = nvp.conditioners.MLP(outputs=2 + 3 * 8)
    conditioner.build([None, 1])
    coupling = nvp.bijectors.LogisticMixtureCoupling(conditioner, nvp.bijectors.Alternating(parity=0), components=8)
    z, log_det = coupling.forward_and_log_det(tf.constant([[0.5, -1.0]]))
    ```

    #### References

    Ho et al. Flow++: improving flow-based generative models with variational dequantization and architecture design.
    ICML 2019. arXiv 1902.00275. Section 3.2.
    """

    _parameter_names = "a shift, a log-scale and a mixture"

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        mask: Mask,
        *,
        components: int = 8,
        initial_gain: float = 1.0,
        dtype: str = "float32",
        validate_args: bool = False,
        name: str = "logistic_mixture_coupling",
    ):
        parameters = dict(locals())
        if components < 1:
            raise ValueError(f"expected at least 1 component, got {components}")
        self.components = components
        self.parameters_per_entry = 2 + 3 * components
        self.gain = self._variable(initial_gain, f"{name}_gain", dtype)
        super().__init__(
            conditioner, mask, parameters=parameters, variables=(self.gain,), validate_args=validate_args, name=name
        )

    def _constrained(self, output):
        shape = tf.concat([tf.shape(output)[:-1], [-1, self.parameters_per_entry]], 0)
        size = output.shape[-1] // self.parameters_per_entry
        output = tf.ensure_shape(tf.reshape(output, shape), [*output.shape[:-1], size, self.parameters_per_entry])
        return [output[..., 0], self.gain.value * tf.tanh(output[..., 1]), *components_of(output[..., 2:])]

    def _entrywise(self, x, parameters):
        shift, log_scale, *components = parameters
        y, log_slope = mixture_logit(x, components)
        return y * tf.exp(log_scale) + shift, log_scale + log_slope

    def _entrywise_inverse(self, z, parameters):
        shift, log_scale, *components = parameters
        x, log_slope = inverse_mixture_logit((z - shift) * tf.exp(-log_scale), components)
        return x, log_slope - log_scale
