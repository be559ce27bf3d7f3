"""The layer of neural autoregressive flows."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfp_realnvp.bijectors.autoregressive import Autoregressive
from tfp_realnvp.bijectors.logistic_mixture import components_of, inverse_mixture_logit, mixture_logit


class NeuralAutoregressive(Autoregressive):
    """Sends each entry of a vector through a monotone network, whose weights the entries before it say.

    The network is deep sigmoidal: of `depth` layers, with weights `w_k > 0` that sum to 1, slopes `a_k > 0` and
    offsets `b_k` of each layer from `conditioner(x)_i`, which depends on `x_1 ... x_{i-1}` alone,

        h_0 = x_i;  h_l = logit(sum_k w_k sigmoid(a_k h_{l-1} + b_k));  z_i = h_depth
        inverse:  layer after layer by bisection, one entry after the other, an evaluation of the conditioner each
        log|det df/dx| = sum over entries and layers of log dh_l/dh_{l-1}

    A layer of it is the distribution function of a mixture of logistics with scales `1 / a` and means `-b / a`, seen on
    the scale of its logit; that is how the conditioner's output is read. The inverse brackets each root between those
    of the components and halves that 32 times (64 in float64), to 2^-32 of its width.

    Args:
      conditioner: a built `MaskedMLP(outputs_per_entry=3 * components * depth)`, or any Keras layer or callable from
        `[batch, size]` to `[batch, size, 3 * components * depth]`; see `Autoregressive`.
      size: of an event, a vector.
      components: sigmoids in each layer.
      depth: layers of each entry's network.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: for no component or a depth of 0, when the conditioner's output does not fit, or for an input of
        another size.

    #### Examples

    ```python
    conditioner = nvp.conditioners.MaskedMLP(outputs_per_entry=3 * 8, hidden=(32,))
    conditioner.build([None, 3])
    layer = nvp.bijectors.NeuralAutoregressive(conditioner, size=3, components=8)
    z, log_det = layer.forward_and_log_det(tf.random.normal([4, 3]))
    ```

    #### References

    Huang, Krueger, Lacoste, Courville. Neural autoregressive flows. ICML 2018. arXiv 1804.00779. Section 3.1.
    """

    _parameter_names = "the weights of a monotone network"

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        size: int,
        *,
        components: int = 8,
        depth: int = 1,
        validate_args: bool = False,
        name: str = "neural_autoregressive",
    ):
        parameters = dict(locals())
        if components < 1 or depth < 1:
            raise ValueError(f"expected at least 1 component and a depth of 1, got {components} and {depth}")
        self.components = components
        self.depth = depth
        self.parameters_per_entry = 3 * components * depth
        super().__init__(conditioner, size, parameters=parameters, validate_args=validate_args, name=name)

    def _entrywise(self, x, output):
        total = 0.0
        for raw in tf.split(output, self.depth, -1):
            x, log_slope = mixture_logit(x, components_of(raw))
            total += log_slope
        return x, total

    def _entrywise_inverse(self, z, output):
        total = 0.0
        for raw in reversed(tf.split(output, self.depth, -1)):
            z, log_slope = inverse_mixture_logit(z, components_of(raw))
            total += log_slope
        return z, total
