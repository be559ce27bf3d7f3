"""What a table must be for a flow to be trained on it, and what is said where it is not."""

from collections.abc import Callable, Sequence

import numpy as np

FLOAT32 = np.finfo(np.float32)
FILL_IN = "; fill in what is missing, or leave the row out"

# One for each split, and another to train on, without which no column would have a spread.
LEAST_TO_SPLIT = 4

# Columns whose values float32 cannot tell apart more finely than this many to a standard deviation are refused: of
# times in seconds since 1970, it keeps only every 128th.
_LEAST_STEPS = 100

_MOST_NAMES = 12  # in a message


class BadTableError(ValueError):
    """A table that no flow can be trained on; the message says which file, where in it, and why."""


def some(names: Sequence[str]) -> str:
    """Names for a line, the first ones of many."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def fault(value: float) -> str | None:
    """What is wrong with a value, if anything is."""
    if np.isnan(value):
        return f"expected a number, got nan{FILL_IN}"
    if np.isinf(value):
        return f"expected a finite number, got {value}"
    if abs(float(value)) > float(FLOAT32.max):
        return f"expected a number that float32 can hold, got {value:.6g}"
    return None


def check_array(array: np.ndarray, where: str, *, least_rows: int = 1) -> None:
    """Refuses what is not `[rows, columns]` of at least 2 columns of numbers that float32 can hold.

    Args:
      array: of any dtype and shape.
      where: the file and the array's name in it, which the message begins with.
      least_rows: how many rows are needed: `LEAST_TO_SPLIT` of a table that is still to be split.
    """
    if array.dtype.kind not in "iuf":
        raise BadTableError(f"{where}: expected numbers, got dtype {array.dtype}")
    if array.ndim != 2:
        raise BadTableError(f"{where}: expected 2 axes [rows, columns], got shape {array.shape}")
    if array.shape[1] < 2:
        raise BadTableError(f"{where}: expected at least 2 columns, got {array.shape[1]}")
    if len(array) < least_rows:
        raise BadTableError(f"{where}: expected {least_rows} or more rows, got {len(array)}")
    # Of the extremes first, which takes no memory. A NaN is both, and no comparison holds for it.
    if not (-FLOAT32.max <= array.min() and array.max() <= FLOAT32.max):
        row, column = np.argwhere(~(np.abs(array) <= FLOAT32.max))[0]
        raise BadTableError(f"{where}[{row}, {column}]: {fault(array[row, column])}")


def moments(rows: np.ndarray, label: Callable[[int], str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, computed in float64; refuses a column that has no spread.

    Args:
      rows: the training rows, float32 `[rows, columns]`.
      label: from a column's number, from 0, to what a message calls it.

    Returns:
      Two float32 arrays `[columns]`; no standard deviation is 0.
    """
    low, high = rows.min(0), rows.max(0)
    mean, std = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    largest = np.maximum(np.abs(low), np.abs(high))
    finest = np.maximum(_LEAST_STEPS * np.spacing(largest).astype(np.float64), FLOAT32.tiny)
    for index in range(rows.shape[1]):
        if low[index] == high[index]:
            raise BadTableError(
                f"{label(index)}: expected values that differ, got {low[index]} (as float32) in every training row;"
                " leave the column out"
            )
        if std[index] < finest[index]:
            raise BadTableError(
                f"{label(index)}: expected values that float32 can tell apart, got a standard deviation of"
                f" {std[index]:.3g} among values up to {largest[index]:.3g}; shift or scale the column first"
            )
    return mean.astype(np.float32), std.astype(np.float32)
