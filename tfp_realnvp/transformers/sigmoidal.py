"""The deep sigmoidal transformer of neural autoregressive flows; with one layer, the mixture CDF of Flow++."""

import functools

import tensorflow as tf

from tfp_realnvp.transformers.logistic_mixture import Components, components_of, inverse_mixture_logit, mixture_logit
from tfp_realnvp.transformers.transformer import Transformer, in_turn


class Sigmoidal(Transformer):
    """A monotone network of sigmoids (NAF); with one layer, the logit of a logistic mixture's CDF (Flow++).

    For each layer the conditioner computes weights `w_k > 0` that sum to 1, means `m_k` and scales `s_k > 0`:

        h_0 = x;  h_l = logit(sum_k w_k sigmoid((h_{l-1} - m_k) / s_k));  z = h_depth
        inverse:  layer by layer, by bisection
        log dz/dx = sum over layers of log dh_l/dh_{l-1}

    Args:
      components: number of sigmoids in each layer.
      depth: number of layers.

    Raises:
      ValueError: for fewer than 1 component or a depth below 1.

    Huang, Krueger, Lacoste, Courville. Neural autoregressive flows. ICML 2018. arXiv 1804.00779. Section 3.1.
    Ho et al. Flow++. ICML 2019. arXiv 1902.00275. Section 3.2.
    """

    def __init__(self, components: int = 8, *, depth: int = 1):
        if components < 1 or depth < 1:
            raise ValueError(f"expected at least 1 component and a depth of 1, got {components} and {depth}")
        self.components = components
        self.depth = depth
        self.outputs = 3 * components * depth

    def _layers(self, raw: tf.Tensor) -> list[Components]:
        outputs_axis = raw.shape.rank - 2
        others = [axis for axis in range(raw.shape.rank) if axis != outputs_axis]
        return [components_of(part) for part in tf.split(tf.transpose(raw, [outputs_axis, *others]), self.depth)]

    def forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return in_turn(x, [functools.partial(mixture_logit, components=layer) for layer in self._layers(raw)])

    def inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        layers = reversed(self._layers(raw))
        return in_turn(z, [functools.partial(inverse_mixture_logit, components=layer) for layer in layers])

    def __str__(self) -> str:
        return f"{self.components} sigmoids" + (f" in {self.depth} layers" if self.depth > 1 else "")
