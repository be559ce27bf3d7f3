"""Tables with columns of several types as events: inferred types, missing values, weights, splits."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from tfp_realnvp.columns import ColumnError, Columns, Real, Spec, infer_with_notes
from tfp_realnvp.data import sets
from tfp_realnvp.data.column_table import ColumnTable
from tfp_realnvp.data.events import Events, InMemory
from tfp_realnvp.data.table_checks import LEAST_TO_SPLIT, BadTableError, some


@dataclasses.dataclass(frozen=True)
class Typing:
    """Types and roles of a table's columns.

    Attributes:
      spec: types of some columns, see `tfp_realnvp.columns.Spec`.
      context: names of the columns that the density is conditioned on.
      weights: name of the column of sample weights.
      missing: "drop" rows with missing values, or "keep" them for densities of the values that are not missing.
      columns: the columns of a trained model, instead of the other attributes.
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
        """Names of columns that are ignored."""
        return Spec.of_text(self.spec).dropped

    @property
    def text(self) -> tuple[str, ...]:
        """Names of columns that are text even if they look like numbers."""
        if self.columns is not None:
            return self.columns.text
        types = Spec.of_text(self.spec).types
        return tuple(name for name, (kind, _) in types.items() if kind == "categorical")


def events_of(name: str, table: ColumnTable, typing: Typing) -> Events:
    """The rows of a table, split in the same random order as tables of numbers.

    Raises:
      BadTableError: for a value outside the support of its column, missing columns, or too few rows.
    """
    columns, notes = columns_of(table, typing)
    rows = encoded(columns, table)
    usable = has_density(columns, rows)
    if dropped := int(np.sum(~usable)):
        notes = (*notes, f"{dropped:,} of {len(rows):,} rows left out, since values are missing")
    order = _order(usable)
    if len(order) < LEAST_TO_SPLIT:
        raise BadTableError(f"{table.label}: expected {LEAST_TO_SPLIT} or more whole rows, got {len(order)}")
    if typing.columns is None:
        columns = fitted(table, columns, typing, sets.last_tenths(order)["train"])
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


def columns_of(
    table: ColumnTable,
    typing: Typing,
    levels: Mapping[str, np.ndarray] | None = None,
    missing: Mapping[str, int] | None = None,
) -> tuple[Columns, tuple[str, ...]]:
    """The columns of a table and notes on them; see `infer_with_notes` for `levels` and `missing`."""
    if typing.columns is not None:
        return typing.columns, ()
    with _errors_of(table):
        found = infer_with_notes(
            table.columns,
            Spec((), Spec.of_text(typing.spec).types),  # What is dropped was not read.
            context=typing.context,
            weights=typing.weights,
            is_partial=typing.missing == "keep",
            levels=levels,
            missing=missing,
        )
    return found.columns, found.notes


def encoded(columns: Columns, table: ColumnTable) -> np.ndarray:
    """The rows of a table as `columns` encodes them; an error names the place."""
    with _errors_of(table):
        return columns.encode(table.columns)


def has_density(columns: Columns, rows: np.ndarray) -> np.ndarray:
    """Whether each of these encoded rows has a density: it is whole or, for partial columns, not empty."""
    is_missing = np.isnan(rows)
    usable = ~np.any(is_missing, axis=1)
    if columns.is_partial:
        usable |= ~np.all(is_missing[:, : len(columns.columns)], axis=1)
    return usable


def fitted(
    table: ColumnTable,
    found: Columns,
    typing: Typing,
    train: np.ndarray,
    levels: Mapping[str, np.ndarray] | None = None,
) -> Columns:
    """The same columns, their moments and frequencies those of the training rows, whose places are `train`."""
    used = {name: values for name, values in table.columns.items() if name in found.names}
    fitted = infer_with_notes(
        {name: values[train] for name, values in used.items()},
        Spec((), {name: typed for name, typed in Spec.of_text(typing.spec).types.items() if name in used}),
        context=typing.context,
        weights=typing.weights,
        is_partial=found.is_partial,
        levels=used if levels is None else levels,
    ).columns
    if fitted.names != found.names:
        lost = [name for name in found.names if name not in fitted.names]
        raise BadTableError(f"{table.label}: expected values that differ among the training rows of {some(lost)}")
    return fitted


@contextlib.contextmanager
def _errors_of(table: ColumnTable) -> Iterator[None]:
    """Turns errors of columns into those of a table, with the place."""
    try:
        yield
    except KeyError as error:
        raise BadTableError(f"{table.label}: {error.args[0]}") from None
    except ColumnError as error:
        raise BadTableError(f"{table.where(error.index, error.column)}: {error.reason}") from None
    except ValueError as error:
        raise BadTableError(f"{table.label}: {error}") from None


def _order(is_whole: np.ndarray) -> np.ndarray:
    """The places of usable rows in a random order, which depends only on their number."""
    places = np.flatnonzero(is_whole)
    # NumPy keeps this generator's stream fixed.
    return places[np.random.RandomState(0).permutation(len(places))]


def is_plain(events: Events, table: ColumnTable) -> bool:
    """Whether a table has only real numbers and no gaps, so that its rows are the events of a flow."""
    columns, rows = events.types, sum(events.num_examples(split) for split in sets.SPLITS)
    if columns is None or columns.is_partial or table.notes:
        return False
    is_real = all(isinstance(column, Real) for column in columns.columns)
    return is_real and len(columns.columns) == len(table.columns) and rows == len(table)
