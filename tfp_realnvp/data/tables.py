"""Opens tables by name: user files and published sets."""

import difflib
import hashlib
import os
import pathlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfp_realnvp import paths
from tfp_realnvp.data import array_file, csv_file, sets, streamed_tables, table_path, typed_tables
from tfp_realnvp.data.column_table import ColumnTable
from tfp_realnvp.data.events import Events, InMemory
from tfp_realnvp.data.published_tables import TABLES
from tfp_realnvp.data.sets import DataNotFoundError
from tfp_realnvp.data.table_checks import LEAST_TO_SPLIT, BadTableError, check_array, moments, some
from tfp_realnvp.data.table_files import read_columns, stream_columns
from tfp_realnvp.data.typed_tables import Typing

# Files whose columns may be of several types.
_OF_TYPES = ("csv", "parquet", "arrow")


def table_names() -> tuple[str, ...]:
    """The names of the published tables; `load_table` also takes files."""
    return tuple(TABLES)


def is_table(name: str) -> bool:
    """Whether a name denotes a table; the rank and dtype of an array decide whether it is one or images."""
    kind, _, path = name.partition(":")
    if kind in ("npz", "npy"):
        return not array_file.holds_images(path)
    return kind in _OF_TYPES or name in TABLES


def load_table(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    header: str = "auto",
    columns: Sequence[str] | None = None,
    typing: Typing | None = None,
    shuffle_buffer: int | None = None,
) -> Events:
    """Opens a table, whose rows are the vectors to train on.

    - `csv:PATH`, `parquet:PATH` and `arrow:PATH`, see `read_columns`. Their columns have several types with `typing`;
      a CSV file without it has columns of real numbers.
    - `npz:PATH`: arrays `train`, `validation` and `test`, each `[rows, columns]`, or one array. `npz:PATH:NAME` selects
      one of several arrays, or `NAME/train`, `NAME/validation` and `NAME/test`.
    - `npy:PATH`: one array.
    - One of `table_names()`: a published set from its files in `data_dir`, prepared and split as published.

    A single array or a file is shuffled in a fixed order and split: the last tenth is the test split, the last tenth of
    the rest the validation split.

    With a `shuffle_buffer`, files of several types are read in each pass, so that they may be larger than memory:

    - One pass infers the types of the columns: from the extremes and different values of all rows, and moments,
      quantiles and frequencies of a uniform sample of 100,000 training rows. A second pass checks every value.
    - A hash of a row's number decides its split, 81 % train, 9 % validation and 10 % test. Rows that are appended do
      not move others.
    - An epoch reads the rows in the order of the files, and draws each batch from the buffer. If the files are sorted,
      the buffer should be larger than a sorted part. The order is a function of seed and epoch, so that a resumed run
      is exact; it reads the epoch from its start.

    Args:
      name: one of the above. A path is relative to the working directory.
      data_dir: folder that contains the published sets, directly or in `tabular`. It is only read.
      header: whether the first line of a CSV file is a header: "yes", "no", or "auto", which refuses an ambiguous line.
      columns: names of the columns in the required order, for example the order of a model's training. They are also
        assigned to the columns of a file without names.
      typing: the types of the columns, missing values and weights, see `Typing`. By default all columns of a CSV file
        are real numbers, and none may be missing; those of Parquet and Arrow are inferred.
      shuffle_buffer: rows in memory from which batches are drawn, for csv:, parquet: and arrow:. By default the whole
        table is in memory. Types are inferred then, for CSV, too.

    Returns:
      The rows as float32, in the units of the file or the publication; unless all columns are real numbers, as
      `types.encode` of the `Events` returns them.

    Raises:
      DataNotFoundError: if there is no such file.
      BadTableError: if a value is missing, not a number, or beyond float32's range (the message names line and column);
        if lines differ in length, a column is constant over the training rows, the columns have names other than
        `columns`, or the file is not a table.
      ModuleNotFoundError: for "gas" without pandas.
      ValueError: for another name.

    ```python
    table = data.load_table("csv:wine.csv")
    table                        # Events(name='csv:wine.csv', shape=(12,), levels=None)
    table.num_examples("train")  # 1296
    for batch in table.training_batches(64, seed=0, epoch=0):
        ...                      # float32 [64, 12]
    ```
    """
    kind, _, path = name.partition(":")
    if shuffle_buffer is not None:
        if kind not in _OF_TYPES or not path:
            raise ValueError(f"{name}: expected csv:, parquet: or arrow: for a shuffle_buffer, got another table")
        return _streamed(name, header, columns, typing or Typing(), shuffle_buffer)
    if kind in _OF_TYPES and path and (typing is not None or kind != "csv"):
        return _of_types(name, header, columns, typing or Typing())
    if typing is not None and not typing.is_default:
        raise ValueError(f"{name}: expected csv:, parquet: or arrow: for types, a context, weights or missing values")
    if kind == "csv" and path:
        return _from_csv(name, csv_file.read(table_path.existing(path), header=header, names=columns), columns)
    if kind in ("npz", "npy") and path:
        return _from_arrays(name, path, columns)
    if name in TABLES:
        return _published(name, data_dir)
    raise _unknown(name)


