"""Columns of real numbers: unbounded, bounded, or circular."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfp_realnvp.columns.column import Column, infinite_where, inner_noise
from tfp_realnvp.resolution import least_deviation

# The least distance from a bound, relative to the distance of both bounds, or of the median from the only one.
_MARGIN = 1e-6


@dataclasses.dataclass(frozen=True)
class Real(Column):
    """Any real number, standardised by the mean and standard deviation of the training rows; exact.

    v = (x - mean) / std
    """

    mean: float
    std: float

    type = "real"

    @classmethod
    def fit(cls, name: str, x: np.ndarray) -> "Real":
        mean, std = _moments(name, x)
        _check_resolution(name, x, std, "a standard deviation")
        return cls(name, mean, std)

    def dequantize(self, x: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outside = ~tf.math.is_finite(x)
        v = (tf.where(outside, tf.constant(self.mean, x.dtype), x) - self.mean) / self.std
        return v[:, tf.newaxis], infinite_where(outside, tf.fill(tf.shape(x), tf.constant(math.log(self.std), x.dtype)))

    def quantize(self, v: tf.Tensor) -> tf.Tensor:
        return v[:, 0] * self.std + self.mean


@dataclasses.dataclass(frozen=True)
class Bounded(Column):
    """A real number above a lower bound, below an upper one, or between two; exact.

        t = log(x - low),  -log(high - x)  or  log(x - low) - log(high - x),    v = (t - mean) / std

    The density is in the units of `x`, and 0 outside of the bounds. A value nearer to a bound than `margin` is moved to
    that distance, since the logarithm of 0 is infinite. Samples lie within the bounds.
    """

    low: float | None
    high: float | None
    margin: float
    mean: float
    std: float

    type = "bounded"

    @classmethod
    def fit(cls, name: str, x: np.ndarray, low: float | None = None, high: float | None = None) -> "Bounded":
        if low is None and high is None or low is not None and high is not None and not low < high:
            raise ValueError(f"{name}: expected a lower bound below the upper one, got {low} and {high}")
        unfitted = cls(name, low, high, _MARGIN * _scale(x, low, high), 0.0, 1.0)
        unfitted.checked(x)
        _check_resolution(name, x, _moments(name, x)[1], "a standard deviation")
        t = unfitted.unbounded(tf.constant(x, tf.float64))[0].numpy()
        mean, std = _moments(name, t)
        return dataclasses.replace(unfitted, mean=mean, std=std)

    def describe(self) -> str:
        if (self.low, self.high) == (0, None):
            return "positive"
        return f"bounded({_bound(self.low)},{_bound(self.high)})"

    def dequantize(self, x: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inside = tf.math.is_finite(x)
        inside &= x >= (-np.inf if self.low is None else self.low)
        inside &= x <= (np.inf if self.high is None else self.high)
        # Values outside are replaced by one inside, to avoid NaN.
        at_mean = tf.cast(self._bounded(tf.constant(self.mean, tf.float64)), x.dtype)
        t, log_slope = self.unbounded(tf.where(inside, x, at_mean))
        return ((t - self.mean) / self.std)[:, tf.newaxis], infinite_where(~inside, math.log(self.std) - log_slope)

    def quantize(self, v: tf.Tensor) -> tf.Tensor:
        return self._bounded(v[:, 0] * self.std + self.mean)

    def unbounded(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`t` and `log dt/dx`."""
        if self.high is None:
            t = tf.math.log(tf.maximum(x - self.low, self.margin))
            return t, -t
        if self.low is None:
            t = -tf.math.log(tf.maximum(self.high - x, self.margin))
            return t, t
        below = tf.math.log(tf.maximum(x - self.low, self.margin))
        above = tf.math.log(tf.maximum(self.high - x, self.margin))
        return below - above, math.log(self.high - self.low) - below - above

    def _bounded(self, t: tf.Tensor) -> tf.Tensor:
        if self.high is None:
            return self.low + tf.exp(t)
        if self.low is None:
            return self.high - tf.exp(-t)
        return tf.clip_by_value(self.low + (self.high - self.low) * tf.sigmoid(t), self.low, self.high)

    def _outside(self, x: np.ndarray) -> np.ndarray:
        low, high = -np.inf if self.low is None else self.low, np.inf if self.high is None else self.high
        return np.isinf(x) | (x < low) | (x > high)

    def _expected(self) -> str:
        if self.high is None:
            return f"at least {self.low:g}"
        return f"at most {self.high:g}" if self.low is None else f"{self.low:g} to {self.high:g}"


