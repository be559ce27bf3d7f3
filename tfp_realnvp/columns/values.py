"""The values of a column as users have them: numbers, text, signs of missing values."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Text that means a missing value, in upper or lower case.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})


def is_nothing(value: Any) -> bool:
    """Whether a value is None, NaN, or the NaT or NA of pandas."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # A comparison with NA is NA, which is neither true nor false.
        return True


def is_missing(value: Any) -> bool:
    """Whether a value is nothing, or text that means a missing value."""
    return text_of(value).lower() in MISSING if isinstance(value, str | bytes) else is_nothing(value)


def number_of(value: Any) -> float:
    """A number, or the number that a text spells; a `ValueError` or `TypeError` for other values."""
    if isinstance(value, str | bytes) and "_" in text_of(value):  # Python reads 1_0 as 10.
        raise ValueError(f"expected a number, got {value!r}")
    return float(value)


def text_of(value: Any) -> str:
    """A value of a column of text, without surrounding space; bytes are in UTF-8."""
    return (value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)).strip()


def as_values(name: str, given: ArrayLike) -> np.ndarray:
    """A column as float64 with NaN for missing values, or as objects: text, with None for missing values.

    Raises:
      ValueError: for values that are not numbers or text along one axis.
    """
    array = np.asarray(given)
    if array.ndim != 1 or array.dtype.kind in "cV":
        raise ValueError(f"{name}: expected numbers or text [n], got {array.dtype} of shape {array.shape}")
    if array.dtype.kind in "buif":
        return array.astype(np.float64)
    values = np.array([None if is_missing(value) else value for value in array], object)
    numbers = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if value is None:
            continue
        try:
            numbers[row] = number_of(value)
        except (TypeError, ValueError):
            return np.array([None if value is None else text_of(value) for value in values], object)
    return numbers
