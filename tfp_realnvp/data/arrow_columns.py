"""Columns of numbers and text from Parquet and Feather files, frames and arrays, read by Arrow."""

import bisect
import dataclasses
import pathlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfp_realnvp.columns.values import is_nothing
from tfp_realnvp.data import number_text
from tfp_realnvp.data.column_table import kept_names
from tfp_realnvp.data.table_checks import BadTableError, some

_BATCH = 2**16


@dataclasses.dataclass(frozen=True)
class ArrowTable:
    """A table that is read on demand.

    Attributes:
      label: its label for messages.
      names: names of its columns.
      read: maps names of columns to batches of these columns.
    """

    label: str
    names: Sequence[str]
    read: Callable[[Sequence[str]], Iterable[pa.RecordBatch]]


class ArrowReader:
    """Reads the rows of tables with the same columns, such as the files of a folder.

    Args:
      tables: one or more.
      left_out: names of columns that are ignored.
      only: names of the columns to read; by default all.
      text: names of columns that are text even if their values are integers.
      is_named: whether the tables have these names, rather than the caller.

    Raises:
      BadTableError: if tables have different columns, or one has two columns of the same name.
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        tables: Sequence[ArrowTable],
        *,
        left_out: Collection[str] = (),
        only: Collection[str] | None = None,
        text: Collection[str] = (),
        is_named: bool = True,
    ):
        self.label = tables[0].label if len(tables) == 1 else f"{tables[0].label} and {len(tables) - 1} more"
        self.is_named = is_named
        self._tables, self._names = tables, tables[0].names
        for table in tables:
            if len(set(table.names)) < len(table.names):
                twice = next(name for name in table.names if list(table.names).count(name) > 1)
                raise BadTableError(f"{table.label}: expected different names of columns, got {twice!r} twice")
            if set(table.names) != set(self._names):
                raise BadTableError(
                    f"{table.label}: expected the columns {some(self._names)}, as in {tables[0].label}, got"
                    f" {some(table.names)}"
                )
        self._kept = kept_names(tables[0].label, self._names, left_out, only)
        self._as_text = frozenset(text)
        self._starts: list[int] = []

    def batches(self) -> Iterator[pa.Table]:
        """The rows; each column is either float64 or text.

        Raises:
          BadTableError: for a column of another type, or of different types in two tables.
        """
        self._starts, done = [], 0
        types: dict[str, pa.DataType] = {}
        for table in self._tables:
            self._starts.append(done)
            try:
                for batch in table.read(self._kept):
                    done += batch.num_rows
                    columns = {name: self._plain(table.label, name, batch.column(name)) for name in self._kept}
                    for name, column in columns.items():
                        if types.setdefault(name, column.type) != column.type:
                            kind = "text" if column.type == pa.large_string() else "numbers"
                            raise BadTableError(
                                f"{table.label}, column {name!r}: expected what {self._tables[0].label} has, got {kind}"
                            )
                    yield pa.table(columns)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(table.label, error) from None

    def columns(self, batch: pa.Table, start: int) -> dict[str, np.ndarray]:
        """The columns of a batch: float64, NaN where missing, or text, None where missing.

        Args:
          batch: one or several of `batches`.
          start: number of rows before it.
        """
        return {name: to_numpy(batch[name]) for name in self._kept}

    def place(self, row: int, name: str) -> str:
        """The place of a value, given its row from 0: file, row and column."""
        table = bisect.bisect(self._starts, row) - 1
        label, row = self._tables[table].label, row - self._starts[table]
        return f"{label}, row {row}, column {name!r}" if self.is_named else f"{label}[{row}, {self._names.index(name)}]"

    def column_label(self, name: str) -> str:
        """A column's label for messages."""
        return f"column {name!r}"

    def _plain(self, label: str, name: str, column: pa.Array) -> pa.Array:
        try:
            return column.cast(pa.large_string()) if name in self._as_text else _plain(column)
        except TypeError as error:
            raise BadTableError(
                f"{label}, column {name!r}: expected numbers or text, got {error}; remove the column"
            ) from None


