"""Transformers one after the other."""

import keras
import tensorflow as tf

from tfp_realnvp.transformers.affine import Affine
from tfp_realnvp.transformers.sigmoidal import Sigmoidal
from tfp_realnvp.transformers.transformer import Transformer


class Compose(Transformer):
    """Applies transformers from first to last.

        forward:  z = f_n(... f_1(x)),  each with its own part of the conditioner's output
        inverse:  x = f_1^{-1}(... f_n^{-1}(z))
        log dz/dx = sum of the log-slopes

    Args:
      *transformers: the parts; by default `Sigmoidal(), Affine()`, the transformer of Flow++.

    ```python
    transformer = nvp.transformers.Compose(nvp.transformers.Sigmoidal(4), nvp.transformers.Affine())
    transformer.outputs  # 3 * 4 + 2
    ```
    """

    def __init__(self, *transformers: Transformer):
        self.transformers = transformers or (Sigmoidal(), Affine())
        self.outputs = sum(transformer.outputs for transformer in self.transformers)

    def build(self, dtype, name):
        variables: list[keras.Variable] = []
        for i, transformer in enumerate(self.transformers):
            transformer.build(dtype, f"{name}_{i}")
            variables += transformer.variables
        self.variables = tuple(variables)

    def _parts(self, raw: tf.Tensor) -> list[tuple[Transformer, tf.Tensor]]:
        sizes = [transformer.outputs for transformer in self.transformers]
        return list(zip(self.transformers, tf.split(raw, sizes, -2)))

    def forward(self, x, raw):
        total = 0.0
        for transformer, part in self._parts(raw):
            x, log_slope = transformer.forward(x, part)
            total += log_slope
        return x, total

    def inverse(self, z, raw):
        total = 0.0
        for transformer, part in reversed(self._parts(raw)):
            z, log_slope = transformer.inverse(z, part)
            total += log_slope
        return z, total

    def __str__(self):
        return ", then ".join(map(str, self.transformers))
