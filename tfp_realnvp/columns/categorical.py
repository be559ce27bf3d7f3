"""Columns of categories without an order."""

import dataclasses
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.columns.codes import codes_of, values_of
from tfp_realnvp.columns.column import Column, infinite_where, inner_noise, nan_where, normal_log_prob, smoothed
from tfp_realnvp.transformers.probit import ndtri


@dataclasses.dataclass(frozen=True)
class Categorical(Column):
    """One of several categories, as the first of several random times: argmax dequantisation.

        t = -log u_0,   e_x = f_x t,   e_k = f_k t - log u_k  for k != x,    v_k = Phi^{-1}(exp(-e_k))
        x = argmin_k e_k / f_k
        log q(v | x) = sum_k log N(v_k; 0, 1) - log f_x

    `f` are the frequencies in the training rows, with half a row added to each category. The `e_k / f_k` are
    exponential times with rates `f_k`, conditioned on that of `x` being the first; the negative logarithms are Gumbel
    variables whose maximum is that of `x`. For categories with frequencies `f`, `v` is standard normal. A flow that
    shifts these logarithms by functions of the other columns is a multinomial logistic regression. Each category has
    one entry, and the categories have no order. Every `v` is a category; with binary codes, some are not.

    Hoogeboom et al. Argmax flows and multinomial diffusion. NeurIPS 2021. arXiv 2102.05379.
    Maddison, Tarlow, Minka. A* sampling. NeurIPS 2014. arXiv 1411.0030. Section 3, for the race.
    """

    values: tuple[str, ...]
    frequencies: tuple[float, ...]

    type = "categorical"

    @classmethod
    def fit(cls, name: str, x: np.ndarray, values: tuple[str, ...] | None = None) -> "Categorical":
        present = [value for value in x if value is not None and value == value]
        values = tuple(sorted(set(present))) if values is None else tuple(values)
        if len(values) < 2:
            raise ValueError(f"{name}: expected several categories, got {', '.join(map(str, values))}")
        codes = codes_of(name, np.asarray(present, object), values).astype(np.int64)
        return cls(name, values, tuple(smoothed(np.bincount(codes, minlength=len(values))).tolist()))

    @property
    def entries(self) -> int:
        return len(self.values)

    @property
    def noises(self) -> int:
        return len(self.values)

    def describe(self) -> str:
        return f"categorical({len(self.values)})"

    def dequantize(self, x: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outside = self._is_outside(x)
        code = tf.where(outside, tf.zeros_like(x), x)
        frequencies = tf.constant(self.frequencies, x.dtype)
        is_winner = self._one_hot(code)
        exponential = -tf.math.log(inner_noise(u))
        # The winner's noise gives its time; the other times begin there.
        time = tf.reduce_sum(is_winner * exponential, -1, keepdims=True)
        e = frequencies * time + (1 - is_winner) * exponential
        is_small = e < math.log(2)
        below = ndtri(tf.where(is_small, -tf.math.expm1(-e), tf.constant(0.5, x.dtype)))
        above = ndtri(tf.where(is_small, tf.constant(0.5, x.dtype), tf.exp(-e)))
        v = tf.where(is_small, -below, above)
        log_frequency = tf.reduce_sum(is_winner * tf.math.log(frequencies), -1)
        return v, infinite_where(outside, tf.reduce_sum(normal_log_prob(v), -1) - log_frequency)

    def quantize(self, v: tf.Tensor) -> tf.Tensor:
        log_time = _log_exponential(v)
        code = tf.cast(tf.argmin(log_time - tf.math.log(tf.constant(self.frequencies, v.dtype)), -1), v.dtype)
        return tf.where(tf.reduce_any(tf.math.is_nan(v), -1), tf.constant(np.nan, v.dtype), code)

    def features(self, x: tf.Tensor) -> tf.Tensor:
        return nan_where(self._is_outside(x), self._one_hot(x))

    def encode(self, values: np.ndarray) -> np.ndarray:
        return codes_of(self.name, values, self.values)

    def decode(self, x: np.ndarray) -> np.ndarray:
        return values_of(x, self.values)

    def _is_outside(self, x: tf.Tensor) -> tf.Tensor:
        return ~((x >= 0) & (x < len(self.values)) & (x == tf.floor(x)))

    def _one_hot(self, code: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(tf.cast(code, tf.int32), len(self.values), dtype=code.dtype)


def _log_exponential(v: tf.Tensor) -> tf.Tensor:
    """`log e` of `e = -log Phi(v)`."""
    zero = tf.zeros_like(v)
    is_large = v > 0
    normal = tfp.distributions.Normal(zero, tf.ones_like(v))
    # For large v, log(-log(1 - p)) with p = Phi(-v), which is log p + p / 2 if p is too small for 1 - p.
    log_p = normal.log_cdf(-tf.where(is_large, v, zero))
    p = tf.exp(log_p)
    safe = tf.maximum(p, tf.constant(1e-3, p.dtype))
    large = tf.where(p > 1e-3, tf.math.log(-tf.math.log1p(-safe)), log_p + p / 2)
    small = tf.math.log(-normal.log_cdf(tf.where(is_large, zero, v)))
    return tf.where(is_large, large, small)
