"""Increasing functions as bijections of integers: multiples of 2^-BITS, with what does not fit on a stack of bits."""

from collections.abc import Callable

import numpy as np

from tfp_realnvp.lossless.stack import Stack

# Numbers are multiples of 2^-20.
BITS = 20
# Maps float64 numbers to float64 numbers, entry by entry, increasing in each.
Function = Callable[[np.ndarray], np.ndarray]


class NotIncreasing(Exception):
    """A function is flat, or too steep, between two neighbouring nodes."""


def stretch(numbers: np.ndarray, function: Function, stack: Stack, segment_bits: int) -> np.ndarray:
    """Applies an increasing function, linear between nodes that are 2^segment_bits numbers apart.

    A segment of S = 2^segment_bits numbers is mapped onto the R numbers between its rounded ends:

        y = R n + r,  r popped uniform in [0, R);  z = y // S;  y mod S pushed uniform in [0, S)

    This is a bijection of `(n, stack)` and `(z, stack)`, and the stack grows by `log2 S - log2 R` bits: the negative
    log-derivative of the function.

    Args:
      numbers: integers of any shape.
      function: the function of float64 numbers.
      stack: the stack.
      segment_bits: binary logarithm of a segment's size.

    Raises:
      NotIncreasing: where R is less than 1, or more than the stack takes.

    Zhang et al. iFlow: numerically invertible flows for efficient lossless compression via a uniform coder. NeurIPS
    2021. arXiv 2111.00965.
    """
    segment = numbers >> segment_bits
    start, size = _ends(function, segment, segment_bits)
    y = size * (numbers - (segment << segment_bits)) + _popped(stack, size)
    stack.push_bits(_flat(y & (2**segment_bits - 1)), segment_bits)
    return start + (y >> segment_bits)


def shrink(numbers: np.ndarray, function: Function, inverse: Function, stack: Stack, segment_bits: int) -> np.ndarray:
    """Undoes `stretch`; `inverse` may be inaccurate."""
    segment = np.floor(np.ldexp(inverse(np.ldexp(numbers.astype(np.float64), -BITS)), BITS - segment_bits))
    segment = segment.astype(np.int64)
    start, size = _ends(function, segment, segment_bits)
    while np.any(is_off := (numbers < start) | (numbers >= start + size)):
        # One segment at a time: the inverse is off by little more than its rounding.
        step = np.where(numbers < start, -1, 1)
        segment = np.where(is_off, segment + step, segment)
        start, size = _ends(function, segment, segment_bits)
    rest = stack.pop_bits(numbers.size, segment_bits).reshape(numbers.shape)
    y = ((numbers - start) << segment_bits) + rest
    stack.push_uniform(_flat(y % size), _flat(size))
    return (segment << segment_bits) + y // size


def _ends(function: Function, segment: np.ndarray, segment_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The rounded value at the start of each segment, and the distance to its end."""

    def at(node: np.ndarray) -> np.ndarray:
        value = function(np.ldexp(node.astype(np.float64), segment_bits - BITS))
        return np.rint(np.ldexp(value, BITS)).astype(np.int64)

    start = at(segment)
    size = at(segment + 1) - start
    if np.any(size < 1) or np.any(size > 2**22):
        raise NotIncreasing(
            f"expected 1 to 2^22 numbers for a segment of 2^{segment_bits}, got {np.min(size)} to {np.max(size)}"
        )
    return start, size


def _popped(stack: Stack, sizes: np.ndarray) -> np.ndarray:
    return stack.pop_uniform(_flat(sizes)).reshape(sizes.shape)


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1)
