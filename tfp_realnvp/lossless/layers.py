"""The layers of a flow as bijections of integers and a stack of bits."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp import private
from tfp_realnvp.bijectors import (
    ActNorm,
    BatchNorm,
    Chain,
    Coupling,
    DequantizedLogit,
    Elementwise,
    InvertibleLinear,
    Split,
    Squeeze,
    Standardize,
)
from tfp_realnvp.lossless.lattice import BITS, Function, shrink, stretch
from tfp_realnvp.lossless.stack import Stack

_ENTRYWISE = (ActNorm, BatchNorm, Elementwise, Standardize)
_REORDERING = (Squeeze, tfp.bijectors.Permute)
# Nodes are 2^-10 apart; for pixels in units of their range, where the logit is steep and curved, 2^-16.
_SEGMENT_BITS, _PIXEL_SEGMENT_BITS = 10, 4


def pixel_bits(levels: int) -> int:
    """The binary logarithm of the range of pixels, rounded up: pixels enter a flow in units of 2^pixel_bits."""
    return (levels - 1).bit_length()


class IntegerFlow:
    """A flow as a bijection of integers and a stack of bits.

    Args:
      flow: a flow in float64, of couplings, linear maps, scales and rearrangements of pixels.
    """

    def __init__(self, flow: Any):
        self._flow = flow
        # By layer, name and signature: a graph takes less time than single operations.
        self._graphs: dict[tuple[Any, ...], Callable[..., tf.Tensor]] = {}
        self._linears: dict[InvertibleLinear, _Linear] = {}

    def to_latents(self, numbers: np.ndarray, stack: Stack) -> np.ndarray:
        """Maps integers, multiples of 2^-BITS, from data to latents: the forward direction.

        Raises:
          TypeError: for a layer of another kind.
          NotIncreasing, OutOfBits: see `stretch` and `Stack`.
        """
        return self._forward(self._flow, numbers, stack)

    def to_data(self, numbers: np.ndarray, stack: Stack) -> np.ndarray:
        """Undoes `to_latents`."""
        return self._inverse(self._flow, numbers, stack)

    def _forward(self, layer: Any, numbers: np.ndarray, stack: Stack) -> np.ndarray:
        if isinstance(layer, Chain):
            for part in layer.bijectors:
                numbers = self._forward(part, numbers, stack)
            return numbers
        if isinstance(layer, private.Invert):
            return self._inverse(layer.bijector, numbers, stack)
        if isinstance(layer, Split):
            first, second = np.split(numbers, 2, -1)
            return np.concatenate([self._forward(layer.flow, first, stack), second], -1)
        if isinstance(layer, _REORDERING):
            return self._reordered(layer, "forward", numbers)
        if isinstance(layer, InvertibleLinear):
            return self._linear(layer, numbers).forward(numbers, stack)
        if isinstance(layer, Coupling):
            part, function, whole = self._changed(layer, numbers)
            return whole(stretch(part, function, stack, _SEGMENT_BITS))
        function, _, segment_bits = self._functions(layer, numbers)
        return stretch(numbers, function, stack, segment_bits)

    def _inverse(self, layer: Any, numbers: np.ndarray, stack: Stack) -> np.ndarray:
        if isinstance(layer, Chain):
            for part in reversed(layer.bijectors):
                numbers = self._inverse(part, numbers, stack)
            return numbers
        if isinstance(layer, private.Invert):
            return self._forward(layer.bijector, numbers, stack)
        if isinstance(layer, Split):
            first, second = np.split(numbers, 2, -1)
            return np.concatenate([self._inverse(layer.flow, first, stack), second], -1)
        if isinstance(layer, _REORDERING):
            return self._reordered(layer, "inverse", numbers)
        if isinstance(layer, InvertibleLinear):
            return self._linear(layer, numbers).inverse(numbers, stack)
        if isinstance(layer, Coupling):
            part, function, whole = self._changed(layer, numbers)
            return whole(shrink(part, function, stack, _SEGMENT_BITS))
        function, inverse, segment_bits = self._functions(layer, numbers)
        return shrink(numbers, function, stack, segment_bits, inverse)

    def _changed(
        self, layer: Coupling, numbers: np.ndarray
    ) -> tuple[np.ndarray, Function, Callable[[np.ndarray], np.ndarray]]:
        """The changed part of data or latents, its increasing function, and what puts the part back.

        Kept entries are equal in data and latents.
        """
        mask, x, given = layer.mask, _real(numbers), tf.constant(numbers)
        raw = self._graph(layer, "raw", lambda x: layer._raw(x, None, False), x)(x)
        if mask.changed_size(2) == 2:  # The part is everything, and `_transform` maps kept entries to themselves.
            transform = self._graph(layer, "whole", lambda x, raw: layer._transform(x, raw)[0], x, raw)
            return numbers, _of_tensors(lambda x: transform(x, raw)), lambda changed: changed
        part = self._graph(layer, "changed", mask.changed, given)(given)
        transform = self._graph(
            layer, "part", lambda x, raw: layer.transformer.forward(x, raw)[0], tf.cast(part, tf.float64), raw
        )
        combine = self._graph(layer, "combine", mask.combine, given, part)
        return (
            part.numpy(),
            _of_tensors(lambda x: transform(x, raw)),
            lambda changed: combine(given, tf.constant(changed)).numpy(),
        )

    def _functions(self, layer: Any, numbers: np.ndarray) -> tuple[Function, Function | None, int]:
        """A layer that is increasing in each entry; its inverse if cheap; the binary logarithm of a segment's size."""
        x = _real(numbers)
        if isinstance(layer, DequantizedLogit):
            unit = 2.0 ** pixel_bits(layer.levels)
            # Increasing on all real numbers: a search may leave the pixels' range, where the logit is NaN.
            range_of = functools.partial(tf.clip_by_value, clip_value_min=0.0, clip_value_max=layer.levels / unit)
            forward = self._graph(layer, "forward", lambda y: layer.forward(unit * range_of(y)) + (y - range_of(y)), x)
            inverse = self._graph(layer, "inverse", lambda z: layer.inverse(z) / unit, x)
            return _of_tensors(forward), _of_tensors(inverse), _PIXEL_SEGMENT_BITS
        if isinstance(layer, _ENTRYWISE):
            forward = self._graph(layer, "forward", lambda x: layer._forward_and_log_det(x, None, False)[0], x)
            inverse = self._graph(layer, "inverse", lambda z: layer._inverse_and_log_det(z, None, False)[0], x)
            return _of_tensors(forward), None if isinstance(layer, Elementwise) else _of_tensors(inverse), _SEGMENT_BITS
        raise TypeError(
            f"expected a flow of couplings, linear maps, scales and rearrangements of pixels, got a layer {layer.name}"
        )

    def _linear(self, layer: InvertibleLinear, numbers: np.ndarray) -> "_Linear":
        if layer not in self._linears:
            self._linears[layer] = _Linear(layer, numbers.shape[-1])
        return self._linears[layer]

    def _reordered(self, layer: Any, direction: str, numbers: np.ndarray) -> np.ndarray:
        x = tf.constant(numbers.astype(np.float64))  # Integers up to 2^53 are exact.
        return np.rint(self._graph(layer, direction, getattr(layer, direction), x)(x).numpy()).astype(np.int64)

    def _graph(
        self, layer: Any, name: str, function: Callable[..., tf.Tensor], *like: tf.Tensor
    ) -> Callable[..., tf.Tensor]:
        """The function as a graph, for tensors that are like those but for the size of a batch."""
        signature = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in like]
        key = (layer, name, *signature)
        if key not in self._graphs:
            # Of a function that is called, TensorFlow would warn that it is traced often: once for each layer.
            self._graphs[key] = tf.function(function, signature, autograph=False).get_concrete_function()
        return self._graphs[key]


