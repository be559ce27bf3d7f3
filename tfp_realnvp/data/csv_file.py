"""Numbers from a CSV file: by Arrow where all is well, and otherwise with the line and column of what is not."""

import collections
import csv
import dataclasses
import pathlib
import re
from collections.abc import Generator, Iterable, Iterator, Sequence

import numpy as np

from tfp_realnvp import storage
from tfp_realnvp.data.table_checks import FILL_IN, FLOAT32, BadTableError, fault
from tfp_realnvp.extras import extra

# What stands for a value that is not there. A first line of these and of numbers is no header.
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})

# Whether the first line names the columns; "auto": where it cannot be numbers.
HEADERS = ("auto", "yes", "no")
# A decimal comma, or thousands in groups.
_WRITTEN_OTHERWISE = re.compile(r"[+-]?(\d*,\d+|\d{1,3}([,.'\s\u2019]\d{3})+([.,]\d+)?)")
_SAY_WHICH = "; --header=yes or --header=no says which"


@dataclasses.dataclass(frozen=True, eq=False)
class CSVFile:
    """What a file holds.

    Attributes:
      path: of the file.
      columns: their names, or None without a header.
      rows: float64 `[rows, columns]`, all finite and within float32's range.
    """

    path: pathlib.Path
    columns: tuple[str, ...] | None
    rows: np.ndarray

    def label(self, column: int) -> str:
        """What messages call a column."""
        return f"{self.path}, {_label(self.columns, column)}"


def read(
    path: pathlib.Path, *, width: int | None = None, header: str = "auto", names: Sequence[str] | None = None
) -> CSVFile:
    """Reads a UTF-8 file of numbers, separated by commas, semicolons or tabs: what is in the first line decides.

    By default, the first line is a header if any of its fields is neither a number nor a sign of a missing one. Empty
    lines are passed over.

    Args:
      path: of a regular file, which is read several times.
      width: how many fields of each line to take, whatever is behind them; by default all lines must have as many as
        the first.
      header: "auto", "yes" or "no": whether the first line is a header.
      names: what the columns are called, in any order. With `header="auto"`, a line of these names is a header though
        they are numbers.

    Raises:
      BadTableError: for anything but a table of at least 2 columns of numbers; where the first line may be names or
        numbers.
      ValueError: for another `header`.
    """
    if header not in HEADERS:
        raise ValueError(f"expected header to be one of {', '.join(HEADERS)}, got {header!r}")
    try:
        return _read(path, width, header, names)
    except UnicodeDecodeError:
        # Its own position is one in some buffer.
        try:
            path.read_bytes().decode()
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise BadTableError(
                f"{path}, line {line}: expected text in UTF-8, got byte {error.object[error.start]:#04x}"
            ) from None
        raise


def write(path: pathlib.Path, rows: np.ndarray, columns: Sequence[str] | None) -> None:
    """Writes rows below a header, in so many digits that float32 numbers are read back as they were.

    Args:
      path: of the file.
      rows: `[rows, columns]`.
      columns: their names; by default `column_0`, `column_1`, ...
    """
    with storage.replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        # Quotes what needs it: a name may have commas, quotes or line ends.
        csv.writer(file, lineterminator="\n").writerow(columns or [f"column_{i}" for i in range(rows.shape[1])])
        np.savetxt(file, rows, delimiter=",", fmt="%.9g")


def _read(path: pathlib.Path, width: int | None, header: str, names: Sequence[str] | None) -> CSVFile:
    with extra("data"):
        import pyarrow.csv
    delimiter = _delimiter(path)
    lines = _lines(path, delimiter)
    line, first = next(lines, (0, []))
    if not first:
        raise BadTableError(f"{path}: expected a table, got an empty file")
    if any("\0" in field for field in first):
        raise BadTableError(f"{path}: expected a text file, got a binary one")
    if len(first) < 2:
        raise BadTableError(
            f"{path}, line {line}: expected at least 2 columns, separated by commas, semicolons or tabs, got 1"
        )
    is_header = header == "yes" or (header == "auto" and _is_header(path, line, first, names))
    columns = tuple(first[:width]) if is_header else None
    if is_header:
        _check_names(path, line, first[:width])
        if next(lines, None) is None:
            raise BadTableError(f"{path}: expected rows below the header, got none")
    lines.close()
    count = len(first) if width is None else width
    kept = [f"f{i}" for i in range(count)]
    try:
        with path.open("rb") as file:  # Of a path, Arrow decompresses what its name says is compressed.
            table = pyarrow.csv.read_csv(
                file,
                pyarrow.csv.ReadOptions(skip_rows=line if is_header else 0, autogenerate_column_names=True),
                pyarrow.csv.ParseOptions(delimiter=delimiter),
                pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(kept, pyarrow.float64()),
                    include_columns=None if width is None else kept,
                    null_values=[],
                ),
            )
    except pyarrow.ArrowException:
        table = None
    if table is not None and table.num_columns == count:
        rows = np.stack(table.columns, axis=1)
        # A NaN fails, too.
        if np.all(np.abs(rows) <= FLOAT32.max):
            return CSVFile(path, columns, rows)
    lines = _lines(path, delimiter)
    if is_header:
        next(lines)
    return CSVFile(path, columns, np.array(list(_numbers(path, lines, columns, count, is_exact=width is None))))


