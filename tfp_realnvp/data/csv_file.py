"""Numbers from a CSV file: quickly where all is well, and otherwise with the line and column of what is not."""

import csv
import dataclasses
import pathlib
import re
from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from tfp_realnvp.data.table_checks import FILL_IN, FLOAT32, BadTableError, fault

# What stands for a value that is not there. A first line of these and of numbers is no header.
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})

_LARGEST = float(FLOAT32.max)


@dataclasses.dataclass(frozen=True, eq=False)
class CSVFile:
    """What a file holds.

    Attributes:
      path: of the file.
      columns: their names, or None without a header.
      rows: float64 `[rows, columns]`, all finite and within float32's range.
    """

    path: pathlib.Path
    columns: tuple[str, ...] | None
    rows: np.ndarray

    def label(self, column: int) -> str:
        """What messages call a column."""
        return f"{self.path}, {_label(self.columns, column)}"


def read(path: pathlib.Path, *, width: int | None = None) -> CSVFile:
    """Reads a UTF-8 file of numbers, separated by commas, semicolons or tabs: what is in the first line decides.

    The first line is a header if any of its fields is neither a number nor a sign of a missing one. Empty lines are
    passed over.

    Args:
      path: of the file.
      width: how many fields of each line to take, whatever is behind them; by default all lines must have as many as
        the first.

    Raises:
      BadTableError: for anything but a table of at least 2 columns of numbers.
    """
    try:
        return _read(path, width)
    except UnicodeDecodeError:
        # Its own position is one in some buffer.
        try:
            path.read_bytes().decode()
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise BadTableError(
                f"{path}, line {line}: expected text in UTF-8, got byte {error.object[error.start]:#04x}"
            ) from None
        raise


def _read(path: pathlib.Path, width: int | None) -> CSVFile:
    delimiter = _delimiter(path)
    lines = _lines(path, delimiter)
    try:
        first_line, first = next(lines)
    except StopIteration:
        raise BadTableError(f"{path}: expected a table, got an empty file") from None
    if any("\0" in field for field in first):
        raise BadTableError(f"{path}: expected a text file, got a binary one")
    if len(first) < 2:
        raise BadTableError(
            f"{path}, line {first_line}: expected at least 2 columns, separated by commas, semicolons or tabs, got 1"
        )
    is_header = any(not _is_number(field) and field.lower() not in _MISSING for field in first)
    columns = tuple(first[:width]) if is_header else None
    if is_header:
        _check_names(path, first_line, first[:width])
        if next(lines, None) is None:
            raise BadTableError(f"{path}: expected rows below the header, got none")
    lines.close()
    count = len(first) if width is None else width
    try:
        rows = np.loadtxt(
            path,
            delimiter=delimiter,
            skiprows=first_line if is_header else 0,
            usecols=None if width is None else range(width),
            comments=None,
            quotechar='"',
            encoding="utf-8-sig",
            ndmin=2,
        )
        # A NaN fails, too.
        if rows.shape[1] == count and np.all(np.abs(rows) <= _LARGEST):
            return CSVFile(path, columns, rows)
        reason = "expected numbers that float32 can hold"
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        reason = str(error)
    _raise_culprit(path, delimiter, columns, count, is_exact=width is None, reason=reason)


def _delimiter(path: pathlib.Path) -> str:
    """What separates the first line, quoted names aside. Tabs and semicolons come first: commas may be decimal ones."""
    with path.open(encoding="utf-8-sig") as file:
        line = next((line for line in file if line.strip()), "")
    line = re.sub('"[^"]*"', "", line)
    return next((delimiter for delimiter in "\t;" if delimiter in line), ",")


def _lines(path: pathlib.Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The number of each line that is not empty, as an editor counts, and its fields without the space around."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            for fields in reader:
                if fields:
                    yield reader.line_num, [field.strip() for field in fields]
        except csv.Error as error:
            raise BadTableError(f"{path}, line {reader.line_num}: {error}") from None


def _check_names(path: pathlib.Path, line: int, names: list[str]) -> None:
    if "" in names:
        raise BadTableError(
            f"{path}, line {line}, column {names.index('') + 1}: expected a name in the header, got none; an index of"
            " the rows is no data: leave it out"
        )


def _raise_culprit(
    path: pathlib.Path, delimiter: str, columns: tuple[str, ...] | None, count: int, is_exact: bool, reason: str
) -> NoReturn:
    """Says where the first thing is that is no number, and of no other kind than expected."""
    lines = _lines(path, delimiter)
    if columns is not None:
        next(lines)
    for line, fields in lines:
        if len(fields) < count or (is_exact and len(fields) > count):
            raise BadTableError(
                f"{path}, line {line}: expected {count} fields, as in the first line, got {len(fields)}"
            )
        if not _are_numbers(fields[:count]):
            column, wrong = next((i, wrong) for i, field in enumerate(fields) if (wrong := _wrong(field)))
            raise BadTableError(f"{path}, line {line}, {_label(columns, column)}: {wrong}")
    # Something that NumPy does not read and Python does.
    raise BadTableError(f"{path}: {reason}")


def _are_numbers(fields: list[str]) -> bool:
    """Whether nothing is wrong with any field: `not any(map(_wrong, fields))`, but in a tenth of the time."""
    try:
        return all(abs(float(field)) <= _LARGEST for field in fields) and "_" not in "".join(fields)
    except ValueError:
        return False


def _wrong(field: str) -> str | None:
    """What is wrong with a field, if anything is."""
    if field.lower() in _MISSING:
        return f"expected a number, got {_quoted(field) or 'an empty field'}{FILL_IN}"
    if not _is_number(field):
        hint = "; write decimals with a point" if _is_number(field.replace(",", ".", 1)) else ""
        return f"expected a number, got {_quoted(field)}{hint}"
    if np.isinf(float(field)) and "inf" not in field.lower():  # Past float64, too.
        return f"expected a number that float32 can hold, got {_quoted(field)}"
    return fault(float(field))


def _quoted(field: str) -> str:
    return repr(field if len(field) <= 40 else f"{field[:40]}...") if field else ""


def _label(columns: tuple[str, ...] | None, column: int) -> str:
    name = "" if columns is None else f" ({columns[column]!r})"
    return f"column {column + 1}{name}"


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # Python takes 1_000 for a number; nothing else does.
