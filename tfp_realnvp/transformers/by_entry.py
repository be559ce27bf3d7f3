"""One transformer for some entries, another for the rest."""

import operator
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfp_realnvp.transformers.transformer import Transformer, build_once


class ByEntry(Transformer):
    """Applies one transformer to the entries of a list and another to the rest.

        z_i = f(x_i) for i in entries, else g(x_i)
        log dz_i/dx_i = that of f or g

    Each uses the first of the conditioner's outputs for an entry; the one with fewer parameters leaves the last unused.

    Args:
      entries: positions among the entries that the layer changes: in a `Coupling`, of `mask.changed(x)`.
      transformer: f, the transformer of these entries.
      rest: g, the transformer of all others.

    Raises:
      ValueError: if a position is negative, appears twice or is not below the number of entries.

    ```python
    angles_first = nvp.transformers.ByEntry([0, 1], nvp.transformers.CircularSpline(), nvp.transformers.Affine())
    angles_first.outputs  # 25: that of the circular spline
    ```
    """

    def __init__(self, entries: Sequence[int], transformer: Transformer, rest: Transformer):
        self.entries = tuple(operator.index(entry) for entry in entries)
        if min(self.entries, default=0) < 0 or len(set(self.entries)) < len(self.entries):
            raise ValueError(f"expected different entries of 0 or more, got {self.entries}")
        self.transformer = transformer
        self.rest = rest
        self.outputs = max(transformer.outputs, rest.outputs)

    def build(self, dtype: str, name: str) -> None:
        build_once(self.transformer, dtype, f"{name}_entries")
        build_once(self.rest, dtype, f"{name}_rest")
        self.variables = (*self.transformer.variables, *self.rest.variables)

    def forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._apply(self.transformer.forward, self.rest.forward, x, raw)

    def inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._apply(self.transformer.inverse, self.rest.inverse, z, raw)

    def _apply(
        self,
        first: Callable[..., tuple[tf.Tensor, ...]],
        second: Callable[..., tuple[tf.Tensor, ...]],
        x: tf.Tensor,
        raw: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        size = x.shape[-1]
        if max(self.entries, default=0) >= size:
            raise ValueError(f"expected entries below {size}, the number of entries, got {self.entries}")
        others = [i for i in range(size) if i not in self.entries]
        parts = []
        for function, transformer, entries in ((first, self.transformer, self.entries), (second, self.rest, others)):
            if entries:
                of_part = tf.gather(raw[..., : transformer.outputs, :], entries, axis=-1)
                parts.append(function(tf.gather(x, entries, axis=-1), of_part))
        places = np.argsort([*self.entries, *others])
        y, log_slope = (tf.gather(tf.concat(part, -1), places, axis=-1) for part in zip(*parts))
        return y, log_slope

    def __str__(self) -> str:
        return f"{self.transformer} of {len(self.entries)} entries, else {self.rest}"