def _of_types(name: str, header: str, columns: Sequence[str] | None, typing: Typing) -> Events:
    table = read_columns(name, header=header, names=columns, left_out=typing.left_out, text=typing.text)
    events = typed_tables.events_of(name, table, typing)
    if name.startswith("csv:") and not typing.left_out and typed_tables.is_plain(events, table):
        try:
            file = csv_file.read(table_path.existing(name.partition(":")[2]), header=header, names=columns)
        except BadTableError:  # Numbers in another notation, such as 1,5.
            return events
        return _from_csv(name, file, columns)
    return events


def _streamed(name: str, header: str, columns: Sequence[str] | None, typing: Typing, shuffle_buffer: int) -> Events:
    def read(only: Collection[str] | None) -> Iterator[ColumnTable]:
        return stream_columns(name, header=header, names=columns, left_out=typing.left_out, text=typing.text, only=only)

    return streamed_tables.events_of(name, read, typing, shuffle_buffer)


def _from_csv(name: str, file: csv_file.CSVFile, columns: Sequence[str] | None) -> Events:
    check_array(file.rows, str(file.path), least_rows=LEAST_TO_SPLIT)
    if columns is None or file.columns is None:
        note = "; no header" if file.columns is None else ""
        return _from_file(name, _split_at_random(file.rows), file.columns or columns, file.label, note)
    _check_columns(str(file.path), file.columns, columns)
    order = [file.columns.index(column) for column in columns]
    note = "" if order == sorted(order) else f"; the order in the file is {some(file.columns)}"
    return _from_file(name, _split_at_random(file.rows[:, order]), columns, lambda i: file.label(order[i]), note)


def _from_arrays(name: str, path: str, columns: Sequence[str] | None) -> Events:
    file, array_name = table_path.existing_array(path)
    arrays = array_file.read_table(file, array_name)
    others = array_file.left_out(file, arrays)
    note = f"; left out: {some(others)}" if others else ""
    label, rows = next(iter(arrays.items()))
    if len(arrays) == 1:
        splits = _split_at_random(rows)
    else:
        splits = dict(zip(sets.SPLITS, arrays.values(), strict=True))
    return _from_file(name, splits, columns, lambda column: f"{label}[:, {column}]", note)


def _published(name: str, data_dir: str | os.PathLike[str] | None) -> Events:
    table = TABLES[name]
    files = " and ".join(table.files)
    if data_dir is None:
        raise DataNotFoundError(f"{name}: pass the folder that contains {files} (--data_dir=DIR): {table.origin}")
    folder = paths.local(data_dir)
    for place in (folder, folder / "tabular"):
        found = [place / file for file in table.files]
        if all(path.is_file() for path in found):
            splits = table.read(*found)
            return _assembled(name, splits, lambda column: f"{name}, column {column + 1} as prepared")
    raise DataNotFoundError(f"{name} is not in {folder}: expected {files} there: {table.origin}")


def _check_columns(path: str, found: Sequence[str], expected: Sequence[str]) -> None:
    """Raises a `BadTableError` unless the names are as expected, in any order."""
    if sorted(found) != sorted(expected):
        missing = [repr(name) for name in expected if name not in found]
        others = [repr(name) for name in found if name not in expected]
        differences = [f"{what} {some(names)}" for what, names in (("no", missing), ("also", others)) if names]
        raise BadTableError(f"{path}: expected the columns {some(expected)}, got {' and '.join(differences)}")


def _split_at_random(rows: np.ndarray) -> dict[str, np.ndarray]:
    # NumPy guarantees this generator's stream.
    return sets.last_tenths(rows[np.random.RandomState(0).permutation(len(rows))])


def _from_file(
    name: str,
    splits: Mapping[str, np.ndarray],
    columns: Sequence[str] | None,
    label: Callable[[int], str],
    note: str = "",
) -> Events:
    """A table from a user's file, identified by its contents."""
    splits = {split: np.ascontiguousarray(rows, np.float32) for split, rows in splits.items()}
    digest = hashlib.sha256()
    for rows in splits.values():
        digest.update(str(rows.shape).encode())
        digest.update(rows.data)
    files = f"{sum(map(len, splits.values()))} rows of digest {digest.hexdigest()[:12]}"
    width = splits["train"].shape[1]
    if columns is not None and len(columns) != width:
        raise BadTableError(f"{name}: expected {len(columns)} columns, {some(columns)}, got {width} without names")
    return _assembled(name, splits, label, columns=None if columns is None else tuple(columns), files=files, note=note)


def _assembled(
    name: str,
    splits: Mapping[str, np.ndarray],
    label: Callable[[int], str],
    columns: tuple[str, ...] | None = None,
    files: str | None = None,
    note: str = "",
) -> Events:
    splits = {split: rows.astype(np.float32, copy=False) for split, rows in splits.items()}
    mean, std = moments(splits["train"], label)
    with tf.device("CPU:0"):
        rows = {split: tf.constant(rows) for split, rows in splits.items()}
    return Events(name, (len(mean),), None, columns, mean=mean, std=std, files=files, note=note, _source=InMemory(rows))


def _unknown(name: str) -> ValueError:
    suffix = pathlib.Path(name).suffix.lower().lstrip(".")
    close = difflib.get_close_matches(name, TABLES)
    if suffix in ("csv", "npz", "npy"):
        close = [f"{suffix}:{name.rpartition(':')[2]}"]
    guess = f" (did you mean {' or '.join(close)}?)" if close else ""
    return ValueError(
        f"unknown table {name!r}{guess}: expected csv:PATH, npz:PATH[:NAME], npy:PATH or one of {', '.join(TABLES)}"
    )
