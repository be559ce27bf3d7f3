"""A stack of bits for bits-back coding: numbers of known distributions are pushed onto it and popped from it."""

import copy
import math
from typing import Any

import numpy as np

from tfp_realnvp.extras import extra

# Probabilities of the coder are multiples of 2^-24. Sizes up to 2^12 are then uniform to 2^-12 of a symbol.
_DIRECT_BITS, _RAW_BITS = 12, 23
# Latents are divided into bins of 2^-6 with the probabilities of a normal distribution, uniform within a bin.
_BIN_BITS = 6
# Bins reach this far from 0.
REACH = 32.0


class OutOfBits(Exception):
    """The stack has fewer bits than a pop takes."""


class Stack:
    """An asymmetric numeral system (ANS) over arrays; a push is undone exactly by the pop of the same distribution.

        push(x, p): about -log2 p(x) more bits;  pop(p): as many bits fewer, and x distributed like p

    A pop from random bits is a draw; the push that undoes it gives the bits back ("bits back").

    Args:
      words: the initial bits, uint32 `[n]`.
      is_payload: whether these are arbitrary bits, which `payload` returns at the end; otherwise the result of `words`.

    Duda. Asymmetric numeral systems. 2009. arXiv 0902.0271.
    """

    def __init__(self, words: np.ndarray, *, is_payload: bool):
        with extra("lossless"):
            import constriction
        self._models = constriction.stream.model
        self._coder: Any = constriction.stream.stack.AnsCoder(words, seal=is_payload)

    def copy(self) -> "Stack":
        """An independent stack with the same bits."""
        copied = copy.copy(self)
        vars(copied)["_coder"] = self._coder.clone()
        return copied

    def __eq__(self, other: object) -> bool:
        """Whether both have the same bits."""
        return isinstance(other, Stack) and np.array_equal(self.words(), other.words())

    @property
    def bits(self) -> int:
        """The number of bits."""
        return int(self._coder.num_valid_bits())

    def words(self) -> np.ndarray:
        """All bits, uint32 `[n]`."""
        return self._coder.get_compressed()

    def payload(self) -> np.ndarray:
        """The initial bits, when everything that was pushed is popped, uint32 `[n]`."""
        return self._coder.get_compressed(unseal=True)

    def pop_bits(self, count: int, bits: int) -> np.ndarray:
        """Pops `count` uniform integers in [0, 2^bits), for at most 23 bits."""
        self._need(count * bits)
        return self._coder.decode(self._models.Uniform(2**bits), count).astype(np.int64)

    def push_bits(self, values: np.ndarray, bits: int) -> None:
        """Undoes `pop_bits`."""
        self._coder.encode_reverse(values.astype(np.int32), self._models.Uniform(2**bits))

    def pop_uniform(self, sizes: np.ndarray) -> np.ndarray:
        """Pops an integer in [0, size) for each of the sizes, from 1 to 2^22."""
        values = np.zeros(len(sizes), np.int64)
        small, large = _kinds(sizes)
        values[small] = self._pop_small(sizes[small])
        if len(large):
            # The value is the part of a finer uniform number that a larger size can tell; the rest is pushed back.
            raw, size = self.pop_bits(len(large), _RAW_BITS), sizes[large]
            values[large] = value = raw * size >> _RAW_BITS
            first = _first(value, size)
            self._push_small(raw - first, _first(value + 1, size) - first)
        return values

    def push_uniform(self, values: np.ndarray, sizes: np.ndarray) -> None:
        """Undoes `pop_uniform`."""
        small, large = _kinds(sizes)
        if len(large):
            value, size = values[large], sizes[large]
            first = _first(value, size)
            rest = self._pop_small(_first(value + 1, size) - first)
            self.push_bits(first + rest, _RAW_BITS)
        self._push_small(values[small], sizes[small])

    def push_normal(self, numbers: np.ndarray, bits: int) -> None:
        """Pushes multiples of 2^-bits, given as integers, of a standard normal distribution within +-`REACH`."""
        fine = bits - _BIN_BITS
        self.push_bits(numbers & (2**fine - 1), fine)
        self._coder.encode_reverse((numbers >> fine).astype(np.int32), self._bins())

    def pop_normal(self, count: int, bits: int) -> np.ndarray:
        """Undoes `push_normal`."""
        fine = bits - _BIN_BITS
        bins = self._coder.decode(self._bins(), count).astype(np.int64)
        return (bins << fine) + self.pop_bits(count, fine)

    def _bins(self) -> Any:
        reach = int(REACH * 2**_BIN_BITS)
        # Bin k is [k, k + 1); the coder's model integrates over k +- 1/2.
        return self._models.QuantizedGaussian(-reach, reach - 1, -0.5, 2.0**_BIN_BITS)

    def _pop_small(self, sizes: np.ndarray) -> np.ndarray:
        values, several = np.zeros(len(sizes), np.int64), np.flatnonzero(sizes > 1)
        if len(several):
            self._need(float(np.sum(np.log2(sizes))))
            values[several] = self._coder.decode(self._models.Uniform(), sizes[several].astype(np.int32))
        return values

    def _push_small(self, values: np.ndarray, sizes: np.ndarray) -> None:
        several = np.flatnonzero(sizes > 1)
        if len(several):
            sizes = sizes[several].astype(np.int32)
            self._coder.encode_reverse(values[several].astype(np.int32), self._models.Uniform(), sizes)

    def _need(self, bits: float) -> None:
        # Beyond its bits a coder gives zeros, which it does not take back.
        if self.bits < math.ceil(bits) + 64:
            raise OutOfBits


def _kinds(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places of sizes that the coder takes directly, and of larger ones."""
    if len(sizes) and not 1 <= np.min(sizes) <= np.max(sizes) <= 2 ** (_RAW_BITS - 1):
        raise ValueError(f"expected sizes from 1 to 2^{_RAW_BITS - 1}, got {np.min(sizes)} to {np.max(sizes)}")
    is_large = sizes > 2**_DIRECT_BITS
    return np.flatnonzero(~is_large), np.flatnonzero(is_large)


def _first(value: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The smallest raw number whose part is `value`."""
    return -(-(value << _RAW_BITS) // size)
