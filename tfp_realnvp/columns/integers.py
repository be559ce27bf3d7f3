"""Columns of whole numbers, ordered values and booleans."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfp_realnvp.columns.codes import codes_of, values_of
from tfp_realnvp.columns.column import (
    Column,
    infinite_where,
    inner_noise,
    normal_cdf,
    normal_log_prob,
    normal_quantile,
    smoothed,
)

# With more values, several share a bin; bins have about equal numbers of training rows.
_MOST_BINS = 256
TRUTH = (("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"), ("0", "1"))


@dataclasses.dataclass(frozen=True)
class _Whole(Column):
    """Whole numbers, or codes of ordered values; see `Integer`."""

    edges: tuple[int, ...]
    cumulative: tuple[float, ...]

    noises = 1

    def dequantize(self, x: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outside = ~((x >= self.edges[0]) & (x < self.edges[-1]))  # A NaN is outside.
        whole = tf.where(outside, tf.constant(self.edges[0], x.dtype), tf.floor(x))
        edges = tf.constant(self.edges, x.dtype)
        bin_ = tf.searchsorted(edges, whole, side="right") - 1
        first, lower, upper, mass, width = (tf.gather(part, bin_) for part in self._bins(x.dtype))
        share = inner_noise((whole - first + u[:, 0]) / width)
        v = normal_quantile(lower + mass * share, upper + mass * (1 - share))
        log_q = normal_log_prob(v) - tf.math.log(mass / width)
        return v[:, tf.newaxis], infinite_where(outside | (whole != x), log_q)

    def quantize(self, v: tf.Tensor) -> tf.Tensor:
        v = v[:, 0]
        bin_ = tf.searchsorted(self._inner_quantiles(v.dtype), v, side="right")
        first, lower, upper, mass, width = (tf.gather(part, bin_) for part in self._bins(v.dtype))
        share = tf.where(v < 0, (normal_cdf(v) - lower) / mass, 1 - (normal_cdf(-v) - upper) / mass)
        return first + tf.clip_by_value(tf.floor(share * width), 0, width - 1)

    def _inner_quantiles(self, dtype: tf.DType) -> tf.Tensor:
        """The normal quantiles at the edges between bins."""
        inner = tf.constant(self.cumulative[1:-1], tf.float64)
        return tf.cast(tf.math.ndtri(inner), dtype)

    def _bins(self, dtype: tf.DType) -> list[tf.Tensor]:
        """Each bin's first number, probability below it, probability above it, own probability, and width."""
        edges, cumulative = np.asarray(self.edges, np.float64), np.asarray(self.cumulative)
        upper, mass = 1 - cumulative[1:], np.diff(cumulative)
        return [tf.constant(part, dtype) for part in (edges[:-1], cumulative[:-1], upper, mass, np.diff(edges))]

    def _outside(self, x: np.ndarray) -> np.ndarray:
        return ~((x >= self.edges[0]) & (x < self.edges[-1]) & (x == np.floor(x)))

    def _expected(self) -> str:
        return f"a whole number in {self.edges[0]} ... {self.edges[-1] - 1}"


@dataclasses.dataclass(frozen=True)
class Integer(_Whole):
    """A whole number in `edges[0] ... edges[-1] - 1`.

        v = Phi^{-1}(F(x + u)),    F piecewise linear through (edges, cumulative)
        log q(v | x) = log N(v; 0, 1) - log(F(x + 1) - F(x))

    `F` is the distribution function of the training rows, with half a row added to each bin. A bin is one number, or
    several if there are more than 256. `Phi` is the standard normal CDF. This is uniform dequantisation after a change
    of variables: a frequent number has a wide cell, so that the flow need not learn a spike.
    """

    type = "integer"

    @classmethod
    def fit(cls, name: str, x: np.ndarray, low: int | None = None, high: int | None = None) -> "Integer":
        low = int(x.min()) if low is None else int(low)
        high = int(x.max()) if high is None else int(high)
        if not low < high:
            raise ValueError(f"{name}: expected different whole numbers, got {low} to {high}")
        if max(-low, high) >= 2**24:
            raise ValueError(f"{name}: expected whole numbers below {2**24}, which float32 holds, got {low} to {high}")
        edges = _edges(x, low, high)
        counts, _ = np.histogram(x, np.asarray(edges) - 0.5)
        cumulative = np.concatenate([[0.0], np.cumsum(smoothed(counts))[:-1], [1.0]])
        fitted = cls(name, edges, tuple(cumulative.tolist()))
        fitted.checked(x)
        return fitted

    def describe(self) -> str:
        return f"{self.type}({self.edges[0]},{self.edges[-1] - 1})"

    def decode(self, x: np.ndarray) -> np.ndarray:
        return x.astype(np.float64 if np.any(np.isnan(x)) else np.int64)


@dataclasses.dataclass(frozen=True)
class Ordinal(_Whole):
    """One of several ordered values: text in a given order, or numbers that repeat, such as grades."""

    values: tuple[str | float, ...]

    type = "ordinal"

    @classmethod
    def fit(cls, name: str, x: np.ndarray, values: tuple[str | float, ...] | None = None) -> "Ordinal":
        values = tuple(np.unique(x).tolist()) if values is None else tuple(values)
        if len(values) < 2:
            raise ValueError(f"{name}: expected several values, got {', '.join(map(str, values))}")
        codes = codes_of(name, x, values)
        whole = Integer.fit(name, codes[~np.isnan(codes)], 0, len(values) - 1)
        return cls(name, whole.edges, whole.cumulative, values)

    def describe(self) -> str:
        return f"{self.type}({','.join(value if isinstance(value, str) else f'{value:g}' for value in self.values)})"

    def encode(self, values: np.ndarray) -> np.ndarray:
        return codes_of(self.name, values, self.values)

    def decode(self, x: np.ndarray) -> np.ndarray:
        return values_of(x, self.values)


@dataclasses.dataclass(frozen=True)
class Boolean(Ordinal):
    """One of two values, such as yes and no."""

    type = "boolean"

    def describe(self) -> str:
        return self.type

    @classmethod
    def fit(cls, name: str, x: np.ndarray, values: tuple[str | float, ...] | None = None) -> "Boolean":
        values = tuple(np.unique(x[x == x]).tolist()) if values is None else tuple(values)
        if len(values) != 2:
            raise ValueError(f"{name}: expected two values, got {', '.join(map(str, values))}")
        ordinal = Ordinal.fit(name, x, values)
        return cls(name, ordinal.edges, ordinal.cumulative, ordinal.values)


def _edges(x: np.ndarray, low: int, high: int) -> tuple[int, ...]:
    if high - low < _MOST_BINS:
        return tuple(range(low, high + 2))
    quantiles = np.quantile(x, np.linspace(0, 1, _MOST_BINS + 1)[1:-1], method="inverted_cdf").astype(np.int64)
    # A number that fills a whole bin gets an edge on both sides.
    repeated = quantiles[:-1][quantiles[:-1] == quantiles[1:]]
    inner = np.unique(np.concatenate([quantiles, repeated + 1]))
    return (low, *(int(edge) for edge in inner if low < edge <= high), high + 1)