def to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    """A column as float64, NaN where missing, or as text without surrounding space, None where missing."""
    if pa.types.is_floating(column.type):
        return column.to_numpy()
    codes = column.cast(pa.large_string()).combine_chunks().dictionary_encode()
    # Each different text is cleaned once, and equal ones are one object.
    values = np.array([*number_text.cleaned(codes.dictionary).to_pylist(), None], object)
    return values[codes.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)]


def parquet(path: pathlib.Path) -> ArrowTable:
    """A Parquet file. Only a part of a row group is in memory at a time.

    Raises:
      BadTableError: if it is another kind of file.
    """
    try:
        names = pa.parquet.ParquetFile(path).schema_arrow.names
    except (pa.ArrowException, OSError) as error:
        raise _damaged(str(path), error) from None

    def read(kept: Sequence[str]) -> Iterator[pa.RecordBatch]:
        # By default it would keep the bytes of all that it has read until the file is closed.
        with pa.parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
            yield from file.iter_batches(_BATCH, columns=list(kept))

    return ArrowTable(str(path), names, read)


def feather(path: pathlib.Path) -> ArrowTable:
    """An Arrow file in the IPC format, which is Feather, or in the streaming format.

    Raises:
      BadTableError: if it is another kind of file.
    """
    is_file = path.open("rb").read(6) == b"ARROW1"

    def opened() -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
        return pa.ipc.open_file(pa.memory_map(str(path))) if is_file else pa.ipc.open_stream(path.open("rb"))

    def read(kept: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with opened() as reader:
            batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
            for batch in batches:
                yield batch.select(list(kept))

    try:
        with opened() as reader:
            return ArrowTable(str(path), reader.schema.names, read)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(str(path), error) from None


def in_memory(columns: Mapping[str, object], label: str) -> ArrowTable:
    """Columns that are arrays of Arrow or NumPy, or sequences.

    Raises:
      BadTableError: for columns of different lengths, or values that are not a column.
    """
    arrays = {name: _array(f"{label}, column {name!r}", values) for name, values in columns.items()}
    counts = {name: len(array) for name, array in arrays.items()}
    if not counts:
        raise BadTableError(f"{label}: expected columns, got none")
    (first, count), *others = counts.items()
    for name, other in others:
        if other != count:
            raise BadTableError(f"{label}, column {name!r}: expected {count} rows, as in {first!r}, got {other}")
    table = pa.table(arrays)
    return ArrowTable(label, list(arrays), lambda kept: table.select(list(kept)).to_batches())


def _array(label: str, values: object) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind in "cV":
        raise BadTableError(f"{label}: expected one axis of numbers or text, got {array.dtype} of {array.shape}")
    array = array.astype(array.dtype.newbyteorder("="))
    try:
        return pa.array(array, from_pandas=True)
    except pa.ArrowException:
        # Numbers beside text.
        return pa.array([None if is_nothing(value) else str(value) for value in array])


def _plain(column: pa.Array) -> pa.Array:
    """Float64 or text."""
    if pa.types.is_dictionary(column.type):
        return _plain(column.dictionary).take(column.indices)
    types, kind = pa.types, column.type
    if types.is_boolean(kind):
        return column.cast(pa.uint8()).cast(pa.float64())
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_null(kind):
        return column.cast(pa.float64(), safe=False)
    if types.is_string(kind) or types.is_string_view(kind) or types.is_large_string(kind) or types.is_date(kind):
        return column.cast(pa.large_string())
    if types.is_timestamp(kind) or types.is_time(kind):
        return column.cast(pa.large_string())
    raise TypeError(kind)


def _damaged(label: str, error: Exception) -> BadTableError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return BadTableError(f"{label}: expected a table of Arrow's, but Arrow says: {reason}")
