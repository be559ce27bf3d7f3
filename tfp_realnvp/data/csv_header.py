"""Decides whether the first line of a CSV file is a header."""

import collections
import dataclasses
import itertools
import re
from collections.abc import Sequence

from tfp_realnvp.columns.values import MISSING
from tfp_realnvp.data.csv_text import CSVText
from tfp_realnvp.data.table_checks import BadTableError

# Whether the first line is a header; "auto": if it cannot be a row.
HEADERS = ("auto", "yes", "no")

# A decimal comma, or separated thousands.
WRITTEN_OTHERWISE = re.compile(r"[+-]?(\d*,\d+|\d{1,3}([,.'\s\u2019]\d{3})+([.,]\d+)?)")
_SAY_WHICH = "; set --header=yes or --header=no"
# Rows that are searched for a text of the first line.
_ROWS = 1000


@dataclasses.dataclass(frozen=True)
class Header:
    """The result of reading the first line.

    Attributes:
      names: names of the columns, or None without a header.
      count: number of columns.
      end: number of lines before the first row.
    """

    names: tuple[str, ...] | None
    count: int
    end: int

    def label(self, column: int) -> str:
        """The label for messages of a column, counted from 0."""
        name = "" if self.names is None else f" ({self.names[column]!r})"
        return f"column {column + 1}{name}"


def read_header(
    text: CSVText, *, width: int | None = None, header: str = "auto", names: Sequence[str] | None = None
) -> Header:
    """Reads the first line.

    By default, it is a header if any of its fields is neither a number nor a sign of a missing value.

    Args:
      text: the file.
      width: number of its fields to use; by default all.
      header: "auto", "yes" or "no": whether it is a header.
      names: expected names of the columns, in any order. With `header="auto"`, a line of these names is a header even
        if they are numbers. A file of one column is refused without them.

    Raises:
      BadTableError: if it may be a header or a row, two names are equal, one is empty, or there is one column.
      ValueError: for another `header`.
    """
    if header not in HEADERS:
        raise ValueError(f"expected header to be one of {', '.join(HEADERS)}, got {header!r}")
    lines = text.lines()
    line, end, first = next(lines)
    if len(first) < 2 and names is None:
        raise BadTableError(
            f"{text.path}, line {line}: expected at least 2 columns, separated by commas, semicolons, tabs or bars,"
            " got 1"
        )
    below = list(itertools.islice(lines, _ROWS))
    lines.close()
    is_header = header == "yes" or (header == "auto" and _is_header(f"{text.path}, line {line}", first, below, names))
    if is_header:
        _check_names(f"{text.path}, line {line}", first[:width])
        if not below:
            raise BadTableError(f"{text.path}: expected rows below the header, got none")
    count = len(first) if width is None else width
    return Header(tuple(first[:width]) if is_header else None, count, end if is_header else line - 1)


def is_number(field: str) -> bool:
    """Whether a field is a number in the notation of Python and Arrow."""
    try:
        float(field)
    except ValueError:
        return False
    # Python also accepts 1_000 and digits of other scripts; nothing else does.
    return field.isascii() and "_" not in field


def quoted(field: str) -> str:
    """A field for a message; a long one is cut."""
    return repr(field if len(field) <= 40 else f"{field[:40]}...") if field else "an empty field"


def _is_header(
    where: str, first: list[str], below: Sequence[tuple[int, int, list[str]]], names: Sequence[str] | None
) -> bool:
    """Whether the first line is a header; refuses a line that may be a header or a row."""
    if names is not None and sorted(first) == sorted(names):
        return True
    numbers = [field for field in first if is_number(field)]
    words = [
        (column, field)
        for column, field in enumerate(first)
        if not is_number(field) and field.lower() not in MISSING and not WRITTEN_OTHERWISE.fullmatch(field)
    ]
    if words:
        # Years and other counts may be names; other numbers are values of a row with an error in it.
        if odd := [field for field in numbers if not field.isdecimal()]:
            raise BadTableError(
                f"{where}: expected names or numbers, got both, such as {quoted(words[0][1])} and"
                f" {quoted(odd[0])}{_SAY_WHICH}"
            )
        for line, _, fields in below:
            for column, word in words:
                if fields[column : column + 1] == [word]:
                    raise BadTableError(
                        f"{where}: expected names or values, got {quoted(word)}, which line {line} has again in column"
                        f" {column + 1}{_SAY_WHICH}"
                    )
        return True
    # Years, or 0, 1, 2, ..., as pandas names columns that have no names.
    if all(field.isdecimal() for field in first):
        counts = [int(field) for field in first]
        steps = {after - before for before, after in zip(counts, counts[1:])}
        if counts == [0, 1] or (len(counts) > 2 and len(steps) == 1 and steps != {0}):
            some = ",".join(first if len(first) <= 4 else [*first[:3], "..."])
            raise BadTableError(f"{where}: expected names or numbers, got {some}, which could be either{_SAY_WHICH}")
    return False


def _check_names(where: str, names: list[str]) -> None:
    if "" in names:
        column = names.index("") + 1
        at_the_end = column == len(names) > 1
        why = "remove the separator at the end of the lines" if at_the_end else "leave out an index of the rows"
        raise BadTableError(f"{where}, column {column}: expected a name in the header, got none; {why}")
    name, count = collections.Counter(names).most_common(1)[0]
    if count > 1:
        first, second = [number for number, other in enumerate(names, 1) if other == name][:2]
        raise BadTableError(
            f"{where}: expected different names in the header, got {quoted(name)} in columns {first} and {second}"
        )
