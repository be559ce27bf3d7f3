"""Parses columns of text whose values are numbers in one notation."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from tfp_realnvp.columns.values import MISSING
from tfp_realnvp.data.csv_header import quoted

# A column with a larger share of values that are not numbers is text; with a smaller one, these are errors.
_MOST_MISTAKES = 0.05

_SPACES = r"\x{20}\x{a0}\x{2009}\x{202f}"


class NotationError(ValueError):
    """A value that is not in the notation of its column.

    Attributes:
      column: name of the column.
      row: number of the row, from 0.
    """

    def __init__(self, column: str, row: int, message: str):
        super().__init__(message)
        self.column, self.row = column, row


@dataclasses.dataclass(frozen=True)
class Notation:
    """The notation of the numbers in a column.

    Attributes:
      decimal: the decimal separator.
      group: thousands separators, as characters of a regular expression; "" for none.
    """

    decimal: str = "."
    group: str = ""

    @functools.cached_property
    def _pattern(self) -> str:
        fraction = rf"[{self.decimal}]"
        if self.group:
            return rf"^[+-]?(\d{{1,3}}|[1-9]\d{{0,2}}([{self.group}]\d{{3}})+)({fraction}\d*)?$"
        return rf"^[+-]?((\d+{fraction}?\d*|{fraction}\d+)([eE][+-]?\d+)?|(?i:inf|infinity))$"

    def fits(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """Whether each text is in this notation; null for null."""
        return pc.match_substring_regex(texts, self._pattern)

    def numbers(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """The float64 numbers of texts that are all in this notation."""
        if self.group:
            texts = pc.replace_substring_regex(texts, f"[{self.group}]", "")
        if self.decimal != ".":
            texts = pc.replace_substring(texts, self.decimal, ".")
        return pc.cast(texts, pa.float64())


_PLAIN = Notation()
_COMMA = Notation(",")
_GROUPED_BY_COMMA = Notation(".", ",")
_GROUPED_BY_POINT = Notation(",", ".")
# The first one that fits is used, except for a comma, which may be decimal or separate thousands.
_NOTATIONS = (
    _PLAIN,
    _COMMA,
    _GROUPED_BY_COMMA,
    _GROUPED_BY_POINT,
    *(Notation(decimal, group) for group in (_SPACES, "'\u2019") for decimal in ".,"),
)


def cleaned(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without surrounding space; null for signs of a missing value."""
    texts = pc.utf8_trim_whitespace(texts)
    missing = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(sorted(MISSING), texts.type))
    return pc.if_else(missing, pa.scalar(None, texts.type), texts)


def notations(columns: Mapping[str, pa.ChunkedArray], *, separator: str = ",") -> dict[str, Notation | None]:
    """The notation of each column.

    A column is numeric if all its values are numbers in one notation: with a decimal point or comma, with or without
    thousands separated by commas, points, spaces or apostrophes. If all values are like `1,234`, the comma separates
    thousands in a file with commas between fields; in other files, the notation of other columns decides. If all are
    like `1.234`, the point is decimal, unless others have decimal commas and no decimal points.

    Args:
      columns: `cleaned` texts by the name of the column.
      separator: the separator between fields of the file.

    Returns:
      The notation of each numeric column, and None for each column of text. Up to 5 % of the values of a numeric column
      may not be numbers. Columns without values are left out.

    Raises:
      NotationError: if `1,234` or `1.234` may be 1234 or 1.234.
    """
    found, ambiguous = {}, []
    for name, texts in columns.items():
        if texts.null_count == len(texts):
            continue
        found[name] = _notation(texts)
        if found[name] is _COMMA and _fits_as_well(_GROUPED_BY_COMMA, _COMMA, texts):
            ambiguous.append(name)
    clear = {name: notation for name, notation in found.items() if name not in ambiguous}
    has_commas = any(notation is not None and notation.decimal == "," for notation in clear.values())
    with_points = {
        name: notation
        for name, notation in clear.items()
        if notation is not None and notation.decimal == "." and _has(columns[name], ".")
    }
    # In a file with decimal commas, 1.234 may be 1234.
    may_group = [
        name
        for name, notation in with_points.items()
        if has_commas and _fits_as_well(_GROUPED_BY_POINT, notation, columns[name])
    ]
    has_points = len(with_points) > len(may_group)
    for name in may_group:
        if has_points:
            raise _either(name, columns[name], ".")
        found[name] = _GROUPED_BY_POINT
    for name in ambiguous:
        if separator == "," or has_points > has_commas:
            found[name] = _GROUPED_BY_COMMA
        elif has_commas == has_points:
            raise _either(name, columns[name], ",")
    return found


def numbers(
    name: str, texts: pa.ChunkedArray, notation: Notation, report: Callable[[NotationError], None]
) -> pa.ChunkedArray:
    """The numbers of a column, float64; a value that is not in this notation is reported and becomes null."""
    texts = _ascii(texts)
    if notation is _PLAIN and (plain := _cast(texts)) is not None:
        return plain
    fits = notation.fits(texts)
    for row in pc.indices_nonzero(pc.invert(fits)).to_pylist():
        report(_wrong(name, texts, row, fits))
    return notation.numbers(pc.if_else(fits, texts, pa.scalar(None, texts.type)))


def _notation(texts: pa.ChunkedArray) -> Notation | None:
    texts = _ascii(texts)
    if _cast(texts) is not None:
        return _PLAIN
    fits = {notation: notation.fits(texts) for notation in _NOTATIONS}
    is_number = functools.reduce(pc.or_, fits.values())
    count = len(texts) - texts.null_count
    if count - _sum(is_number) > _MOST_MISTAKES * count:
        return None
    return max(fits, key=lambda notation: _sum(fits[notation]))  # The first one if several fit equally.


def _wrong(name: str, texts: pa.ChunkedArray, row: int, fits: pa.ChunkedArray) -> NotationError:
    text = texts[row].as_py()
    other = ""
    is_number = any(_sum(notation.fits(texts.slice(row, 1))) for notation in _NOTATIONS)
    if is_number and (beside := pc.index(fits, True).as_py()) >= 0:
        other = f"; other values of the column are written otherwise, such as {quoted(texts[beside].as_py())}"
    return NotationError(name, row, f"expected a number, got {quoted(text)}{other}")


def _either(name: str, texts: pa.ChunkedArray, sign: str) -> NotationError:
    row = pc.index(pc.match_substring(texts, sign), True).as_py()
    text = texts[row].as_py()
    decimal, whole = text.replace(sign, "."), text.replace(sign, "")
    return NotationError(
        name,
        row,
        f"expected one reading of a number, got {quoted(text)}, which may be {decimal} or {whole}; write thousands"
        " without a separator",
    )


def _ascii(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.replace_substring(texts, "\u2212", "-")


def _cast(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    try:
        return pc.cast(texts, pa.float64())
    except pa.ArrowInvalid:
        return None


def _fits_as_well(notation: Notation, other: Notation, texts: pa.ChunkedArray) -> bool:
    texts = _ascii(texts)
    return _sum(notation.fits(texts)) == _sum(other.fits(texts))


def _has(texts: pa.ChunkedArray, sign: str) -> bool:
    return pc.any(pc.match_substring(texts, sign)).as_py()


def _sum(flags: pa.ChunkedArray) -> int:
    return pc.sum(flags).as_py() or 0