def _numbers(
    path: pathlib.Path,
    lines: Iterable[tuple[int, list[str]]],
    columns: tuple[str, ...] | None,
    count: int,
    is_exact: bool,
) -> Iterator[list[float]]:
    """The rows as Python reads them: more notations than Arrow's, such as "+1", and the place of the first mistake."""
    for line, fields in lines:
        if len(fields) < count or (is_exact and len(fields) > count):
            raise BadTableError(
                f"{path}, line {line}: expected {count} fields, as in the first line, got {len(fields)}"
            )
        for column, field in enumerate(fields[:count]):
            if wrong := _wrong(field):
                raise BadTableError(f"{path}, line {line}, {_label(columns, column)}: {wrong}")
        yield [float(field) for field in fields[:count]]


def _delimiter(path: pathlib.Path) -> str:
    """What separates the first line, quoted names aside. Tabs and semicolons come first: commas may be decimal ones."""
    with path.open(encoding="utf-8-sig") as file:
        line = next((line for line in file if line.strip()), "")
    line = re.sub('"[^"]*"', "", line)
    return next((delimiter for delimiter in "\t;" if delimiter in line), ",")


def _lines(path: pathlib.Path, delimiter: str) -> Generator[tuple[int, list[str]], None, None]:
    """The number of each line that is not empty, as an editor counts, and its fields without the space around."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            for fields in reader:
                if fields:
                    yield reader.line_num, [field.strip() for field in fields]
        except csv.Error as error:
            raise BadTableError(f"{path}, line {reader.line_num}: {error}") from None


def _is_header(path: pathlib.Path, line: int, first: list[str], names: Sequence[str] | None) -> bool:
    """Whether the first line must be one of names; refuses one that may be names or numbers."""
    if names is not None and sorted(first) == sorted(names):
        return True
    numbers = [field for field in first if _is_number(field)]
    words = [
        field
        for field in first
        if not _is_number(field) and field.lower() not in _MISSING and not _WRITTEN_OTHERWISE.fullmatch(field)
    ]
    if words:
        # Years and other counts are names, too; other numbers are those of a row with a mistake in it.
        if odd := [field for field in numbers if not field.isdecimal()]:
            raise BadTableError(
                f"{path}, line {line}: expected names or numbers, got both, such as {_quoted(words[0])} and"
                f" {_quoted(odd[0])}{_SAY_WHICH}"
            )
        return True
    # Years, or 0, 1, 2, ..., as pandas names columns that have no names.
    if all(field.isdecimal() for field in first):
        counts = [int(field) for field in first]
        steps = {after - before for before, after in zip(counts, counts[1:])}
        if counts == [0, 1] or (len(counts) > 2 and len(steps) == 1 and steps != {0}):
            some = ",".join(first if len(first) <= 4 else [*first[:3], "..."])
            raise BadTableError(
                f"{path}, line {line}: expected names or numbers, got {some}, which may be either{_SAY_WHICH}"
            )
    return False


def _check_names(path: pathlib.Path, line: int, names: list[str]) -> None:
    if "" in names:
        column = names.index("") + 1
        at_the_end = column == len(names) > 1
        why = "remove the separator at the end of the lines" if at_the_end else "leave out an index of the rows"
        raise BadTableError(f"{path}, line {line}, column {column}: expected a name in the header, got none; {why}")
    name, count = collections.Counter(names).most_common(1)[0]
    if count > 1:
        first, second = [number for number, other in enumerate(names, 1) if other == name][:2]
        raise BadTableError(
            f"{path}, line {line}: expected different names in the header, got {_quoted(name)} in columns {first} and"
            f" {second}"
        )


def _wrong(field: str) -> str | None:
    """What is wrong with a field, if anything is."""
    if field.lower() in _MISSING:
        return f"expected a number, got {_quoted(field) or 'an empty field'}{FILL_IN}"
    if not _is_number(field):
        hint = ""
        if _WRITTEN_OTHERWISE.fullmatch(field):
            hint = "; write decimals with a point, and thousands without a separator"
        return f"expected a number, got {_quoted(field)}{hint}"
    if np.isinf(float(field)) and "inf" not in field.lower():  # Past float64, too.
        return f"expected a number that float32 can hold, got {_quoted(field)}"
    return fault(float(field))


def _quoted(field: str) -> str:
    return repr(field if len(field) <= 40 else f"{field[:40]}...") if field else ""


def _label(columns: tuple[str, ...] | None, column: int) -> str:
    name = "" if columns is None else f" ({columns[column]!r})"
    return f"column {column + 1}{name}"


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    # Python takes 1_000 and digits of other scripts, too; nothing else does.
    return field.isascii() and "_" not in field
