"""Composition of transformers."""

import functools

import tensorflow as tf

from tfp_realnvp.transformers.affine import Affine
from tfp_realnvp.transformers.sigmoidal import Sigmoidal
from tfp_realnvp.transformers.transformer import Transformer, build_once, in_turn


class Compose(Transformer):
    """Applies transformers from first to last.

        forward:  z = f_n(... f_1(x)),  each with its own slice of the conditioner's output
        inverse:  x = f_1^{-1}(... f_n^{-1}(z))
        log dz/dx = sum of the log-slopes

    Args:
      *transformers: the transformers; by default `Sigmoidal(), Affine()`, as in Flow++.

    ```python
    transformer = nvp.transformers.Compose(nvp.transformers.Sigmoidal(4), nvp.transformers.Affine())
    transformer.outputs  # 3 * 4 + 2
    ```
    """

    def __init__(self, *transformers: Transformer):
        self.transformers = transformers or (Sigmoidal(), Affine())
        self.outputs = sum(transformer.outputs for transformer in self.transformers)

    def build(self, dtype: str, name: str) -> None:
        for i, transformer in enumerate(self.transformers):
            build_once(transformer, dtype, f"{name}_{i}")
        self.variables = tuple(variable for transformer in self.transformers for variable in transformer.variables)

    def _parts(self, raw: tf.Tensor) -> list[tuple[Transformer, tf.Tensor]]:
        sizes = [transformer.outputs for transformer in self.transformers]
        return list(zip(self.transformers, tf.split(raw, sizes, -2)))

    def forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return in_turn(x, [functools.partial(part.forward, raw=of_part) for part, of_part in self._parts(raw)])

    def inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parts = reversed(self._parts(raw))
        return in_turn(z, [functools.partial(part.inverse, raw=of_part) for part, of_part in parts])

    def __str__(self) -> str:
        return ", then ".join(map(str, self.transformers))
