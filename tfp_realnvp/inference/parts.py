"""Parameters and observations of several named parts, as vectors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Parts:
    """How named arrays make a vector: in this order, each in row-major order, one behind the other.

    Attributes:
      names: of the parts; None for one array without a name.
      shapes: of one event of each part.
    """

    names: tuple[str, ...] | None
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, values: Any, what: str) -> Parts:
        """The parts of `values`, an array `[n, ...]` or arrays by name.

        Raises:
          ValueError: unless all parts have the same number of rows, 1 or more.
        """
        named = by_name(values)
        arrays = [tf.convert_to_tensor(values)] if named is None else [tf.convert_to_tensor(v) for v in named.values()]
        counts = {tuple(array.shape[:1]) for array in arrays}
        if len(counts) != 1 or counts & {(), (0,)}:
            raise ValueError(
                f"expected {what} of one shape [n, ...] or arrays with the same n, got shapes "
                f"{', '.join(str(tuple(array.shape)) for array in arrays) or 'none'}"
            )
        return cls(None if named is None else tuple(named), tuple(tuple(array.shape[1:]) for array in arrays))

    @property
    def size(self) -> int:
        """The number of entries of a vector."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def entries(self) -> tuple[str, ...]:
        """A name for each entry of a vector, such as "scale" or "loc[0]"."""
        found = []
        for name, shape in zip(self.names or ("theta",), self.shapes):
            count = math.prod(shape)
            found += [name] if not shape else [f"{name}[{i}]" for i in range(count)]
        return tuple(found)

    def arrays(self, values: Any, what: str) -> list[tf.Tensor]:
        """The arrays `[..., *shape]` of each part in order, float64 if one of them has that precision, else float32.

        Raises:
          TypeError: for arrays of complex numbers or text.
          ValueError: for other names or shapes.
        """
        named = by_name(values)
        if (None if named is None else sorted(named)) != (None if self.names is None else sorted(self.names)):
            expected = "an array" if self.names is None else f"the parts {', '.join(self.names)}"
            raise ValueError(
                f"expected {expected} for {what}, got {'an array' if named is None else ', '.join(named) or 'none'}"
            )
        given = [values] if named is None or self.names is None else [named[name] for name in self.names]
        # TensorFlow would round Python's numbers to float32.
        arrays = [tf.convert_to_tensor(array if tf.is_tensor(array) else np.asarray(array)) for array in given]
        for array in arrays:
            if not (array.dtype.is_floating or array.dtype.is_integer or array.dtype.is_bool):
                raise TypeError(f"expected {what} of real numbers, got {array.dtype.name}")
        # Half precision and float32 fit into float32, whole numbers may not.
        is_single = all(array.dtype.is_floating and array.dtype.size <= 4 for array in arrays)
        arrays = [tf.cast(array, tf.float32 if is_single else tf.float64) for array in arrays]
        for array, shape in zip(arrays, self.shapes):
            if array.shape.rank < len(shape) or tuple(array.shape[array.shape.rank - len(shape) :]) != shape:
                raise ValueError(f"expected {what} of shape [..., {', '.join(map(str, shape))}], got {array.shape}")
        return arrays

    def vectors(self, values: Any, what: str) -> tf.Tensor:
        """Vectors `[..., size]`."""
        return joined(self.arrays(values, what), self.shapes)

    def values(self, vectors: tf.Tensor) -> Any:
        """The array or the dict of arrays of vectors `[..., size]`."""
        arrays = separated(vectors, self.shapes)
        return arrays[0] if self.names is None else dict(zip(self.names, arrays))


def joined(arrays: Sequence[tf.Tensor], shapes: Sequence[tuple[int, ...]]) -> tf.Tensor:
    """Arrays `[..., *shape]` as vectors `[..., size]`."""
    batches = [tf.shape(array)[: array.shape.rank - len(shape)] for array, shape in zip(arrays, shapes)]
    flat = [
        tf.reshape(array, tf.concat([batch, [math.prod(shape)]], 0))
        for array, shape, batch in zip(arrays, shapes, batches)
    ]
    return tf.concat(flat, -1)


def separated(vectors: tf.Tensor, shapes: Sequence[tuple[int, ...]]) -> list[tf.Tensor]:
    """The inverse of `joined`."""
    parts = tf.split(vectors, [math.prod(shape) for shape in shapes], -1)
    return [tf.reshape(part, tf.concat([tf.shape(part)[:-1], shape], 0)) for part, shape in zip(parts, shapes)]


def by_name(values: Any) -> Mapping[str, Any] | None:
    """A dict of a dict or a named tuple; None for an array."""
    if (names := getattr(values, "_fields", None)) is not None:
        return {name: getattr(values, name) for name in names}
    if isinstance(values, Mapping):
        return values
    return None


def simulate(
    joint: Any, count: int, *, observed: str | Sequence[str], seed: int = 0
) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Draws parameters and observations from a joint distribution.

        (theta_i, x_i) ~ p(theta) p(x | theta),    i = 1 ... count

    Args:
      joint: a TFP joint distribution with named parts.
      count: number of pairs.
      observed: names of the parts that are observed; all other parts are parameters.
      seed: seed of the draws; sets TensorFlow's global seed.

    Returns:
      The parameters and the observations by name, each `[count, ...]`, for `fit_posterior(theta, x, prior=joint)`.

    Raises:
      ValueError: if no part has one of these names, or all parts are observed.

    ```python
    joint = tfd.JointDistributionNamed(dict(rate=tfd.Gamma(2.0, 1.0), times=lambda rate: tfd.Exponential(rate)))
    theta, x = nvp.inference.simulate(joint, 100, observed="times")
    theta["rate"]  # [100]
    ```

    The order of a vector's entries is that of the joint distribution's parts.
    """
    names = (observed,) if isinstance(observed, str) else tuple(observed)
    tf.random.set_seed(seed)  # Stateless seeds would make joint distributions with automatic batches draw in a loop.
    draws = by_name(joint.sample(count, seed=seed)) or {}
    if unknown := [name for name in names if name not in draws]:
        raise ValueError(f"expected observed to be among {', '.join(draws)}, got {', '.join(unknown)}")
    theta = {name: value for name, value in draws.items() if name not in names}
    if not theta or not names:
        raise ValueError(f"expected parameters and observations, got only the parts {', '.join(draws)} of one kind")
    return theta, {name: draws[name] for name in names}
