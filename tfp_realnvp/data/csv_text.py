"""Detects compression, encoding and separator of a CSV file, and splits its lines into fields."""

import bz2
import codecs
import contextlib
import csv
import dataclasses
import gzip
import io
import lzma
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import IO, Any

from tfp_realnvp.data.table_checks import BadTableError, some

# By the first bytes of a file; its name is not used.
_COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_DAMAGE = (EOFError, OSError, RuntimeError, NotImplementedError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)

# Byte order marks; UTF-32's begins as UTF-16's does.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

# Tabs and semicolons come first: commas may be decimal ones.
_SEPARATORS = "\t;|,"
_EXCEL = re.compile(r"sep=([,;|\t])")

_CHUNK = 2**20
_SAMPLE = 2**16


@dataclasses.dataclass(frozen=True)
class CSVText:
    """The format of a file.

    Attributes:
      path: path of the file.
      encoding: a Python codec; "utf-8" unless a byte order mark or an invalid byte shows another.
      separator: the separator between the fields of a line.
      is_quoted: whether any field is quoted; such fields may contain separators and line ends.
      notes: notes for the user, such as an encoding that is a guess.
    """

    path: pathlib.Path
    encoding: str
    separator: str
    is_quoted: bool
    notes: tuple[str, ...] = ()

    def open(self) -> contextlib.AbstractContextManager[IO[bytes]]:
        """The file's bytes, decompressed."""
        return _decompressed(self.path)

    def lines(self, *, is_strict: bool = True) -> Generator[tuple[int, int, list[str]], None, None]:
        """For each non-empty record: its first and last line, from 1, and its fields without surrounding space.

        Args:
          is_strict: whether to refuse text after a closing quote, and a quote that is never closed.
        """
        with self.open() as file, io.TextIOWrapper(file, self.encoding, newline="") as text:
            reader = csv.reader(text, delimiter=self.separator, strict=is_strict)
            before = 0
            try:
                for fields in reader:
                    if fields and not (before == 0 and _EXCEL.fullmatch(self.separator.join(fields))):
                        yield before + 1, reader.line_num, [field.strip() for field in fields]
                    before = reader.line_num
            except csv.Error as error:
                is_open = "unexpected end" in str(error)
                reason = "expected a closing quote, got the end of the file" if is_open else error
                raise BadTableError(f"{self.path}, line {before + 1}: {reason}") from None


def inspect(path: pathlib.Path, *, only_utf8: bool = False) -> CSVText:
    """Detects the format of a file in one pass over its bytes.

    - Compression: gzip, bzip2, xz, or zip with one member.
    - Encoding: that of a byte order mark; otherwise UTF-8, or cp1252 if a byte is not valid UTF-8.
    - Separator: the first of tab, semicolon, bar and comma that splits every line of the first 64 KiB into the same
      number of fields, two or more; otherwise the first one that occurs in the first line.

    Args:
      path: a regular file.
      only_utf8: whether to refuse other encodings.

    Raises:
      BadTableError: if the file is binary, damaged or empty.
    """
    try:
        encoding, is_quoted, notes = _encoding(path, only_utf8)
        with _decompressed(path) as file, io.TextIOWrapper(file, encoding, newline="") as text:
            sample = text.read(_SAMPLE)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # An error of the file system, not of the contents.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadTableError(f"{path}: expected a compressed file that is whole, got: {reason}") from None
    if not sample.strip():
        raise BadTableError(f"{path}: expected a table, got an empty file")
    return CSVText(path, encoding, _separator(sample), is_quoted, notes)


@contextlib.contextmanager
def _decompressed(path: pathlib.Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"PK\3\4"):
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
            if len(members) != 1:
                raise BadTableError(f"{path}: expected a zip of one file, got {len(members)}: {some(members)}")
            with archive.open(members[0]) as member:
                yield member
        return
    opened = next((opens for magic, opens in _COMPRESSED.items() if start.startswith(magic)), open)
    with opened(path, "rb") as file:
        yield file


def _encoding(path: pathlib.Path, only_utf8: bool) -> tuple[str, bool, tuple[str, ...]]:
    """The encoding, whether there are quotes, and notes."""
    with _decompressed(path) as file:
        start = file.read(4)
    encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8")
    if only_utf8 and encoding != "utf-8-sig":
        encoding = "utf-8"
    is_quoted, wrong = _decode(path, encoding)
    if wrong is None:
        return encoding, is_quoted, ()
    line, byte = wrong
    if only_utf8 or encoding != "utf-8":
        name = encoding.upper().removesuffix("-SIG")
        raise BadTableError(f"{path}, line {line}: expected text in {name}, got byte {byte:#04x}")
    # Almost any byte is a letter in both encodings, so one of them always fits.
    encoding = "cp1252"
    is_quoted, undefined = _decode(path, encoding)
    if undefined is not None:
        encoding = "latin-1"
        is_quoted, _ = _decode(path, encoding)
    return encoding, is_quoted, (f"read as {encoding}: line {line} has byte {byte:#04x}, which is not UTF-8",)


def _decode(path: pathlib.Path, encoding: str) -> tuple[bool, tuple[int, int] | None]:
    """Whether there are quotes, and line and value of the first byte that is invalid in the encoding, or None."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, is_quoted, chunk = 1, False, b"-"
    with _decompressed(path) as file:
        while chunk:
            chunk = file.read(_CHUNK)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                return is_quoted, (line, error.object[error.start])
            if "\0" in text:
                raise BadTableError(f"{path}: expected a text file, got a binary one")
            line += text.count("\n")
            is_quoted |= '"' in text
    return is_quoted, None


def _separator(sample: str) -> str:
    first, *rest = sample.splitlines(keepends=True)
    if excel := _EXCEL.fullmatch(first.strip()):
        return excel[1]
    # The last line may be incomplete.
    whole = sample if len(sample) < _SAMPLE or not rest else first + "".join(rest[:-1])
    for separator in _SEPARATORS:
        counts = {len(fields) for fields in csv.reader(io.StringIO(whole, newline=""), delimiter=separator) if fields}
        if len(counts) == 1 and counts != {1}:
            return separator
    first = re.sub('"[^"]*"', "", next(line for line in sample.splitlines() if line.strip()))
    return next((separator for separator in _SEPARATORS[:-1] if separator in first), ",")
