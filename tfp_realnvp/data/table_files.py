"""Reads tables of numbers and text from files, frames and arrays, whole or in batches."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tfp_realnvp.data.column_table import ColumnTable
from tfp_realnvp.data.faults import Faults
from tfp_realnvp.extras import extra

Source = str | Mapping[str, Any] | Any


def read_columns(
    source: Source,
    *,
    header: str = "auto",
    names: Sequence[str] | None = None,
    left_out: Collection[str] = (),
    text: Collection[str] = (),
) -> ColumnTable:
    """Reads a table of numbers and text.

    - `csv:PATH`: in UTF-8, UTF-16 or cp1252, optionally compressed by gzip, zip, bzip2 or xz; separated by commas,
      semicolons, tabs or bars; with or without a header. A column is numeric if all its values are numbers in one
      notation: `1234.5`, `1,234.5`, `1.234,5`, `1 234.5` or `1'234.5`. Empty fields, NA, n/a, nan, null, none, ? and -
      are missing values.
    - `parquet:PATH` and `arrow:PATH`, a file or a pattern such as `DIR/*.parquet`. Dates are text.
    - `npy:PATH` and `npz:PATH[:NAME]`: an array `[rows, columns]`, an array with named fields, arrays `train`,
      `validation` and `test`, which are concatenated, or several arrays `[rows]`, each a column.
    - A frame of pandas, polars or Arrow, or a mapping of arrays. An index of rows is not a column.

    Args:
      source: one of these. A path is relative to the working directory.
      header: whether the first line of a CSV file is a header: "yes", "no", or "auto", which refuses an ambiguous line.
      names: names of the columns of a table without names. In a CSV file, a line of these names is a header.
      left_out: names of columns that are ignored.
      text: names of columns that are text even if they look like numbers.

    Returns:
      The table, in memory.

    Raises:
      DataNotFoundError: if there is no such file.
      BadTableError: if up to 5 % of the values of a column are not numbers and the others are, a number is infinite or
        beyond float32's range, lines differ in length, or names are missing or equal; names the line and column.
      ValueError: for another kind of source.

    ```python
    table = data.read_columns("csv:wine.csv.gz")
    table.columns["sugar"]        # float64 [1599]
    table.columns["colour"][0]    # "red"
    table.where(10, "sugar")      # "wine.csv.gz, line 12, column 3 ('sugar')"
    ```
    """
    with extra("data"):
        from tfp_realnvp.data import table_sources
    faults = Faults(is_kept=False)
    return table_sources.whole(table_sources.reader(source, header, names, left_out, text, faults), faults)


def stream_columns(
    source: Source,
    rows: int = 65536,
    *,
    header: str = "auto",
    names: Sequence[str] | None = None,
    left_out: Collection[str] = (),
    text: Collection[str] = (),
    only: Collection[str] | None = None,
    on_error: str = "raise",
) -> Iterator[ColumnTable]:
    """Like `read_columns`, but in batches, so that the table may be larger than memory.

    The first batch with values in a column of a CSV file decides whether it is numeric, and its notation.

    Args:
      source: see `read_columns`. All but CSV, Parquet and Arrow files are in memory as a whole.
      rows: rows in a batch; the last batch may have fewer.
      header: see `read_columns`.
      names: see `read_columns`.
      left_out: see `read_columns`.
      text: see `read_columns`.
      only: names of the columns to read, if they exist; by default all.
      on_error: "raise", or "keep": a bad value counts as missing, as do all values of a line of the wrong length, and
        `ColumnTable.faults` has the reasons.

    Yields:
      Tables, in the order of the file.

    Raises:
      BadTableError: see `read_columns`; also for text in a column that was numeric in earlier batches.
      ValueError: for another kind of source, or another `on_error`.

    ```python
    for table in data.stream_columns("parquet:trips/*.parquet"):
        table.columns["fare"].mean()
    ```
    """
    if on_error not in ("raise", "keep"):
        raise ValueError(f"expected on_error to be raise or keep, got {on_error!r}")
    with extra("data"):
        from tfp_realnvp.data import table_sources
    faults = Faults(is_kept=on_error == "keep")
    reader = table_sources.reader(source, header, names, left_out, text, faults, only)
    yield from table_sources.in_batches(reader, rows, faults)
