"""Codes of categories and of ordered values."""

import numpy as np

from tfp_realnvp.columns.column import ColumnError
from tfp_realnvp.columns.values import is_missing, number_of, text_of


def values_of(codes: np.ndarray, known: tuple[str | float, ...]) -> np.ndarray:
    """The values of codes: numbers, NaN for a NaN, or objects, None for a NaN.

    Raises:
      ValueError: for a code that is none of these.
    """
    is_code = np.isnan(codes) | (codes >= 0) & (codes < len(known)) & (codes == np.floor(codes))
    if not np.all(is_code):
        raise ValueError(
            f"expected codes 0 ... {len(known) - 1} of {', '.join(map(str, known))}, got {codes[~is_code][0]}"
        )
    is_text = any(isinstance(value, str) for value in known)
    values = np.array([*known, None if is_text else np.nan], object if is_text else np.float64)
    return values[np.where(np.isnan(codes), len(known), codes).astype(np.int64)]


def codes_of(name: str, values: np.ndarray, known: tuple[str | float, ...]) -> np.ndarray:
    """The index of each value in `known`, as float64 `[n]`; NaN for a missing value.

    As in `as_values`, space around text does not matter, a number is known by text that spells it, and text by a value
    that it is the text of.

    Raises:
      ColumnError: for a value that is not known.
    """
    places = {value: place for place, value in enumerate(known)}
    is_text = any(isinstance(value, str) for value in known)
    given = values.tolist()
    codes = np.array([*map(places.get, given)], np.float64)  # None becomes NaN.
    for row in np.flatnonzero(np.isnan(codes)).tolist():
        value = given[row]
        if is_missing(value):
            continue
        try:
            codes[row] = places[text_of(value) if is_text else number_of(value)]
        except (KeyError, TypeError, ValueError):
            shown = ", ".join(map(str, known[:8])) + (", ..." if len(known) > 8 else "")
            raise ColumnError(name, row, f"expected one of {shown}, got {value!r}") from None
    return codes
