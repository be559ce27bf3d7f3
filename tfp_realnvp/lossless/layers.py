"""The layers of a flow as bijections of integers and a stack of bits."""

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
        # Functions of tensors by the layers that they are of: graphs, which take less time than single operations.
        self._graphs: dict[Any, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {}

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
            return _reordered(layer.forward, numbers)
        if isinstance(layer, InvertibleLinear):
            return _Linear(layer, numbers.shape[-1]).forward(numbers, stack)
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
            return _reordered(layer.inverse, numbers)
        if isinstance(layer, InvertibleLinear):
            return _Linear(layer, numbers.shape[-1]).inverse(numbers, stack)
        function, inverse, segment_bits = self._functions(layer, numbers)
        return shrink(numbers, function, stack, segment_bits, inverse)

    def _functions(self, layer: Any, numbers: np.ndarray) -> tuple[Function, Function | None, int]:
        """A layer that is increasing in each entry, given the entries that it keeps; its inverse if cheap; segments."""
        if isinstance(layer, Coupling):
            # Kept entries are equal in data and latents.
            raw = layer._raw(_real(numbers), None, False)
            if layer not in self._graphs:
                shapes = ([None, *tensor.shape[1:]] for tensor in (numbers, raw))
                signature = [tf.TensorSpec(shape, tf.float64) for shape in shapes]
                self._graphs[layer] = tf.function(
                    lambda x, raw: layer._transform(x, raw)[0], signature, autograph=False
                )
            transform = self._graphs[layer]
            return _of_tensors(lambda x: transform(x, raw)), None, _SEGMENT_BITS
        if isinstance(layer, DequantizedLogit):
            unit = 2.0 ** pixel_bits(layer.levels)
            forward, inverse = (lambda y: layer.forward(unit * y)), (lambda z: layer.inverse(z) / unit)
            return _of_tensors(forward), _of_tensors(inverse), _PIXEL_SEGMENT_BITS
        if isinstance(layer, _ENTRYWISE):
            forward = _of_tensors(lambda x: layer._forward_and_log_det(x, None, False)[0])
            inverse = _of_tensors(lambda z: layer._inverse_and_log_det(z, None, False)[0])
            return forward, None if isinstance(layer, Elementwise) else inverse, _SEGMENT_BITS
        raise TypeError(
            f"expected a flow of couplings, linear maps, scales and rearrangements of pixels, got a layer {layer.name}"
        )


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
        numbers = numbers.copy()
        for i in order:
            others = np.flatnonzero(matrix[i])
            # One channel at a time: a product of matrices may add in another order elsewhere.
            total = sum((matrix[i, j] * numbers[..., j].astype(np.float64) for j in others), np.float64(0))
            numbers[..., i] += sign * np.rint(total).astype(np.int64)
        return numbers


def _ones(layer: InvertibleLinear) -> list[int]:
    """Sizes of the axes of an event but the last."""
    return [1] * (layer.forward_min_event_ndims - 1)


def _real(numbers: np.ndarray) -> tf.Tensor:
    return tf.constant(np.ldexp(numbers.astype(np.float64), -BITS))


def _of_tensors(function: Any) -> Function:
    return lambda x: function(tf.constant(x, tf.float64)).numpy()


def _reordered(function: Any, numbers: np.ndarray) -> np.ndarray:
    # Integers up to 2^53 are exact in float64.
    return np.rint(function(tf.constant(numbers.astype(np.float64))).numpy()).astype(np.int64)
