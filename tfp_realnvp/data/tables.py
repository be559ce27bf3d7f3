"""Opens a table: a file of the user's, or a published set, by its name."""

import difflib
import os
import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfp_realnvp.data import array_file, csv_file, sets
from tfp_realnvp.data.loading import DataNotFoundError
from tfp_realnvp.data.published_tables import TABLES
from tfp_realnvp.data.table_checks import LEAST_TO_SPLIT, check_array, moments
from tfp_realnvp.data.vectors import VectorData


def table_names() -> tuple[str, ...]:
    """The published tables; `load_table` takes files, too."""
    return tuple(TABLES)


def is_table(name: str) -> bool:
    """Whether a name is for `load_table`, and not for `load`."""
    return name in TABLES or name.partition(":")[0] in ("csv", "npz", "npy")


def load_table(name: str, data_dir: str | os.PathLike | None = None) -> VectorData:
    """Opens a table of numbers, whose rows are the vectors that a flow is trained on.

    - `csv:PATH`: UTF-8, separated by commas, semicolons or tabs, with or without a header.
    - `npz:PATH`: arrays `train`, `validation` and `test`, each `[rows, columns]`, or one array. `npz:PATH:NAME` takes
      one array of several, or `NAME/train`, `NAME/validation` and `NAME/test`.
    - `npy:PATH`: one array.
    - One of `table_names()`: a published set, prepared and split as published, from its files in `data_dir`.

    One array, or a CSV file, is split after its rows were shuffled, always in the same way: the last tenth is the test
    split, and the last tenth of what is left the validation split.

    Args:
      name: one of these. A path is relative to the working directory.
      data_dir: the folder of published sets, itself or in its folder `tabular`. It is only read.

    Returns:
      The rows as float32 in the units of the file, or of the publication.

    Raises:
      DataNotFoundError: if there is no such file.
      BadTableError: if a value is missing, no number, or none that float32 can hold, with its line and column; if lines
        are of unequal lengths, a column is the same in every training row, or the file is no table at all.
      ModuleNotFoundError: for "gas" without pandas.
      ValueError: for another name.

    #### Examples

    ```python
    table = data.load_table("csv:wine.csv")
    table                        # VectorData(name='csv:wine.csv', shape=(12,))
    table.num_examples("train")  # 1296
    for batch in table.training_batches(64, seed=0, epoch=0):
        ...                      # float32 [64, 12]
    ```
    """
    kind, _, path = name.partition(":")
    if kind == "csv" and path:
        return _from_csv(name, path)
    if kind in ("npz", "npy") and path:
        return _from_arrays(name, path)
    if name in TABLES:
        return _published(name, data_dir)
    raise _unknown(name)


def _from_csv(name: str, path: str) -> VectorData:
    file = csv_file.read(_existing(path))
    check_array(file.rows, str(file.path), least_rows=LEAST_TO_SPLIT)
    return _assembled(name, _split_at_random(file.rows), file.columns, file.label)


def _from_arrays(name: str, path: str) -> VectorData:
    array_name = None
    if not pathlib.Path(path).expanduser().exists() and ":" in path:
        path, _, array_name = path.rpartition(":")
    arrays = array_file.read_table(_existing(path), array_name)
    label, rows = next(iter(arrays.items()))
    if len(arrays) == 1:
        splits = _split_at_random(rows)
    else:
        splits = dict(zip(sets.SPLITS, arrays.values(), strict=True))
    return _assembled(name, splits, None, lambda column: f"{label}[:, {column}]")


def _published(name: str, data_dir: str | os.PathLike | None) -> VectorData:
    table = TABLES[name]
    files = " and ".join(table.files)
    if data_dir is None:
        raise DataNotFoundError(f"{name}: give the folder that has {files} (--data_dir=DIR): {table.origin}")
    folder = pathlib.Path(data_dir).expanduser()
    for place in (folder, folder / "tabular"):
        paths = [place / file for file in table.files]
        if all(path.is_file() for path in paths):
            splits = table.read(*paths)
            return _assembled(name, splits, None, lambda column: f"{name}, column {column + 1} as prepared")
    raise DataNotFoundError(f"{name} is not in {folder}: expected {files} there: {table.origin}")


def _existing(path: str) -> pathlib.Path:
    found = pathlib.Path(path).expanduser()  # The shell would not in --dataset=csv:~/x.
    if found.is_dir():
        raise DataNotFoundError(f"expected a file, got the folder {found}")
    if not found.exists():
        raise DataNotFoundError(f"there is no file {found}")
    return found


def _split_at_random(rows: np.ndarray) -> dict[str, np.ndarray]:
    # NumPy keeps this generator's stream fixed.
    return sets.last_tenths(rows[np.random.RandomState(0).permutation(len(rows))])


def _assembled(
    name: str, splits: Mapping[str, np.ndarray], columns: tuple[str, ...] | None, label: Callable[[int], str]
) -> VectorData:
    splits = {split: rows.astype(np.float32, copy=False) for split, rows in splits.items()}
    mean, std = moments(splits["train"], label)
    with tf.device("CPU:0"):
        rows = {split: tf.constant(rows) for split, rows in splits.items()}
    return VectorData(name=name, shape=(len(mean),), columns=columns, mean=mean, std=std, _rows=rows)


def _unknown(name: str) -> ValueError:
    suffix = pathlib.Path(name).suffix.lower().lstrip(".")
    close = difflib.get_close_matches(name, TABLES)
    if suffix in ("csv", "npz", "npy"):
        close = [f"{suffix}:{name.rpartition(':')[2]}"]
    guess = f" (did you mean {' or '.join(close)}?)" if close else ""
    return ValueError(
        f"unknown table {name!r}{guess}: expected csv:PATH, npz:PATH[:NAME], npy:PATH or one of {', '.join(TABLES)}"
    )
