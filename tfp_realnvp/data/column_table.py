"""Rows of a table, by column."""

import dataclasses
from collections.abc import Callable, Collection, Sequence

import numpy as np

from tfp_realnvp.data.table_checks import BadTableError, some


@dataclasses.dataclass(frozen=True, eq=False)
class ColumnTable:
    """Rows of a table, by column.

    Attributes:
      columns: by name, each `[rows]`: float64, NaN where a value is missing, or objects: text, None where it is.
      label: what messages call the table: the path of its file.
      is_named: whether the names are the table's own; else they are the caller's, or `column_0`, `column_1`, ...
      notes: what a user may want to know, such as an encoding that was guessed.
      faults: what is wrong with rows, by their number, from 0, in this table: with `on_error="keep"`, see
        `stream_columns`; else nothing is.
      start: how many rows of the file are before the first one.
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
        """Where a value is: "wine.csv, line 12, column 3 ('sugar')".

        Lines and columns of text are counted from 1, as an editor does; rows of other files from 0.

        Args:
          row: from 0, of this table.
          name: of the column.
        """
        return self._place(self.start + row, name)


def kept_names(
    label: str, names: Sequence[str], left_out: Collection[str], only: Collection[str] | None = None
) -> list[str]:
    """The names of columns that are not left out and, with `only`, are in it.

    Raises:
      BadTableError: if one that is left out is not there.
    """
    if unknown := [name for name in left_out if name not in names]:
        raise BadTableError(f"{label}: expected names of columns among {some(names)}, got {unknown[0]!r}")
    return [name for name in names if name not in left_out and (only is None or name in only)]