@dataclasses.dataclass(frozen=True)
class Circular(Column):
    """A number on a circle, such as an angle or an hour of the day: `x` and `x + period` are equal.

        v = r (cos a, sin a),   a = 2 pi (x - start) / period,   r = sqrt(-2 log(1 - u))
        log q(v | x) = -r^2 / 2 - log(2 pi / period)

    The radius is distributed as that of a standard normal in the plane, so that a uniform `x` gives a standard normal
    `v`. The density of `x` is the integral of the flow's density over the radius, so it is continuous at the ends of
    the period for any flow. One radius gives a lower bound.
    """

    period: float
    start: float = 0.0

    type = "circular"
    noises = 1

    @classmethod
    def fit(cls, name: str, x: np.ndarray, period: float, start: float = 0.0) -> "Circular":
        if not (math.isfinite(period) and period > 0):
            raise ValueError(f"{name}: expected a period above 0, got {period}")
        _check_resolution(name, x, period, "a period")
        return cls(name, float(period), float(start))

    @property
    def entries(self) -> int:
        return 2

    def describe(self) -> str:
        return f"circular({self.period:g})" if self.start == 0 else f"circular({self.period:g},{self.start:g})"

    def dequantize(self, x: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outside = ~tf.math.is_finite(x)
        squared = -2 * tf.math.log1p(-inner_noise(u[:, 0]))
        v = tf.sqrt(squared)[:, tf.newaxis] * self.features(tf.where(outside, tf.zeros_like(x), x))
        return v, infinite_where(outside, -squared / 2 - math.log(2 * math.pi / self.period))

    def quantize(self, v: tf.Tensor) -> tf.Tensor:
        turn = tf.math.atan2(v[:, 1], v[:, 0]) / (2 * math.pi)
        x = self.start + self.period * (turn - tf.floor(turn))
        # Rounding may reach the end.
        return tf.where(x >= self.start + self.period, tf.constant(self.start, x.dtype), x)

    def features(self, x: tf.Tensor) -> tf.Tensor:
        angle = (2 * math.pi / self.period) * tf.math.floormod(x - self.start, tf.constant(self.period, x.dtype))
        return tf.stack([tf.cos(angle), tf.sin(angle)], -1)


def _moments(name: str, x: np.ndarray) -> tuple[float, float]:
    mean, std = float(np.mean(x)), float(np.std(x))
    if not std > np.finfo(np.float32).tiny:
        raise ValueError(f"{name}: expected values that differ, got {x[0]:g} in every training row")
    return mean, std


def _check_resolution(name: str, x: np.ndarray, scale: float, what: str) -> None:
    largest = float(np.max(np.abs(x), initial=0.0))
    if largest > np.finfo(np.float32).max:
        raise ValueError(f"{name}: expected numbers that float32 can hold, got values up to {largest:.3g}")
    if scale < least_deviation(largest):
        raise ValueError(
            f"{name}: expected values that float32 can tell apart, got {what} of {scale:.3g} among values up to "
            f"{largest:.3g}; shift or scale the column first"
        )


def _scale(x: np.ndarray, low: float | None, high: float | None) -> float:
    if low is not None and high is not None:
        return high - low
    distance = float(np.median(np.abs(x - (high if low is None else low))))
    return distance or float(np.max(np.abs(x - (high if low is None else low)))) or 1.0


def _bound(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
