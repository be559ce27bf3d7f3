"""Tables that are read batch by batch in each pass, with a shuffle buffer."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from tfp_realnvp.columns import Columns, Spec
from tfp_realnvp.columns.inference import MOST_COUNTED
from tfp_realnvp.data import table_statistics, typed_tables
from tfp_realnvp.data.column_table import ColumnTable
from tfp_realnvp.data.events import Events, Source
from tfp_realnvp.data.sets import SPLITS
from tfp_realnvp.data.table_checks import LEAST_TO_SPLIT, BadTableError
from tfp_realnvp.data.typed_tables import Typing

# Reads the columns of these names, or all.
Reader = Callable[[Collection[str] | None], Iterator[ColumnTable]]


@dataclasses.dataclass(frozen=True)
class StreamedTable(Source):
    """Rows that are read from their files in each pass.

    Attributes:
      columns: of the table.
      read: reads the table, batch by batch.
      counts: number of rows in each split.
      shuffle_buffer: rows in the shuffle buffer.
    """

    columns: Columns
    read: Callable[[], Iterator[ColumnTable]]
    counts: Mapping[str, int]
    shuffle_buffer: int

    def num_examples(self, split: str) -> int:
        return self.counts[split]

    def examples(self, split: str) -> tf.data.Dataset:
        rows = self._dataset(lambda: self._rows(split), None).unbatch()
        return rows.apply(tf.data.experimental.assert_cardinality(self.counts[split]))

    def shuffled(self, batch_size: int, skip: int, order_seed: tf.Tensor, crop_seed: tf.Tensor) -> tf.data.Dataset:
        seed = np.frombuffer(order_seed.numpy().tobytes(), np.uint32)

        def batches() -> Iterator[np.ndarray]:
            # NumPy guarantees this generator's stream.
            rows = shuffled(self._rows("train"), self.shuffle_buffer, np.random.RandomState(seed))
            return itertools.islice(_in_batches(rows, batch_size), skip, None)

        count = self.counts["train"] // batch_size - skip
        return self._dataset(batches, batch_size).apply(tf.data.experimental.assert_cardinality(count))

    def _rows(self, split: str) -> Iterator[np.ndarray]:
        for numbers, rows in usable_rows(self.columns, self.read()):
            yield rows[table_statistics.splits_of(numbers) == SPLITS.index(split)]

    def _dataset(self, parts: Callable[[], Iterator[np.ndarray]], size: int | None) -> tf.data.Dataset:
        signature = tf.TensorSpec([size, self.columns.size], tf.float32)
        return tf.data.Dataset.from_generator(parts, output_signature=signature)


def events_of(name: str, read: Reader, typing: Typing, shuffle_buffer: int) -> Events:
    """The rows of a table that is read in each pass; memory does not grow with their number.

    One pass collects the statistics that decide the columns, unless `typing` has those of a model. Another encodes
    every row, so that a bad value is found before training.

    Raises:
      BadTableError: for a value that its column cannot have, columns that are missing, or too few rows.
      ValueError: for a shuffle buffer without rows.
    """
    if shuffle_buffer < 1:
        raise ValueError(f"expected a shuffle_buffer of 1 row or more, got {shuffle_buffer}")
    columns, notes = typing.columns, tuple[str, ...]()
    if columns is None:
        columns, notes = _inferred(name, read, typing)
    counts, digest, total = dict.fromkeys(SPLITS, 0), hashlib.sha256(), 0
    notes_of_file: tuple[str, ...] = ()
    for table in read(columns.names):
        total, notes_of_file = table.start + len(table), table.notes
        for numbers, rows in usable_rows(columns, [table]):
            digest.update(rows.data)
            for split, count in zip(SPLITS, np.bincount(table_statistics.splits_of(numbers), minlength=3)):
                counts[split] += int(count)
    count = sum(counts.values())
    if count < LEAST_TO_SPLIT or not all(counts.values()):
        raise BadTableError(f"{name}: expected whole rows in each split, got {count} of {total:,} rows")
    if dropped := total - count:
        notes = (*notes, f"{dropped:,} of {total:,} rows left out, since values are missing")
    note = "".join(f"\n  {line}" for line in (*notes, *notes_of_file, f"shuffled in a buffer of {shuffle_buffer:,}"))
    return Events(
        name,
        (columns.size,),
        None,
        columns.names,
        types=columns,
        files=f"{count} rows of digest {digest.hexdigest()[:12]}",
        note=note,
        shuffle_buffer=shuffle_buffer,
        _source=StreamedTable(columns, lambda: read(columns.names), counts, shuffle_buffer),
    )


def usable_rows(columns: Columns, tables: Iterable[ColumnTable]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each batch of a table: the numbers of the rows that have a density, and these rows as `columns` encodes them.

    Raises:
      BadTableError: for a value that its column cannot have.
    """
    for table in tables:
        rows = typed_tables.encoded(columns, table)
        usable = np.flatnonzero(typed_tables.has_density(columns, rows))
        yield table.start + usable, rows[usable]


def shuffled(parts: Iterable[np.ndarray], size: int, random: np.random.RandomState) -> Iterator[np.ndarray]:
    """The same rows in another order: arriving rows take the places of rows drawn from a buffer of `size` rows."""
    buffer, filled = np.zeros([0, 0], np.float32), 0
    for part in parts:
        if not len(buffer):
            buffer = np.empty([size, part.shape[1]], part.dtype)
        free = min(size - filled, len(part))
        buffer[filled : filled + free] = part[:free]
        filled += free
        for start in range(free, len(part), size):
            arriving = part[start : start + size]
            places = random.permutation(size)[: len(arriving)]
            drawn = buffer[places]
            buffer[places] = arriving
            yield drawn
    yield buffer[random.permutation(filled)]


def _in_batches(parts: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Full batches of the rows of `parts`; the remainder is dropped."""
    waiting: list[np.ndarray] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) < size:
            continue
        rows = np.concatenate(waiting)
        whole = len(rows) // size * size
        yield from rows[:whole].reshape(-1, size, rows.shape[1])
        waiting = [rows[whole:]]


def _inferred(name: str, read: Reader, typing: Typing) -> tuple[Columns, tuple[str, ...]]:
    """The columns by the statistics of one pass, and notes on them."""
    last: list[ColumnTable] = []

    def tables() -> Iterator[ColumnTable]:
        for table in read(None):
            last[:] = [table]
            yield table

    found = table_statistics.collect(tables())
    if not last:
        raise BadTableError(f"{name}: expected rows, got none")
    (table,) = last
    for column, (kind, options) in Spec.of_text(typing.spec).types.items():
        if kind in ("ordinal", "boolean", "categorical") and not options and column in found.many:
            most = f"{MOST_COUNTED:,}"
            raise BadTableError(
                f"{table.label}, column {column!r}: expected at most {most} values for {kind}, got more"
            )
    sample = ColumnTable(
        columns=dict(found.sample),
        label=table.label,
        is_named=table.is_named,
        notes=table.notes,
        faults={},
        start=0,
        _place=lambda row, column: table.where(int(found.rows[row]) - table.start, column),
    )
    columns, notes = typed_tables.columns_of(sample, typing, found.levels, found.missing)
    usable = np.flatnonzero(typed_tables.has_density(columns, typed_tables.encoded(columns, sample)))
    if len(usable) < 2:
        raise BadTableError(f"{table.label}: expected 2 or more whole training rows, got {len(usable)}")
    return typed_tables.fitted(sample, columns, typing, usable, found.levels), notes
