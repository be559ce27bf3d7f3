"""Chooses the reader of a source, and converts its batches to tables."""

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa

from tfp_realnvp.data import array_file, arrow_columns, table_path
from tfp_realnvp.data.arrow_columns import ArrowReader, ArrowTable
from tfp_realnvp.data.column_table import ColumnTable
from tfp_realnvp.data.csv_columns import CSVReader
from tfp_realnvp.data.faults import Faults
from tfp_realnvp.data.sets import SPLITS
from tfp_realnvp.data.table_checks import FLOAT32, BadTableError, fault, some


class _Kept(TypedDict):
    """Which columns are read, and which of them are text."""

    left_out: Collection[str]
    only: Collection[str] | None
    text: Collection[str]


def reader(
    source: Any,
    header: str,
    names: Sequence[str] | None,
    left_out: Collection[str],
    text: Collection[str],
    faults: Faults,
    only: Collection[str] | None = None,
) -> CSVReader | ArrowReader:
    """The reader of a source; see `stream_columns` for the arguments."""
    kept: _Kept = {"left_out": left_out, "only": only, "text": text}
    if isinstance(source, str):
        kind, _, path = source.partition(":")
        if kind == "csv" and path:
            file = table_path.existing(path)
            return CSVReader(file, header=header, names=names, faults=faults, **kept)
        if kind in ("parquet", "arrow") and path:
            opened = arrow_columns.parquet if kind == "parquet" else arrow_columns.feather
            return ArrowReader([opened(file) for file in table_path.matching(path)], **kept)
        if kind in ("npz", "npy") and path:
            return _of_arrays(path, names, kept)
        raise ValueError(f"expected csv:PATH, parquet:PATH, arrow:PATH, npz:PATH[:NAME] or npy:PATH, got {source!r}")
    if isinstance(source, Mapping):
        return ArrowReader([arrow_columns.in_memory(source, "the mapping")], **kept)
    return ArrowReader([_of_frame(source)], **kept)


def whole(reader: CSVReader | ArrowReader, faults: Faults) -> ColumnTable:
    """All rows as one table.

    Raises:
      BadTableError: if there are no rows.
    """
    batches = list(reader.batches())
    if not batches:
        raise BadTableError(f"{reader.label}: expected rows, got none")
    return _table(reader, pa.concat_tables(batches), 0, faults)


def in_batches(reader: CSVReader | ArrowReader, rows: int, faults: Faults) -> Iterator[ColumnTable]:
    """Tables of `rows` rows each; the last one may have fewer."""
    waiting: list[pa.Table] = []
    start = 0
    for batch in reader.batches():
        waiting.append(batch)
        while sum(part.num_rows for part in waiting) >= rows:
            together = pa.concat_tables(waiting)
            yield _table(reader, together.slice(0, rows), start, faults)
            waiting = [together.slice(rows)]
            start += rows
    if sum(part.num_rows for part in waiting):
        yield _table(reader, pa.concat_tables(waiting), start, faults)


def _of_arrays(path: str, names: Sequence[str] | None, kept: _Kept) -> ArrowReader:
    file, name = table_path.existing_array(path)
    keys = array_file.left_out(file, ())
    if name is None and len(keys) > 1 and not any(key.rpartition("/")[2] in SPLITS for key in keys):
        arrays = {key: next(iter(array_file.read_arrays(file, key).values())) for key in keys}
        if all(array.ndim == 1 for array in arrays.values()):
            return ArrowReader([arrow_columns.in_memory(arrays, str(file))], **kept)
    arrays = array_file.read_arrays(file, name)
    first = next(iter(arrays.values()))
    if first.dtype.names:
        tables = [
            arrow_columns.in_memory({name: array[name] for name in array.dtype.names or ()}, label)
            for label, array in arrays.items()
        ]
        return ArrowReader(tables, **kept)
    for label, array in arrays.items():
        if array.ndim != 2:
            raise BadTableError(f"{label}: expected 2 axes [rows, columns], got shape {array.shape}")
    width = first.shape[1]
    if names is not None and len(names) != width:
        raise BadTableError(f"{file}: expected {len(names)} columns, {some(names)}, got {width} without names")
    found = names or [f"column_{i}" for i in range(width)]
    tables = [arrow_columns.in_memory(dict(zip(found, array.T)), label) for label, array in arrays.items()]
    return ArrowReader(tables, **kept, is_named=False)


def _of_frame(frame: Any) -> ArrowTable:
    """A frame of pandas, without its index, or any other frame that Arrow reads."""
    label = f"the {type(frame).__name__} of {type(frame).__module__.partition('.')[0]}"
    if type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "columns"):
        names = [str(name) for name in frame.columns]
        if len(set(names)) < len(names):
            return ArrowTable(label, names, lambda kept: ())
        return arrow_columns.in_memory({name: frame.iloc[:, i] for i, name in enumerate(names)}, label)
    if not hasattr(frame, "__arrow_c_stream__") or type(frame).__name__ == "Series":
        raise ValueError(
            f"expected a name such as csv:PATH, a frame of pandas or polars, or a mapping of arrays, got {label}"
        )
    table = pa.table(frame)
    return ArrowTable(label, table.column_names, lambda kept: table.select(list(kept)).to_batches())


def _table(reader: CSVReader | ArrowReader, batch: pa.Table, start: int, faults: Faults) -> ColumnTable:
    columns = reader.columns(batch, start)
    for name, column in columns.items():
        if column.dtype == np.float64 and np.max(np.abs(column), initial=0, where=~np.isnan(column)) > FLOAT32.max:
            for row in np.flatnonzero(np.abs(column) > FLOAT32.max).tolist():
                place = functools.partial(reader.place, start + row, name)
                faults.add(start + row, reader.column_label(name), fault(column[row]) or "", place)
            columns[name] = np.where(np.abs(column) > FLOAT32.max, np.nan, column)
    kept = faults.taken(start, batch.num_rows)
    return ColumnTable(columns, reader.label, reader.is_named, reader.notes, kept, start, reader.place)
