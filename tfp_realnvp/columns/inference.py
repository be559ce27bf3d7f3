"""The types of a table's columns, as specified or inferred from their values."""

import ast
import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfp_realnvp.columns.categorical import Categorical
from tfp_realnvp.columns.column import Column, ColumnError
from tfp_realnvp.columns.columns import Columns, by_name, check_lengths
from tfp_realnvp.columns.integers import TRUTH, Boolean, Integer, Ordinal
from tfp_realnvp.columns.numbers import Bounded, Circular, Real
from tfp_realnvp.columns.values import as_values, is_missing

# Text with more different values is names or notes, not categories.
_MOST_CATEGORIES = 100
# A table that is read batch by batch counts different values of a column up to this number.
MOST_COUNTED = 10_000
# So few different numbers are rounded values or grades if each occurs this often on average.
_MOST_ORDINAL = 20
_REPEATS = 10

_FITS: dict[str, Callable[..., Column]] = {
    "real": Real.fit,
    "positive": lambda name, x: Bounded.fit(name, x, 0.0),
    "bounded": Bounded.fit,
    "circular": Circular.fit,
    "integer": Integer.fit,
    "ordinal": lambda name, x, *values: Ordinal.fit(name, x, values or None),
    "boolean": lambda name, x, *values: Boolean.fit(name, x, values or None),
    "categorical": lambda name, x, *values: Categorical.fit(name, x, values or None),
}
# Types of numbers, with their least and largest number of options, and how they are written.
_OF_NUMBERS = {
    "real": (0, 0, "real"),
    "positive": (0, 0, "positive"),
    "bounded": (1, 2, "bounded(low,high), with none for no bound"),
    "circular": (1, 2, "circular(period) or circular(period,start)"),
    "integer": (0, 2, "integer or integer(low,high)"),
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """A specification of columns, made before their values are known.

    Attributes:
      dropped: names of the columns to leave out.
      types: by the name of a column: the name of its type, and the type's options.
    """

    dropped: tuple[str, ...] = ()
    types: Mapping[str, tuple[str, tuple[Any, ...]]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_text(cls, text: str) -> "Spec":
        """Parses a text such as "-id,a:bounded(0,1),b:circular(360),c:integer,d:categorical".

        Raises:
          ValueError: for another syntax, an unknown type, or a column that occurs twice.
        """
        dropped, types = [], {}
        for part in filter(None, (part.strip() for part in re.split(r",(?![^(]*\))", text))):
            name, colon, called = part.rpartition(":")
            if part.startswith("-") and not colon:
                dropped.append(part[1:])
                continue
            if not colon:
                raise ValueError(f"expected -NAME or NAME:TYPE such as a:bounded(0,1), got {part!r}")
            if name in types:
                raise ValueError(f"expected each column once, got {name!r} twice")
            types[name] = _called(called)
        if both := sorted(set(dropped) & set(types)):
            raise ValueError(f"expected each column once, got {both[0]!r} dropped and with a type")
        return cls(tuple(dropped), types)


@dataclasses.dataclass(frozen=True)
class Inferred:
    """Columns, and a line about each for the user.

    Attributes:
      columns: the columns, apart from those that were left out.
      notes: "name  type  transformation  number of missing values", or why a column was left out.
    """

    columns: Columns
    notes: tuple[str, ...]


def infer(
    table: Mapping[str, ArrayLike],
    spec: str | Spec = "",
    *,
    context: Sequence[str] = (),
    is_partial: bool = False,
) -> Columns:
    """Infers the columns of a table; see `infer_with_notes`."""
    return infer_with_notes(table, spec, context=context, is_partial=is_partial).columns


def infer_with_notes(
    table: Mapping[str, ArrayLike],
    spec: str | Spec = "",
    *,
    context: Sequence[str] = (),
    weights: str | None = None,
    is_partial: bool = False,
    levels: Mapping[str, ArrayLike] | None = None,
    missing: Mapping[str, int] | None = None,
) -> Inferred:
    """Infers the columns of a table from their values, unless `spec` has their type.

    Columns of numbers are boolean if they have two different values, integer if all are whole, ordinal if they have few
    different values that repeat, positive if all are above 0, and else real. Columns of text are boolean for pairs
    such as yes and no, and categorical if they have up to 100 different values that repeat. Other text, dates and
    constant columns are left out.

    Args:
      table: values `[n]` by the name of the column: numbers, booleans or text. None, NaN and text such as "NA" are
        missing values. Names that are numbers, as of a frame without names, become text.
      spec: types of some columns, such as "-id,a:bounded(0,1)".
      context: names of columns that the density is conditioned on.
      weights: name of the column of sample weights.
      is_partial: whether values may be missing; see `Columns`.
      levels: the whole table, if `table` has only its training rows: columns can have all of its values.
      missing: number of missing values by column, if `levels` is not the whole table.

    Raises:
      ValueError: if two columns have the same name, a name is not in the table, a type does not fit the values, or no
        column is left.
    """
    table, levels = by_name(table), None if levels is None else by_name(levels)
    spec = Spec.of_text(spec) if isinstance(spec, str) else spec
    for name in (*spec.dropped, *spec.types, *context, *([] if weights is None else [weights])):
        if name not in table:
            raise ValueError(f"expected names of columns among {', '.join(table)}, got {name!r}")
    found, notes, rows = {}, [], np.arange(check_lengths(table))
    weight = None
    if weights is not None:
        of_rows = as_values(weights, table[weights])
        if of_rows.dtype == object:
            raise ValueError(f"{weights}: expected numbers for weights, got {of_rows[0]!r}")
        mean = float(np.mean(of_rows))
        if not (mean > 0 and np.isfinite(mean)):
            raise ValueError(f"{weights}: expected weights of 0 or more, some above 0, got a mean of {mean}")
        weight = (weights, mean)
        rows = rows[of_rows != 0]  # Rows that weigh nothing decide no moment and no frequency.
    for name, given in table.items():
        if name in spec.dropped or name == weights:
            continue
        values = as_values(name, given)
        everything = values if levels is None else as_values(name, levels[name])
        count = missing[name] if missing is not None else sum(1 for value in everything if is_missing(value))
        left_out = f"  {count:,} missing" if count else ""
        try:
            column, how = _column(name, values[rows], everything, spec.types.get(name))
        except ColumnError as error:
            raise ColumnError(name, int(rows[error.index]), error.reason) from None
        except _LeftOut as reason:
            if name in context:
                raise ValueError(f"{name}: expected a column of the context, got {reason}") from None
            notes.append(f"{name}  left out: {reason}")
            continue
        found[name] = column
        notes.append("  ".join(filter(None, [name, column.describe(), how])) + left_out)
    own = tuple(column for name, column in found.items() if name not in context)
    if not own:
        raise ValueError(f"expected a column whose density is to be learned, got none: {'; '.join(notes)}")
    if weights is not None:
        notes.append(f"{weights}  weights of the rows")
    return Inferred(Columns(own, tuple(found[name] for name in context), is_partial, weight), tuple(notes))


class _LeftOut(Exception):
    """The reason to leave a column out."""


def _column(
    name: str, values: np.ndarray, everything: np.ndarray, typed: tuple[str, tuple[Any, ...]] | None
) -> tuple[Column, str]:
    is_text = values.dtype == object
    places = np.flatnonzero([not is_missing(value) for value in values])
    present = values[places]
    if typed is not None:
        kind, options = typed
        if not len(present):
            raise ValueError(f"{name}: expected values for {kind}, got none")
        if kind in _OF_NUMBERS and is_text:
            raise ValueError(f"{name}: expected numbers for {kind}, got {next(iter(present))!r}")
        if kind in ("ordinal", "boolean", "categorical") and not options:
            options = _distinct(everything)
        if kind == "integer" and not options:  # Of all rows, since the training rows may lack the extremes.
            options = (np.nanmin(everything), np.nanmax(everything))
        if kind == "categorical" and not is_text:
            raise ValueError(f"{name}: expected text for categorical, got numbers: ordinal or integer")
        try:
            return _FITS[kind](name, present, *options), _HOW.get(kind, "")
        except ColumnError as error:
            raise ColumnError(name, int(places[error.index]), error.reason) from None
    distinct = _distinct(everything)
    if len(distinct) < 2 or len(set(present.tolist())) < 2:
        raise _LeftOut(f"constant, {distinct[0]}" if distinct else "empty")
    if is_text:
        return _of_text(name, present, distinct)
    return _of_numbers(name, present, everything)


def _of_text(name: str, present: np.ndarray, distinct: tuple[str, ...]) -> tuple[Column, str]:
    lower = tuple(sorted(value.lower() for value in distinct))
    if lower in TRUTH:
        ordered: list[str] = sorted(distinct, key=str.lower)
        return Boolean.fit(name, present, tuple(ordered)), ""
    if all(re.fullmatch(r"\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?[/.]\d\d?[/.]\d{2,4}", value) for value in distinct[:50]):
        raise _LeftOut(f"dates such as {distinct[0]}; make numbers of them first")
    if len(distinct) > _MOST_CATEGORIES or 2 * len(distinct) > len(present):
        count = f"{len(distinct):,}" if len(distinct) <= MOST_COUNTED else f"more than {MOST_COUNTED:,}"
        raise _LeftOut(f"text with {count} different values, such as {distinct[0]!r}")
    return Categorical.fit(name, present, distinct), _HOW["categorical"]


def _of_numbers(name: str, present: np.ndarray, everything: np.ndarray) -> tuple[Column, str]:
    everything = everything[~np.isnan(everything)]
    if np.any(np.isinf(everything)):
        raise ValueError(f"{name}: expected finite numbers, got {everything[np.isinf(everything)][0]}")
    distinct = np.unique(everything)
    is_whole = bool(np.all(distinct == np.floor(distinct)) and np.max(np.abs(distinct)) < 2**24)
    if len(distinct) == 2:
        return Boolean.fit(name, present, tuple(distinct.tolist())), ""
    if is_whole:
        return Integer.fit(name, present, int(distinct[0]), int(distinct[-1])), _HOW["integer"]
    if len(distinct) <= _MOST_ORDINAL and len(everything) >= _REPEATS * len(distinct):
        return Ordinal.fit(name, present, tuple(distinct.tolist())), _HOW["ordinal"]
    if distinct[0] > 0:
        return Bounded.fit(name, present, 0.0), _HOW["positive"]
    return Real.fit(name, present), ""


_HOW = {
    "positive": "log",
    "bounded": "log or logit",
    "integer": "uniform noise",
    "ordinal": "uniform noise",
    "circular": "a point of the plane",
    "categorical": "argmax",
}


def _called(text: str) -> tuple[str, tuple[Any, ...]]:
    name, _, options = text.strip().partition("(")
    if name not in _FITS or (options and not options.endswith(")")):
        raise ValueError(f"expected a type among {', '.join(_FITS)}, got {text!r}")
    written = [option.strip() for option in options[:-1].split(",") if option.strip()]
    values = tuple(map(_value, written))
    if name in _OF_NUMBERS:
        least, most, usage = _OF_NUMBERS[name]
        is_number = [value is None or isinstance(value, int | float) and math.isfinite(value) for value in values]
        is_fraction = [isinstance(value, float) and value % 1 != 0 for value in values]
        is_usable = {"circular": None not in values, "integer": not any(is_fraction)}
        if not least <= len(values) <= most or not all(is_number) or not is_usable.get(name, True):
            raise ValueError(f"expected {usage}, got {text!r}")
        return name, values
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if name != "categorical" and len(numbers) == len(values):
        values = tuple(numbers)
    else:  # Categories that look like numbers are text, and so are all values beside one that is.
        values = tuple(value if isinstance(value, str) else option for value, option in zip(values, written))
    if len(set(values)) < len(values):
        raise ValueError(f"expected different values, got {text!r}")
    return name, values


def _value(text: str) -> float | int | str | None:
    if text.lower() == "none":
        return None
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _distinct(values: np.ndarray) -> tuple[Any, ...]:
    return tuple(sorted({value for value in values.tolist() if not is_missing(value)}))
