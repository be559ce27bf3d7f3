"""The additive coupling layer of NICE."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfp_realnvp.bijectors.coupling import Coupling
from tfp_realnvp.bijectors.masks import Mask


class AdditiveCoupling(Coupling):
    """Shifts one part of an event by amounts computed from the other.

    With `x_a` the kept and `x_b` the changed entries, and `t = conditioner(x_a)`:

        forward:  z_a = x_a,  z_b = x_b + t
        inverse:  x_a = z_a,  x_b = z_b - t
        log|det df/dx| = 0

    It keeps volumes: a flow of these alone needs a layer that scales, see `ActNorm`.

    Args:
      conditioner: a built Keras layer or any callable, from `mask.kept(x)` to `[batch, ..., changed channels]`; see
        `Coupling`.
      mask: which entries are kept: `Checkerboard`, `ChannelHalves`, `Halves` or `Alternating`.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: when the conditioner's output does not fit the changed part.

    #### Examples

    ```python
    conditioner = nvp.conditioners.MLP(outputs=1)
    conditioner.build([None, 1])
    coupling = nvp.bijectors.AdditiveCoupling(conditioner, nvp.bijectors.Alternating(parity=0))
    z, log_det = coupling.forward_and_log_det(tf.constant([[0.5, -1.0]]))
    ```

    #### References

    Dinh, Krueger, Bengio. NICE: non-linear independent components estimation. ICLR workshop 2015. arXiv 1410.8516.
    """

    parameters_per_entry = 1
    _parameter_names = "a shift"

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        mask: Mask,
        *,
        validate_args: bool = False,
        name: str = "additive_coupling",
    ):
        parameters = dict(locals())
        super().__init__(conditioner, mask, parameters=parameters, validate_args=validate_args, name=name)

    def _entrywise(self, x, parameters):
        return x + parameters[0], tf.zeros_like(x)

    def _entrywise_inverse(self, z, parameters):
        return z - parameters[0], tf.zeros_like(z)
