"""What a column of a table is to a flow: real numbers, as many as its type needs, and the noise that makes them."""

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

# The nearest that noise gets to 0 and 1, whose normal quantiles are infinite.
_LEAST_NOISE = 2.0**-24


@dataclasses.dataclass(frozen=True)
class Column(abc.ABC):
    """A column of a table as a part of the vectors whose density a flow learns.

        v = g(x, u),   x = h(v),    u uniform on (0, 1)
        log p(x) >= E[log p(v) - log q(v | x)]

    A value `x` becomes `entries` real numbers `v`. Where the type needs no noise, `g` is invertible and `-log q` is
    `log|dg/dx|`: the density is exact. Otherwise `q` is the distribution of `v` that the noise gives it, whose support
    is the set of all `v` that `h` maps to `x`, and the density a lower bound. For data whose columns are independent
    and distributed as in training, `v` is standard normal and the bound is tight.

    Attributes:
      name: of the column.
    """

    name: str

    type: ClassVar[str]

    @property
    def noises(self) -> int:
        """The noise entries of a value."""
        return 0

    @property
    def entries(self) -> int:
        """The entries of `v` for a value."""
        return 1

    @property
    def is_exact(self) -> bool:
        """Whether `log p(v) - log q` is the density itself and not a bound."""
        return self.noises == 0

    @property
    def is_text(self) -> bool:
        """Whether the values are text in the user's table."""
        return any(isinstance(value, str) for value in getattr(self, "values", ()))

    @abc.abstractmethod
    def dequantize(self, x: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`v` `[n, entries]` and `log q(v | x)` `[n]` of values `[n]` and noise `[n, noises]`.

        The density of a value outside the support is 0: `log q` is infinite there and `v` finite.
        """

    @abc.abstractmethod
    def quantize(self, v: tf.Tensor) -> tf.Tensor:
        """The values `[n]` of `v` `[n, entries]`."""

    def features(self, x: tf.Tensor) -> tf.Tensor:
        """What a network is given of values `[n]` that a density is conditioned on, `[n, size]`."""
        return self.dequantize(x, tf.fill([tf.shape(x)[0], self.noises], tf.constant(0.5, x.dtype)))[0]

    @property
    def feature_count(self) -> int:
        """The size of `features`."""
        return self.entries

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values as the file has them, `[n]`, as float64; NaN where one is missing.

        Raises:
          ValueError: for a value that the column cannot have, with the index of its row.
        """
        return self.checked(np.asarray(values, np.float64))

    def decode(self, x: np.ndarray) -> np.ndarray:
        """Values `[n]` as the user's file had them."""
        return x

    def describe(self) -> str:
        """The type in a few words, such as "bounded(0, 1)"."""
        return self.type

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type} | dataclasses.asdict(self)

    def checked(self, x: np.ndarray) -> np.ndarray:
        """Numbers `[n]`, or a `ColumnError` for one that the column cannot have."""
        fault = self._outside(x) & ~np.isnan(x)
        if np.any(fault):
            index = int(np.argmax(fault))
            raise ColumnError(self.name, index, f"expected {self._expected()}, got {x[index]:g}")
        return x

    def _outside(self, x: np.ndarray) -> np.ndarray:
        return np.isinf(x)

    def _expected(self) -> str:
        return "a finite number"


class ColumnError(ValueError):
    """A value that its column cannot have.

    Attributes:
      column: the column's name.
      index: of the row, from 0.
      reason: what was expected and what came.
    """

    def __init__(self, column: str, index: int, reason: str):
        super().__init__(f"row {index}, column {column!r}: {reason}")
        self.column, self.index, self.reason = column, index, reason


def inner_noise(u: tf.Tensor) -> tf.Tensor:
    """Uniform noise on [0, 1) without what rounds to its ends."""
    return tf.clip_by_value(u, _LEAST_NOISE, 1 - _LEAST_NOISE)


def normal_log_prob(v: tf.Tensor) -> tf.Tensor:
    """The log-density of a standard normal."""
    return -0.5 * (tf.square(v) + np.log(2 * np.pi))


def normal_quantile(lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
    """The standard normal quantile of probabilities `lower`, given also as `upper = 1 - lower` where that is small."""
    is_low = lower < 0.5
    half = tf.constant(0.5, lower.dtype)
    below, above = tf.where(is_low, lower, half), tf.where(is_low, half, upper)
    return tf.where(is_low, tf.math.ndtri(below), -tf.math.ndtri(above))


def normal_cdf(v: tf.Tensor) -> tf.Tensor:
    """The probability that a standard normal number is below `v`; accurate where that is small."""
    return tf.math.erfc(v * -np.sqrt(0.5).astype(v.dtype.as_numpy_dtype)) / 2


def smoothed(counts: ArrayLike) -> np.ndarray:
    """Relative frequencies, none of them 0: half a count is added to each."""
    added = np.asarray(counts, np.float64) + 0.5
    return added / added.sum()


def infinite_where(outside: tf.Tensor, log_q: tf.Tensor) -> tf.Tensor:
    return tf.where(outside, tf.constant(np.inf, log_q.dtype), log_q)
