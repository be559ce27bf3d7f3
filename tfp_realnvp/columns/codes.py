"""Codes of categories and of ordered values."""

import numpy as np

from tfp_realnvp.columns.column import ColumnError


def codes_of(name: str, values: np.ndarray, known: tuple[str | float, ...]) -> np.ndarray:
    """The index of each value in `known`, as float64 `[n]`; NaN for a missing value.

    Raises:
      ColumnError: for a value that is not known.
    """
    places = {value: place for place, value in enumerate(known)}
    codes = np.array([*map(places.get, values.tolist())], np.float64)  # None becomes NaN.
    for row in np.flatnonzero(np.isnan(codes)).tolist():
        value = values[row]
        if value is not None and value == value:
            shown = ", ".join(map(str, known[:8])) + (", ..." if len(known) > 8 else "")
            raise ColumnError(name, row, f"expected one of {shown}, got {value!r}")
    return codes
