"""Tables with columns of several types as events: inferred types, missing values, weights, splits."""

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfp_realnvp.columns import ColumnError, Columns, Real, Spec, infer_with_notes
from tfp_realnvp.data import sets
from tfp_realnvp.data.column_table import ColumnTable
from tfp_realnvp.data.events import Events, InMemory
from tfp_realnvp.data.table_checks import LEAST_TO_SPLIT, BadTableError, some


@dataclasses.dataclass(frozen=True)
class Typing:
    """What is asked for of a table's columns.

    Attributes:
      spec: types of some columns, see `tfp_realnvp.columns.Spec`.
      context: columns that the density is conditioned on.
      weights: the column of each row's weight.
      missing: what becomes of rows with missing values: "drop", or "keep" for a density of what is there.
      columns: those of a trained model, in place of all others.
    """

    spec: str = ""
    context: tuple[str, ...] = ()
    weights: str | None = None
    missing: str = "drop"
    columns: Columns | None = None

    @property
    def is_default(self) -> bool:
        return self == Typing()

    @property
    def left_out(self) -> tuple[str, ...]:
        """Columns that need not be looked at."""
        return Spec.of_text(self.spec).dropped

    @property
    def text(self) -> tuple[str, ...]:
        """Columns that are text, though they may look like numbers."""
        if self.columns is not None:
            both = (*self.columns.columns, *self.columns.context)
            return tuple(column.name for column in both if column.is_text)
        types = Spec.of_text(self.spec).types
        return tuple(name for name, (kind, _) in types.items() if kind == "categorical")


def events_of(name: str, table: ColumnTable, typing: Typing) -> Events:
    """The rows of a table, split at random as those of numbers are.

    Raises:
      BadTableError: for a value that its column cannot have, columns that are missing, or too few rows.
    """
    try:
        columns, notes = _columns(table.columns, typing)
        rows = columns.encode(table.columns)
    except KeyError as error:
        raise BadTableError(f"{table.label}: {error.args[0]}") from None
    except ColumnError as error:
        raise BadTableError(f"{table.where(error.index, error.column)}: {error.reason}") from None
    except ValueError as error:
        raise BadTableError(f"{table.label}: {error}") from None
    is_whole = ~np.any(np.isnan(rows), axis=1)
    if columns.is_partial:
        is_whole |= ~np.all(np.isnan(rows[:, : len(columns.columns)]), axis=1)
    dropped = int(np.sum(~is_whole))
    if dropped:
        notes = (*notes, f"{dropped:,} of {len(rows):,} rows left out, since values are missing")
    order = _order(is_whole)
    if len(order) < LEAST_TO_SPLIT:
        raise BadTableError(f"{table.label}: expected {LEAST_TO_SPLIT} or more whole rows, got {len(order)}")
    if typing.columns is None:
        train = sets.last_tenths(order)["train"]
        columns = _fitted(table.columns, columns, typing, train)
        rows = columns.encode(table.columns)
    splits = {split: rows[places] for split, places in sets.last_tenths(order).items()}
    digest = hashlib.sha256()
    for part in splits.values():
        digest.update(str(part.shape).encode())
        digest.update(part)
    files = f"{len(order)} rows of digest {digest.hexdigest()[:12]}"
    with tf.device("CPU:0"):
        source = InMemory({split: tf.constant(part) for split, part in splits.items()})
    note = "".join(f"\n  {line}" for line in (*notes, *table.notes))
    return Events(name, (columns.size,), None, columns.names, types=columns, files=files, note=note, _source=source)


def _columns(table: Mapping[str, np.ndarray], typing: Typing) -> tuple[Columns, tuple[str, ...]]:
    if typing.columns is not None:
        return typing.columns, ()
    spec = Spec((), Spec.of_text(typing.spec).types)  # What is dropped was not read.
    found = infer_with_notes(
        table, spec, context=typing.context, weights=typing.weights, is_partial=typing.missing == "keep"
    )
    return found.columns, found.notes


def _fitted(table: Mapping[str, np.ndarray], found: Columns, typing: Typing, train: np.ndarray) -> Columns:
    """The same columns, their moments and frequencies those of the training rows."""
    used = {name: table[name] for name in table if name in found.names}
    fitted = infer_with_notes(
        {name: values[train] for name, values in used.items()},
        Spec((), {name: typed for name, typed in Spec.of_text(typing.spec).types.items() if name in used}),
        context=typing.context,
        weights=typing.weights,
        is_partial=found.is_partial,
        levels=used,
    ).columns
    if fitted.names != found.names:
        lost = [name for name in found.names if name not in fitted.names]
        raise BadTableError(f"expected values that differ among the training rows of {some(lost)}")
    return fitted


def _order(is_whole: np.ndarray) -> np.ndarray:
    """The places of whole rows in a random order, always the same for as many."""
    places = np.flatnonzero(is_whole)
    # NumPy keeps this generator's stream fixed.
    return places[np.random.RandomState(0).permutation(len(places))]


def is_plain(events: Events, table: ColumnTable) -> bool:
    """Whether a whole table is one of real numbers, which a flow takes as they are."""
    columns, rows = events.types, sum(events.num_examples(split) for split in sets.SPLITS)
    if columns is None or columns.is_partial or table.notes:
        return False
    is_real = all(isinstance(column, Real) for column in columns.columns)
    return is_real and len(columns.columns) == len(table.columns) and rows == len(table)
