"""Statistics of a table that is larger than memory, collected in one pass."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfp_realnvp.columns.inference import MOST_COUNTED
from tfp_realnvp.data.column_table import ColumnTable
from tfp_realnvp.data.sets import SPLITS

# Training rows in the sample.
SAMPLED = 100_000


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What decides the types of the columns and their parameters.

    Attributes:
      rows: the numbers of the rows in the sample.
      sample: columns of a uniform sample of the training rows, of all of them if there are at most 100,000.
      levels: columns that contain the sample and, of all rows, the extremes, each value of a column with up to 10,000
        different ones, and a number that is not whole if there is one.
      missing: number of missing values in all rows by column.
      many: names of columns with more than 10,000 different values.
    """

    rows: np.ndarray
    sample: Mapping[str, np.ndarray]
    levels: Mapping[str, np.ndarray]
    missing: Mapping[str, int]
    many: frozenset[str]


def collect(tables: Iterable[ColumnTable]) -> Statistics:
    """The statistics of rows that are read batch by batch; memory does not grow with the number of rows."""
    sample, seen = _Sample(), dict[str, _Seen]()
    for table in tables:
        sample.add(table)
        for name, values in table.columns.items():
            seen.setdefault(name, _Seen()).add(values)
    rows, columns = sample.drawn()
    return Statistics(
        rows,
        columns,
        {name: _joined([columns[name], of_column.values()]) for name, of_column in seen.items()},
        {name: of_column.missing for name, of_column in seen.items()},
        frozenset(name for name, of_column in seen.items() if of_column.is_full),
    )


def splits_of(rows: np.ndarray) -> np.ndarray:
    """The index in `SPLITS` of the split of each row: a hash of its number puts 10 % in test and 9 % in validation."""
    percentile = _hash(rows) % 100
    test, validation, train = (SPLITS.index(split) for split in ("test", "validation", "train"))
    return np.where(percentile < 10, test, np.where(percentile < 19, validation, train))


def _hash(numbers: np.ndarray) -> np.ndarray:
    """Splitmix64, a bijection of 64-bit integers. Steele, Lea, Flood, OOPSLA 2014."""
    z = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class _Sample:
    """The training rows with the smallest hashes, which do not depend on the sizes of batches."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []
        self._parts: list[dict[str, np.ndarray]] = []
        self._largest = np.uint64(2**64 - 1)

    def add(self, table: ColumnTable) -> None:
        rows = np.arange(table.start, table.start + len(table))
        kept = (splits_of(rows) == SPLITS.index("train")) & (_order(rows) <= self._largest)
        self._rows.append(rows[kept])
        self._parts.append({name: values[kept] for name, values in table.columns.items()})
        if sum(map(len, self._rows)) > 2 * SAMPLED:
            self._reduce()

    def drawn(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The numbers of the rows, and their columns."""
        if not self._rows:
            return np.zeros(0, np.int64), {}
        self._reduce()
        return self._rows[0], self._parts[0]

    def _reduce(self) -> None:
        rows = np.concatenate(self._rows)
        places = np.argsort(_order(rows))[:SAMPLED]
        if len(places) == SAMPLED:
            self._largest = _order(rows[places[-1:]])[0]
        self._rows = [rows[places]]
        self._parts = [{name: _joined([part[name] for part in self._parts])[places] for name in self._parts[0]}]


def _order(rows: np.ndarray) -> np.ndarray:
    """A hash that is independent of the split."""
    return _hash(_hash(rows))


class _Seen:
    """The values of a column that decide its type."""

    def __init__(self) -> None:
        self.missing = 0
        self.is_full = False
        self._different: set[Any] = set()
        self._extremes: list[float] = []
        self._fraction: list[float] = []
        self._is_text = False

    def add(self, values: np.ndarray) -> None:
        if values.dtype == object:
            self._is_text = True
            self.missing += values.tolist().count(None)
            if not self.is_full:
                self._different |= set(values.tolist()) - {None}
        else:
            present = values[~np.isnan(values)]
            self.missing += len(values) - len(present)
            if len(present) == 0:
                return
            both = [*self._extremes, float(present.min()), float(present.max())]
            self._extremes = [min(both), max(both)]
            if not self._fraction:
                self._fraction = present[present != np.floor(present)][:1].tolist()
            if not self.is_full:
                self._different |= set(np.unique(present).tolist())
        self.is_full = len(self._different) > MOST_COUNTED

    def values(self) -> np.ndarray:
        if self._is_text:
            return np.array([*self._different, None], object)[:-1]
        return np.array([*self._different, *self._extremes, *self._fraction], np.float64)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Joins the parts of a column. Parts before its first value are numbers, though the values are text."""
    if any(part.dtype == object for part in parts):
        parts = [part if part.dtype == object else np.full(len(part), None, object) for part in parts]
    return np.concatenate(parts)
