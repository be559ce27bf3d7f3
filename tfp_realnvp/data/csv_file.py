"""Reads numbers from a CSV file: with Arrow if it is valid, otherwise in Python to report the line and column."""

import csv
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tfp_realnvp import storage
from tfp_realnvp.columns.values import MISSING
from tfp_realnvp.data import csv_header, csv_text
from tfp_realnvp.data.csv_header import WRITTEN_OTHERWISE, Header, is_number, quoted
from tfp_realnvp.data.csv_text import CSVText
from tfp_realnvp.data.table_checks import FILL_IN, FLOAT32, BadTableError, fault
from tfp_realnvp.extras import extra


@dataclasses.dataclass(frozen=True, eq=False)
class CSVFile:
    """The contents of a CSV file.

    Attributes:
      path: of the file.
      header: its first line.
      rows: float64 `[rows, columns]`, all finite and within float32's range.
    """

    path: pathlib.Path
    header: Header
    rows: np.ndarray

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns, or None without a header."""
        return self.header.names

    def label(self, column: int) -> str:
        """A column's label for messages."""
        return f"{self.path}, {self.header.label(column)}"


def read(
    path: pathlib.Path, *, width: int | None = None, header: str = "auto", names: Sequence[str] | None = None
) -> CSVFile:
    """Reads a UTF-8 file of numbers, and nothing else; see `read_columns` for text, gaps and other notations.

    Args:
      path: a regular file, which is read several times.
      width: number of fields to take from each line, ignoring the rest; by default all lines must have as many fields
        as the first.
      header: "auto", "yes" or "no": whether the first line is a header; see `read_header`.
      names: what the columns are called, in any order.

    Raises:
      BadTableError: for anything but a table with at least 2 columns of numbers, or if the first line is ambiguous.
      ValueError: for another `header`.
    """
    with extra("data"):
        import pyarrow.csv
    text = csv_text.inspect(path, only_utf8=True)
    first = csv_header.read_header(text, width=width, header=header, names=names)
    kept = [f"f{i}" for i in range(first.count)]
    try:
        with text.open() as file:
            table = pyarrow.csv.read_csv(
                file,
                pyarrow.csv.ReadOptions(skip_rows=first.end, autogenerate_column_names=True),
                pyarrow.csv.ParseOptions(delimiter=text.separator),
                pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(kept, pyarrow.float64()),
                    include_columns=None if width is None else kept,
                    null_values=[],
                ),
            )
    except pyarrow.ArrowException:
        table = None
    if table is not None and table.num_columns == first.count:
        rows = np.stack(table.columns, axis=1)
        # A NaN fails, too.
        if np.all(np.abs(rows) <= FLOAT32.max):
            return CSVFile(path, first, rows)
    lines = ((line, fields) for line, end, fields in text.lines() if end > first.end)
    return CSVFile(path, first, np.array(list(_numbers(text, lines, first, is_exact=width is None))))


def write(path: pathlib.Path, rows: np.ndarray, columns: Sequence[str] | None) -> None:
    """Writes a header and rows, with enough digits to read float32 numbers back exactly.

    Args:
      path: of the file.
      rows: `[rows, columns]`.
      columns: names of the columns; by default `column_0`, `column_1`, ...
    """
    with storage.replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        # The writer quotes names that contain commas, quotes or line ends.
        csv.writer(file, lineterminator="\n").writerow(columns or [f"column_{i}" for i in range(rows.shape[1])])
        np.savetxt(file, rows, delimiter=",", fmt="%.9g")


def write_columns(path: pathlib.Path, table: Mapping[str, np.ndarray]) -> None:
    """Writes columns of numbers and text below a header; a number that is missing is an empty field.

    Nine digits tell all float32 numbers apart; others are written with the digits that tell float64 numbers apart.
    """
    written = []
    for values in table.values():
        if values.dtype.kind == "f":
            written.append([_in_digits(float(value)) for value in values])
        else:
            written.append(values.tolist())
    with storage.replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*written, strict=True))


def _in_digits(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.9g}" if abs(value) < 1e9 and value == float(np.float32(value)) else repr(value)


def _numbers(
    text: CSVText, lines: Iterable[tuple[int, list[str]]], header: Header, is_exact: bool
) -> Iterator[list[float]]:
    """The rows as parsed by Python: more notations than Arrow, such as "+1", and the location of the first error."""
    for line, fields in lines:
        if len(fields) < header.count or (is_exact and len(fields) > header.count):
            raise BadTableError(
                f"{text.path}, line {line}: expected {header.count} fields, as in the first line, got {len(fields)}"
            )
        fields = fields[: header.count]
        for column, field in enumerate(fields):
            if wrong := _wrong(field):
                raise BadTableError(f"{text.path}, line {line}, {header.label(column)}: {wrong}")
        yield [float(field) for field in fields]


def _wrong(field: str) -> str | None:
    """The error message for a field, or None."""
    if field.lower() in MISSING:
        return f"expected a number, got {quoted(field)}{FILL_IN}"
    if not is_number(field):
        hint = ""
        if WRITTEN_OTHERWISE.fullmatch(field):
            hint = "; write decimals with a point, and thousands without a separator"
        return f"expected a number, got {quoted(field)}{hint}"
    if np.isinf(float(field)) and "inf" not in field.lower():  # Overflows even float64.
        return f"expected a number that float32 can hold, got {quoted(field)}"
    return fault(float(field))
