"""The base class of a table's columns: values as real numbers, and the noise that dequantises them."""

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_realnvp.columns.values import is_missing, number_of
from tfp_realnvp.transformers.probit import ndtri

FLOAT32 = np.finfo(np.float32)
# The smallest distance of noise from 0 and 1, whose normal quantiles are infinite.
_LEAST_NOISE = 2.0**-24


@dataclasses.dataclass(frozen=True)
class Column(abc.ABC):
    """A column of a table as a part of the vectors whose density a flow learns.

        v = g(x, u),   x = h(v),    u uniform on (0, 1)
        log p(x) >= E[log p(v) - log q(v | x)]

    A value `x` becomes `entries` real numbers `v`. If the type needs no noise, `g` is invertible, `-log q` is
    `log|dg/dx|`, and the density is exact. Otherwise `q` is the distribution of `v` under the noise, its support is the
    set of all `v` that `h` maps to `x`, and the density is a lower bound. For data whose columns are independent and
    distributed as in training, `v` is standard normal and the bound is tight.

    Attributes:
      name: name of the column.
    """

    name: str

    type: ClassVar[str]

    @property
    def noises(self) -> int:
        """Number of noise entries for a value."""
        return 0

    @property
    def entries(self) -> int:
        """Number of entries of `v` for a value."""
        return 1

    @property
    def is_exact(self) -> bool:
        """Whether `log p(v) - log q` is the log-density itself and not a bound."""
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
        """The network inputs `[n, size]` of values `[n]` that a density is conditioned on; NaN outside the support."""
        v, log_q = self.dequantize(x, tf.fill([tf.shape(x)[0], self.noises], tf.constant(0.5, x.dtype)))
        return nan_where(tf.math.is_inf(log_q), v)

    @property
    def feature_count(self) -> int:
        """The size of `features`."""
        return self.entries

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values as they are in the file, `[n]`, as float64; NaN for a missing value.

        Raises:
          ColumnError: for a value outside the support, or a number beyond float32's range, with the index of its row.
        """
        array = np.asarray(values)
        if array.dtype.kind in "buif":
            return self.checked(array.astype(np.float64))
        numbers = np.full(len(array), np.nan)
        for row, value in enumerate(array.tolist()):
            if not is_missing(value):
                try:
                    numbers[row] = number_of(value)
                except (TypeError, ValueError):
                    raise ColumnError(self.name, row, f"expected a number, got {value!r}") from None
        return self.checked(numbers)

    def decode(self, x: np.ndarray) -> np.ndarray:
        """Values `[n]` as they are in the user's file; None or NaN where `x` is NaN."""
        return x

    def describe(self) -> str:
        """The type with its options, such as "bounded(0,1)"."""
        return self.type

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type} | dataclasses.asdict(self)

    def checked(self, x: np.ndarray) -> np.ndarray:
        """Returns the numbers `[n]`; raises a `ColumnError` for one outside the support, or beyond float32's range."""
        for is_fault, expected in (
            (self._outside(x) & ~np.isnan(x), self._expected()),
            (np.abs(x) > FLOAT32.max, "a number that float32 can hold"),
        ):
            if np.any(is_fault):
                index = int(np.argmax(is_fault))
                raise ColumnError(self.name, index, f"expected {expected}, got {x[index]:g}")
        return x

    def _outside(self, x: np.ndarray) -> np.ndarray:
        return np.isinf(x)

    def _expected(self) -> str:
        return "a finite number"


class ColumnError(ValueError):
    """A value outside the support of its column.

    Attributes:
      column: name of the column.
      index: index of the row, from 0.
      reason: "expected ..., got ...".
    """

    def __init__(self, column: str, index: int, reason: str):
        super().__init__(f"row {index}, column {column!r}: {reason}")
        self.column, self.index, self.reason = column, index, reason


def inner_noise(u: tf.Tensor) -> tf.Tensor:
    """Uniform noise on [0, 1), clipped so that it does not round to 0 or 1."""
    return tf.clip_by_value(u, _LEAST_NOISE, 1 - _LEAST_NOISE)


def normal_log_prob(v: tf.Tensor) -> tf.Tensor:
    """The log-density of a standard normal."""
    return -0.5 * (tf.square(v) + np.log(2 * np.pi))


def normal_quantile(lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
    """The standard normal quantile of probabilities `lower`; `upper = 1 - lower` is exact where it is small."""
    is_low = lower < 0.5
    half = tf.constant(0.5, lower.dtype)
    below, above = tf.where(is_low, lower, half), tf.where(is_low, half, upper)
    return tf.where(is_low, ndtri(below), -ndtri(above))


def normal_cdf(v: tf.Tensor) -> tf.Tensor:
    """The standard normal CDF of `v`, accurate where it is small."""
    return tf.math.erfc(v * -np.sqrt(0.5).astype(v.dtype.as_numpy_dtype)) / 2


def smoothed(counts: ArrayLike) -> np.ndarray:
    """Relative frequencies; half a count is added to each, so that none is 0."""
    added = np.asarray(counts, np.float64) + 0.5
    return added / added.sum()


def nan_where(outside: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
    """Entries `[n, size]`, NaN in rows `outside` `[n]`: a density given a value that is none is no number."""
    return tf.where(outside[:, tf.newaxis], tf.constant(np.nan, entries.dtype), entries)


def infinite_where(outside: tf.Tensor, log_q: tf.Tensor) -> tf.Tensor:
    return tf.where(outside, tf.constant(np.inf, log_q.dtype), log_q)
