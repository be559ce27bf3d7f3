"""Checks that a flow can be trained on a table."""

from collections.abc import Callable, Sequence

import numpy as np

from tfp_realnvp.resolution import least_deviation

FLOAT32 = np.finfo(np.float32)
FILL_IN = "; fill in missing values, or remove the row"

# One row per split, and a second training row, without which no column would have a spread.
LEAST_TO_SPLIT = 4

_MOST_NAMES = 12  # in a message


class BadTableError(ValueError):
    """A table on which no flow can be trained; the message names the file, the place and the reason."""


def some(names: Sequence[str]) -> str:
    """Names joined for one line; only the first of many."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def fault(value: float) -> str | None:
    """The error message for a value, or None."""
    if np.isnan(value):
        return f"expected a number, got nan{FILL_IN}"
    if np.isinf(value):
        return f"expected a finite number, got {value}"
    if abs(float(value)) > float(FLOAT32.max):
        return f"expected a number that float32 can hold, got {value:.6g}"
    return None


def check_array(array: np.ndarray, where: str, *, least_rows: int = 1) -> None:
    """Raises a `BadTableError` unless the array is `[rows, columns]` with at least 2 columns of float32 numbers.

    Args:
      array: array of any dtype and shape.
      where: the start of the message: the file, and the array's name in it.
      least_rows: number of rows required: `LEAST_TO_SPLIT` for a table to be split.
    """
    if array.dtype.kind not in "iuf":
        raise BadTableError(f"{where}: expected numbers, got dtype {array.dtype}")
    if array.ndim != 2:
        hint = f" of {array.dtype}; images are uint8" if array.ndim in (3, 4) else ""
        raise BadTableError(f"{where}: expected 2 axes [rows, columns], got shape {array.shape}{hint}")
    if array.shape[1] < 2:
        raise BadTableError(f"{where}: expected at least 2 columns, got {array.shape[1]}")
    if len(array) < least_rows:
        raise BadTableError(f"{where}: expected {least_rows} or more rows, got {len(array)}")
    # Extremes are checked first, which takes no memory. NaN propagates to both and fails all comparisons.
    if not (-FLOAT32.max <= array.min() and array.max() <= FLOAT32.max):
        row, column = np.argwhere(~(np.abs(array) <= FLOAT32.max))[0]
        raise BadTableError(f"{where}[{row}, {column}]: {fault(array[row, column])}")


def moments(rows: np.ndarray, label: Callable[[int], str]) -> tuple[np.ndarray, np.ndarray]:
    """The mean and standard deviation of each column, computed in float64; refuses constant columns.

    Args:
      rows: the training rows, float32 `[rows, columns]`.
      label: maps a column's index, from 0, to its label for messages.

    Returns:
      Two float32 arrays `[columns]`; no standard deviation is 0.
    """
    low, high = rows.min(0), rows.max(0)
    mean, std = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    largest = np.maximum(np.abs(low), np.abs(high))
    finest = np.maximum(least_deviation(largest), FLOAT32.tiny)
    for index in range(rows.shape[1]):
        if low[index] == high[index]:
            raise BadTableError(
                f"{label(index)}: expected values that differ, got {low[index]} (as float32) in every training row;"
                " remove the column"
            )
        if std[index] < finest[index]:
            raise BadTableError(
                f"{label(index)}: expected values that float32 can tell apart, got a standard deviation of"
                f" {std[index]:.3g} among values up to {largest[index]:.3g}; shift or scale the column first"
            )
    return mean.astype(np.float32), std.astype(np.float32)
