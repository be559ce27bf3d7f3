"""Tables of numbers and text, whole or batch by batch: of files, frames and arrays."""

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

    - `csv:PATH`: in UTF-8, UTF-16 or cp1252, as it is or in gzip, zip, bzip2 or xz; separated by commas, semicolons,
      tabs or bars; with or without a header. A column is of numbers if all its values are, in one notation: `1234.5`,
      `1,234.5`, `1.234,5`, `1 234.5` or `1'234.5`. Empty fields, NA, n/a, nan, null, none, ? and - are missing.
    - `parquet:PATH` and `arrow:PATH`, a file or a pattern such as `DIR/*.parquet`. Dates are text.
    - `npy:PATH` and `npz:PATH[:NAME]`: an array `[rows, columns]`, one with named fields, or arrays `train`,
      `validation` and `test`, whose rows follow each other; or several arrays `[rows]`, each of them a column.
    - A frame of pandas, polars or Arrow, or a mapping of arrays. An index of rows is no column.

    Args:
      source: one of these. A path is relative to the working directory.
      header: of a CSV file, whether its first line names the columns: "yes", "no", or "auto", which asks where the line
        may be names or a row.
      names: of the columns; those without names get these. A line of these names is a header of a CSV file.
      left_out: names of columns that are not looked at.
      text: names of columns that are text though they look like numbers.

    Returns:
      The table, in memory.

    Raises:
      DataNotFoundError: if there is no such file.
      BadTableError: if up to 5 % of a column are no numbers while the rest is; if a number is infinite or none that
        float32 can hold; if lines are of unequal lengths, or names missing or equal; with the line and column.
      ValueError: for another source.

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
    """As `read_columns`, but batch by batch, so that the table may be larger than memory.

    What a column of a CSV file is, numbers of some notation or text, is that of the first batch that has any of its
    values.

    Args:
      source: as of `read_columns`. All but CSV, Parquet and Arrow is in memory anyway.
      rows: of a batch; the last one may have fewer.
      header: as of `read_columns`; so are the others.
      names: see there.
      left_out: see there.
      text: see there.
      only: names of the columns to read, of those that are there; by default all.
      on_error: "raise", or "keep": a value that is not as its column's is missing, and so are all of a line of the
        wrong length; `ColumnTable.faults` has the reasons.

    Yields:
      Tables, in the order of the file.

    Raises:
      BadTableError: as `read_columns` does, and if a value is no number where those of the first batch were.
      ValueError: for another source or `on_error`.

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
