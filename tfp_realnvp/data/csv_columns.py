"""Columns of numbers and of text from a CSV file, batch by batch."""

import functools
import itertools
import pathlib
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv

from tfp_realnvp.data import arrow_columns, csv_header, csv_text, number_text
from tfp_realnvp.data.column_table import kept_names
from tfp_realnvp.data.faults import Faults
from tfp_realnvp.data.table_checks import BadTableError, some

# Lines in a batch that Python reads if Arrow cannot.
_LINES = 2**14


class CSVReader:
    """Reads a file whose columns are numbers or text each, as decided by the first batch with values.

    Args:
      path: a regular file, which is read several times.
      header: "auto", "yes" or "no": whether the first line is a header; see `read_header`.
      names: names of the columns. They apply to a file without a header, and help to detect one; see `read_header`.
      left_out: names of columns that are ignored.
      text: names of columns that are text even if their values are numbers.
      only: names of the columns to read; by default all.
      faults: collects lines of the wrong length, and values that are not numbers in a column of numbers.

    Raises:
      BadTableError: if the file is not a table.
    """

    def __init__(
        self,
        path: pathlib.Path,
        *,
        header: str = "auto",
        names: Sequence[str] | None = None,
        left_out: Collection[str] = (),
        text: Collection[str] = (),
        only: Collection[str] | None = None,
        faults: Faults,
    ):
        self.label = str(path)
        self._text = csv_text.inspect(path)
        self._header = csv_header.read_header(self._text, header=header, names=names)
        self.is_named = self._header.names is not None
        self.notes = self._text.notes
        self._names = self._header.names or names or [f"column_{i}" for i in range(self._header.count)]
        if len(self._names) != self._header.count:
            raise BadTableError(
                f"{path}: expected {len(self._names)} columns, {some(self._names)}, got {self._header.count} without"
                " names"
            )
        self._kept = kept_names(str(path), self._names, left_out, only)
        self._as_text = frozenset(text)
        self._notations: dict[str, number_text.Notation | None] = {}
        self._faults = faults

    def batches(self) -> Iterator[pa.Table]:
        """The rows of the file; all values are text.

        Raises:
          BadTableError: for a line whose number of fields differs from the first.
        """
        done = 0
        try:
            for batch in self._by_arrow():
                done += batch.num_rows
                yield pa.Table.from_batches([batch]).rename_columns(self._kept)
        except pa.ArrowInvalid:
            # Arrow does not name the line, and refuses lines that are longer than its blocks.
            yield from self._by_python(done)

    def columns(self, batch: pa.Table, start: int) -> dict[str, np.ndarray]:
        """The columns of a batch: float64, NaN where missing, or text, None where missing.

        Args:
          batch: one or several of `batches`.
          start: number of rows of the file before it.

        Raises:
          BadTableError: for a value that is not a number in a column of numbers.
        """
        texts = {name: number_text.cleaned(batch[name]) for name in self._kept}
        unknown = {
            name: texts[name] for name in self._kept if name not in self._notations | dict.fromkeys(self._as_text)
        }
        try:
            self._notations |= number_text.notations(unknown, separator=self._text.separator)
        except number_text.NotationError as error:
            raise BadTableError(f"{self.place(start + error.row, error.column)}: {error}") from None

        def report(error: number_text.NotationError) -> None:
            row, name = start + error.row, error.column
            self._faults.add(row, self.column_label(name), str(error), lambda: self.place(row, name))

        columns = {}
        for name, column in texts.items():
            notation = self._notations.get(name)
            if notation is not None:
                column = number_text.numbers(name, column, notation, report)
            elif name not in self._notations and name not in self._as_text:
                column = column.cast(pa.float64())  # No value so far.
            columns[name] = arrow_columns.to_numpy(column)
        return columns

    def place(self, row: int, name: str) -> str:
        """The place of a value, given its row from 0: file, line as an editor counts it, and column."""
        rows = (line for line, end, _ in self._text.lines(is_strict=False) if end > self._header.end)
        return f"{self.label}, line {next(itertools.islice(rows, row, None))}, {self.column_label(name)}"

    def column_label(self, name: str) -> str:
        """A column's label for messages."""
        return self._header.label(self._names.index(name))

    def _by_arrow(self) -> Iterator[pa.RecordBatch]:
        fields = [f"f{i}" for i in range(self._header.count)]
        kept = [field for field, name in zip(fields, self._names, strict=True) if name in self._kept]
        with self._text.open() as file:
            yield from pyarrow.csv.open_csv(
                file,
                pyarrow.csv.ReadOptions(
                    skip_rows=self._header.end,
                    column_names=fields,
                    encoding=self._text.encoding,
                ),
                pyarrow.csv.ParseOptions(delimiter=self._text.separator, newlines_in_values=self._text.is_quoted),
                pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(fields, pa.string()), include_columns=kept, strings_can_be_null=False
                ),
            )

    def _line(self, number: int) -> str:
        return f"{self.label}, line {number}"

    def _by_python(self, done: int) -> Iterator[pa.Table]:
        """The rows after the first `done` ones."""
        rows = ((line, fields) for line, end, fields in self._text.lines() if end > self._header.end)
        left = itertools.islice(rows, done, None)
        count = self._header.count
        while batch := list(itertools.islice(left, _LINES)):
            for row, (line, fields) in enumerate(batch, done):
                if len(fields) != count:
                    message = f"expected {count} fields, as in the first line, got {len(fields)}"
                    self._faults.add(row, "", message, functools.partial(self._line, line))
                    fields[:] = [""] * count
            done += len(batch)
            columns = dict(zip(self._names, zip(*(fields for _, fields in batch)), strict=True))
            yield pa.table({name: pa.array(columns[name], pa.string()) for name in self._kept})
