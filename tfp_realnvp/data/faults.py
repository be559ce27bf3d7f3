"""Mistakes in single rows of a table."""

from collections.abc import Callable

from tfp_realnvp.data.table_checks import BadTableError


class Faults:
    """What is wrong with rows: the first mistake is raised, or each row's first one is kept.

    Args:
      is_kept: which of them.
    """

    def __init__(self, is_kept: bool = False):
        self._is_kept = is_kept
        self._by_row: dict[int, str] = {}

    def add(self, row: int, column: str, message: str, where: Callable[[], str]) -> None:
        """Adds a mistake.

        Args:
          row: its number, from 0, in the whole table.
          column: what messages call its column; "" for the whole row.
          message: what is wrong.
          where: the place of it, which is looked for only if it is raised.

        Raises:
          BadTableError: unless it is kept.
        """
        if not self._is_kept:
            raise BadTableError(f"{where()}: {message}")
        self._by_row.setdefault(row, f"{column}: {message}" if column else message)

    def taken(self, start: int, count: int) -> dict[int, str]:
        """The mistakes of some rows, by their number after `start`; they are not kept any longer."""
        found = sorted(row for row in self._by_row if start <= row < start + count)
        return {row - start: self._by_row.pop(row) for row in found}
