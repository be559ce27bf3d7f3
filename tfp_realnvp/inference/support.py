"""Parameters as vectors of unbounded numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.inference.parts import Parts, by_name, joined, separated

tfd = tfp.distributions


class Support:
    """The prior's support, mapped to all of R^k by the prior's own bijector.

        u = T^-1(theta),    log p(theta) = log p(u) + log|det dT^-1/dtheta|

    Args:
      parts: of the parameters.
      prior: a distribution of the parameters; a joint distribution may have observed parts beside them. None for
        parameters without bounds.
      observations: observed parts, `[n, ...]` each, by name or as one array.

    Raises:
      ValueError: if the prior has other parts or shapes than the parameters, or a support that depends on
        observations.
    """

    def __init__(self, parts: Parts, prior: Any, observations: Any):
        self.parts = parts
        self._bijector = None
        self._pack: Any = lambda arrays: arrays[0]
        self._shapes = parts.shapes  # Of the unbounded parts.
        self._dtypes = [tf.float32] * len(parts.shapes)
        self.example: Any = None  # An observation that a joint distribution's parameters need.
        if prior is None:
            return
        if isinstance(prior, tfd.JointDistribution):
            if parts.names is None:
                raise ValueError("expected parameters by name for a joint distribution, got an array")
            pinned, another = (_without_observed(prior, parts.names, observations, row) for row in (0, -1))
            self._bijector = pinned.experimental_default_event_space_bijector()
            named = by_name(observations)
            given = {None: observations} if named is None else named
            first = {name: np.asarray(array)[:1] for name, array in given.items()}
            self.example = first[None] if named is None else first
            self._pack = _packer(pinned.event_shape, parts.names)
            shapes = self._bijector.inverse_event_shape(self._pack(list(map(tf.TensorShape, parts.shapes))))
            named_shapes = by_name(shapes) or {}
            self._shapes = tuple(tuple(named_shapes[name]) for name in parts.names)
            _check_equal(self._bijector, another.experimental_default_event_space_bijector(), pinned.dtype, shapes)
            dtypes = by_name(pinned.dtype) or {}
            self._dtypes = [tf.as_dtype(dtypes[name]) for name in parts.names]
        else:
            shape = tuple(prior.batch_shape.as_list() + prior.event_shape.as_list())
            if parts.shapes != (shape,):
                raise ValueError(f"expected parameters of the prior's shape [n, {_inner(shape)}], got {parts.shapes}")
            self._bijector = prior.experimental_default_event_space_bijector()
            if self._bijector is None:  # TFP's answer for a discrete distribution.
                raise ValueError(f"expected a prior of real parameters, which have a density, got {prior}")
            self._shapes = (tuple(self._bijector.inverse_event_shape(shape)),)
            self._dtypes = [prior.dtype]

    @property
    def size(self) -> int:
        """The number of unbounded entries."""
        return Parts(None, self._shapes).size

    def probe(self) -> np.ndarray:
        """A vector within the support by which another support can be told."""
        u = tf.linspace(tf.constant(-1.0, self.precision), 1.0, self.size)
        return self.bounded(u[tf.newaxis])[0].numpy()

    @property
    def precision(self) -> tf.DType:
        """The lowest precision of the prior's parts, float32 without a prior."""
        return min(self._dtypes, key=lambda dtype: dtype.size)

    def unbounded(self, vectors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`u` and the log-det of `theta -> u`, `[n, k]` and `[n]`, of vectors `[n, size]`; not finite outside.

        They are float32; the prior's bijector computes in the prior's precision.
        """
        if self._bijector is None:
            vectors = tf.cast(vectors, tf.float32)
            return vectors, tf.zeros_like(vectors[:, 0])
        theta = self._pack(self._in_precision(separated(vectors, self.parts.shapes)))
        given: dict[str, Any] = {}
        if by_name(theta) is None:
            given = dict(event_ndims=len(self.parts.shapes[0]))
        u, log_det = self._bijector.inverse(theta), self._bijector.inverse_log_det_jacobian(theta, **given)
        rows = joined([tf.cast(part, tf.float32) for part in self._arrays(u)], self._shapes)
        rows = tf.where(self._returns(rows, vectors)[:, tf.newaxis], rows, tf.constant(math.nan, rows.dtype))
        return rows, tf.broadcast_to(tf.cast(log_det, tf.float32), tf.shape(vectors)[:1])

    def _returns(self, u: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
        """Whether `u` is mapped back to the vectors, `[n]`.

        TFP's bijectors onto simplexes and kinds of matrices have fewer numbers than those, and invert all they get.
        """
        fewer = [
            i for i, pair in enumerate(zip(self._shapes, self.parts.shapes)) if math.prod(pair[0]) < math.prod(pair[1])
        ]
        if not fewer:
            return tf.ones_like(vectors[:, 0], tf.bool)
        bounded = self.bounded(u)
        theta, back = (separated(of, self.parts.shapes) for of in (tf.cast(vectors, bounded.dtype), bounded))
        returns = []
        for i in fewer:
            given, found = (tf.reshape(of[i], [tf.shape(vectors)[0], -1]) for of in (theta, back))
            # Not finite on the edge, which is no matter of this test.
            difference = tf.where(tf.math.is_finite(found), tf.abs(found - given), tf.zeros_like(given))
            returns.append(tf.reduce_max(difference, -1) <= 1e-3 * tf.reduce_max(tf.abs(given), -1))
        return tf.reduce_all(tf.stack(returns), 0)

    def bounded(self, u: tf.Tensor) -> tf.Tensor:
        """Vectors of parameters `[n, size]` of `u` `[n, k]`, in the highest precision of the prior's parts."""
        if self._bijector is None:
            return u
        theta = self._bijector.forward(self._pack(self._in_precision(separated(u, self._shapes))))
        highest = max(self._dtypes, key=lambda dtype: dtype.size)
        return joined([tf.cast(part, highest) for part in self._arrays(theta)], self.parts.shapes)

    def _in_precision(self, arrays: list[tf.Tensor]) -> list[tf.Tensor]:
        """Arrays in the dtypes of the prior's parts."""
        return [tf.cast(array, dtype) for array, dtype in zip(arrays, self._dtypes)]

    def _arrays(self, values: Any) -> list[tf.Tensor]:
        named = by_name(values)
        return [values] if named is None or self.parts.names is None else [named[name] for name in self.parts.names]


def _without_observed(prior: Any, names: tuple[str, ...], observations: Any, row: int) -> Any:
    """The joint distribution of the parameters, given the observation of a row."""
    of_prior = by_name(prior.event_shape) or {}
    if missing := [name for name in names if name not in of_prior]:
        raise ValueError(f"expected parameters among the prior's parts {', '.join(of_prior)}, got {', '.join(missing)}")
    others = [name for name in of_prior if name not in names]
    if not others:
        return prior
    named = by_name(observations)
    if named is None and len(others) == 1:
        named = {others[0]: observations}
    if named is None or any(name not in named for name in others):
        raise ValueError(f"expected the prior's part {', '.join(others)} among parameters or observations, got neither")
    return prior.experimental_pin(**{name: tf.convert_to_tensor(named[name])[row] for name in others})


def _check_equal(bijector: Any, another: Any, dtypes: Any, shapes: Any) -> None:
    """Refuses supports that differ between two observations."""
    u = tf.nest.map_structure(lambda dtype, shape: tf.fill(shape, tf.constant(0.5, dtype)), dtypes, shapes)
    here, there = (tf.nest.flatten(of.forward(u)) for of in (bijector, another))
    if any(tf.reduce_any(a != b) for a, b in zip(here, there)):
        raise ValueError("expected a support of the parameters that is the same for all observations, got others")


def _packer(structure: Any, names: tuple[str, ...]) -> Any:
    """A function from the list of parts to the prior's own structure, a dict or a named tuple."""
    make = dict if isinstance(structure, Mapping) else type(structure)
    return lambda arrays: make(**dict(zip(names, arrays)))


def _inner(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