class _Linear:
    """A linear map of channels, P L D U: triangular maps with a diagonal of 1 as rounded sums, and scales."""

    def __init__(self, layer: InvertibleLinear, size: int):
        images_of_units = tf.reshape(tf.eye(size, dtype=tf.float64), [size, *_ones(layer), size])
        transposed = np.reshape(layer.forward(images_of_units), [size, size])
        packed, permuted = (factor.numpy() for factor in tf.linalg.lu(transposed.T))
        self._order = np.argsort(permuted)  # Channel i of the output is channel order[i] of L D U x.
        scales = np.diag(packed)
        self._lower = np.tril(packed, -1)
        self._upper = np.triu(packed, 1) / scales[:, np.newaxis]
        self._signs, self._sizes = np.sign(scales).astype(np.int64), np.abs(scales)

    def forward(self, numbers: np.ndarray, stack: Stack) -> np.ndarray:
        channels = self._sheared(numbers, self._upper, range(len(self._sizes)), 1)
        scaled = stretch(channels, lambda x: x * self._sizes, stack, _SEGMENT_BITS) * self._signs
        return self._sheared(scaled, self._lower, reversed(range(len(self._sizes))), 1)[..., self._order]

    def inverse(self, numbers: np.ndarray, stack: Stack) -> np.ndarray:
        channels = numbers[..., np.argsort(self._order)]
        scaled = self._sheared(channels, self._lower, range(len(self._sizes)), -1) * self._signs
        channels = shrink(scaled, lambda x: x * self._sizes, stack, _SEGMENT_BITS, lambda z: z / self._sizes)
        return self._sheared(channels, self._upper, reversed(range(len(self._sizes))), -1)

    def _sheared(self, numbers: np.ndarray, matrix: np.ndarray, order: Any, sign: int) -> np.ndarray:
        """Adds to each channel, in that order, its rounded sum of the channels that are not yet changed."""
        channels = np.moveaxis(numbers, -1, 0).copy()
        real = channels.astype(np.float64)
        for i in order:
            total = np.zeros_like(real[i])
            # One channel at a time: a product of matrices may add in another order elsewhere.
            for j in np.flatnonzero(matrix[i]):
                total += matrix[i, j] * real[j]
            channels[i] += sign * np.rint(total).astype(np.int64)
            real[i] = channels[i]
        return np.ascontiguousarray(np.moveaxis(channels, 0, -1))


def _ones(layer: InvertibleLinear) -> list[int]:
    """Sizes of the axes of an event but the last."""
    return [1] * (layer.forward_min_event_ndims - 1)


def _real(numbers: np.ndarray) -> tf.Tensor:
    return tf.constant(numbers * 2.0**-BITS)


def _of_tensors(function: Any) -> Function:
    return lambda x: function(tf.constant(x, tf.float64)).numpy()
