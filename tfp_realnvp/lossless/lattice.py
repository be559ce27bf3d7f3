"""Increasing functions as bijections of integers: multiples of 2^-BITS, with what does not fit on a stack of bits."""

from collections.abc import Callable

import numpy as np

from tfp_realnvp.lossless.stack import Stack

# Numbers are multiples of 2^-20.
BITS = 20
# Most steps of a search for a segment; halving the bracket alone takes 33.
_STEPS = 150
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


def shrink(
    numbers: np.ndarray, function: Function, stack: Stack, segment_bits: int, inverse: Function | None = None
) -> np.ndarray:
    """Undoes `stretch`. The segment is found by Newton's method; `inverse`, perhaps inaccurate, says where to begin."""
    segment = _segment_of(numbers, function, segment_bits, inverse)
    start, size = _ends(function, segment, segment_bits)
    rest = stack.pop_bits(numbers.size, segment_bits).reshape(numbers.shape)
    y = ((numbers - start) << segment_bits) + rest
    stack.push_uniform(_flat(y % size), _flat(size))
    return (segment << segment_bits) + y // size


def _segment_of(numbers: np.ndarray, function: Function, segment_bits: int, inverse: Function | None) -> np.ndarray:
    """The segment whose image contains each number."""
    begin = numbers if inverse is None else _rounded(inverse(numbers * 2.0**-BITS))
    segment = begin >> segment_bits
    # The answer is at least `low` and less than `high`.
    low, high = np.full_like(numbers, -(2**32)), np.full_like(numbers, 2**32)
    for step in range(_STEPS):
        start, size = _ends(function, segment, segment_bits, checks=False)
        is_below, is_above = numbers < start, numbers >= start + size
        if not np.any(is_below | is_above):
            return segment
        high = np.where(is_below, segment, high)
        low = np.where(is_above, segment + 1, low)
        newton = segment + (numbers - start) // np.maximum(size, 1)
        # Newton's method may cycle, so that every fourth step halves the bracket.
        takes_newton = (newton >= low) & (newton < high) & (step % 4 != 3)
        segment = np.where(is_below | is_above, np.where(takes_newton, newton, (low + high) >> 1), segment)
    raise NotIncreasing("expected an increasing function, found no segment for a number")


def _ends(
    function: Function, segment: np.ndarray, segment_bits: int, checks: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The rounded value at the start of each segment, and the distance to its end."""

    def at(node: np.ndarray) -> np.ndarray:
        return _rounded(function(node * 2.0 ** (segment_bits - BITS)))

    start = at(segment)
    size = at(segment + 1) - start
    if checks and (np.any(size < 1) or np.any(size > 2**22)):
        found = f"{np.min(size)} to {np.max(size)}"
        raise NotIncreasing(f"expected 1 to 2^22 numbers for a segment of 2^{segment_bits}, got {found}")
    return start, size


def _rounded(values: np.ndarray) -> np.ndarray:
    if np.any(np.isnan(values)):
        raise NotIncreasing("expected an increasing function, got NaN")
    # A search may meet numbers for which the function is infinite.
    return np.rint(np.clip(values, -(2.0**30), 2.0**30) * 2.0**BITS).astype(np.int64)


def _popped(stack: Stack, sizes: np.ndarray) -> np.ndarray:
    return stack.pop_uniform(_flat(sizes)).reshape(sizes.shape)


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1)
