"""Rows of a table, by column."""

import dataclasses
from collections.abc import Callable, Collection, Sequence

import numpy as np

from tfp_realnvp.data.table_checks import BadTableError, some


@dataclasses.dataclass(frozen=True, eq=False)
class ColumnTable:
    """Rows of a table, by column.

    Attributes:
      columns: by name, each `[rows]`: float64 with NaN for missing values, or objects, text or None for missing values.
      label: the table's label for messages: the path of its file.
      is_named: whether the table has these names; otherwise they are the caller's, or `column_0`, `column_1`, ...
      notes: notes for the user, such as an encoding that was guessed.
      faults: errors by the number of the row in this table, from 0. Only with `on_error="keep"`, see `stream_columns`.
      start: number of rows of the file before the first one.
    """

    columns: dict[str, np.ndarray]
    label: str
    is_named: bool
    notes: tuple[str, ...]
    faults: dict[int, str]
    start: int
    _place: Callable[[int, str], str]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def where(self, row: int, name: str) -> str:
        """The place of a value: "wine.csv, line 12, column 3 ('sugar')".

        Lines and columns of text files are counted from 1, as editors do, rows of other files from 0.

        Args:
          row: number of the row in this table, from 0.
          name: name of the column.
        """
        return self._place(self.start + row, name)


def kept_names(
    label: str, names: Sequence[str], left_out: Collection[str], only: Collection[str] | None = None
) -> list[str]:
    """The names of the columns to read: not in `left_out` and, if `only` is given, in it.

    Raises:
      BadTableError: if a name in `left_out` is not a column.
    """
    if unknown := [name for name in left_out if name not in names]:
        raise BadTableError(f"{label}: expected names of columns among {some(names)}, got {unknown[0]!r}")
    return [name for name in names if name not in left_out and (only is None or name in only)]
