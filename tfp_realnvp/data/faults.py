"""Errors in single rows of a table."""

from collections.abc import Callable

from tfp_realnvp.data.table_checks import BadTableError


class Faults:
    """Handles errors in rows: raises the first one, or keeps the first one of each row.

    Args:
      is_kept: whether errors are kept rather than raised.
    """

    def __init__(self, is_kept: bool = False):
        self._is_kept = is_kept
        self._by_row: dict[int, str] = {}

    def add(self, row: int, column: str, message: str, where: Callable[[], str]) -> None:
        """Adds an error.

        Args:
          row: number of the row in the whole table, from 0.
          column: label of the column; "" for the whole row.
          message: "expected ..., got ...".
          where: returns the place; called only if the error is raised.

        Raises:
          BadTableError: unless errors are kept.
        """
        if not self._is_kept:
            raise BadTableError(f"{where()}: {message}")
        self._by_row.setdefault(row, f"{column}: {message}" if column else message)

    def taken(self, start: int, count: int) -> dict[int, str]:
        """Removes and returns the errors of `count` rows from `start`, by the number of the row after `start`."""
        found = sorted(row for row in self._by_row if start <= row < start + count)
        return {row - start: self._by_row.pop(row) for row in found}
