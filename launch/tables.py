"""Rows of a table, some of whose values are drawn from a model given the others."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from launch import run, source
from tfp_realnvp import data, evaluation
from tfp_realnvp.columns import ColumnError, imputation


def given_rows(
    model: source.TableModel, path: str, *, with_others: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rows of a file as the model's columns encode them, NaN in columns that the file lacks; and their values.

    Of a model of whole rows, the file must have its context's columns, and others do not matter. Of a model of any
    columns, one that the model lacks may be a misspelled one, and is refused.

    Args:
      model: the model.
      path: path of the file.
      with_others: whether the values are those of all columns, in the order of the file. Columns that the model lacks
        are text then, which keeps digits that numbers would lose.
    """
    columns = model.types
    file = table_name(path)
    # A file of one column is one of these, and a file without a header has them all.
    names = [column.name for column in (*(columns.columns if columns.is_partial else ()), *columns.context)]
    read = functools.partial(data.read_columns, file, header=run.HEADER.value, names=names or None)
    try:
        table = read(text=columns.text)
        if with_others and (others := [name for name in table.columns if name not in names]):
            table = read(text=(*columns.text, *others))
    except data.BadTableError as error:
        raise run.UsageError(str(error)) from error
    wanted = [column.name for column in columns.context]
    if missing := [name for name in wanted if name not in table.columns]:
        raise run.UsageError(f"{file}: expected the columns {', '.join(wanted)}, got none named {', '.join(missing)}")
    own = [column.name for column in columns.columns if columns.is_partial and column.name in table.columns]
    if not wanted and not own:
        raise run.UsageError(f"{file}: expected some of the columns {', '.join(columns.names)}, got none of them")
    others = [name for name in table.columns if name not in columns.names]
    if others and columns.is_partial and not with_others:
        raise run.UsageError(f"{file}: expected columns among {', '.join(columns.names)}, got {', '.join(others)}")
    known = dict(zip(columns.names, (*columns.columns, *columns.context)))
    rows = np.full([len(table), columns.size], np.nan, np.float32)
    for name in (*own, *wanted):
        try:
            rows[:, columns.names.index(name)] = known[name].encode(table.columns[name])
        except ColumnError as error:
            raise run.UsageError(f"{table.where(error.index, error.column)}: {error.reason}") from error
    if not columns.is_partial and np.any(is_gap := np.isnan(rows[:, len(columns.columns) :][:, : len(wanted)])):
        row, place = np.argwhere(is_gap)[0]
        raise run.UsageError(f"{table.where(row, wanted[place])}: expected a value to condition on, got none")
    return rows, table.columns if with_others else {name: table.columns[name] for name in (*own, *wanted)}


def decoded(model: source.TableModel, rows: np.ndarray, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of rows, and where a file gave values these values: rows hold them as float32.

    Columns that the model lacks are those of the file.
    """
    columns = model.types
    found = columns.decode(rows[:, : len(columns.columns) + len(columns.context)])
    for name, values in given.items():
        is_there = np.array([value is not None for value in values]) if values.dtype == object else ~np.isnan(values)
        found[name] = np.where(is_there, values, found[name]) if name in found else values
    return found


def table_name(path: str) -> str:
    """A file as `data.read_columns` names it: by its suffix, CSV by default."""
    suffix = pathlib.Path(path).suffix.lower()
    kind = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".npy": "npy", ".npz": "npz"}.get(suffix)
    return f"{kind or 'csv'}:{path}"


def completed(model: source.TableModel, rows: np.ndarray, z: np.ndarray, batch_size: int) -> np.ndarray:
    """Rows with a draw, made of latents `z`, where they have NaN."""
    v = evaluation.decode(
        model.distribution,
        z,
        imputation.context_of_gaps(model.types, rows),
        batch_size=batch_size,
        jit_compile=run.jit_compile(),
        progress=source.progress(len(z)),
    )
    return imputation.with_draws(model.types, rows, tf.constant(v, tf.float32))
