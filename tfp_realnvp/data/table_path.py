"""Finds the files of a table."""

import glob
import os
import pathlib

from tfp_realnvp import paths
from tfp_realnvp.data.sets import DataNotFoundError


def existing(path: str) -> pathlib.Path:
    """The path of a regular file, which can be read several times.

    Raises:
      DataNotFoundError: if there is no such file.
    """
    found = paths.local(path)
    if os.path.isdir(found):
        raise DataNotFoundError(f"expected a file, got the folder {found}")
    if not os.path.exists(found):  # Also handles names that are too long.
        raise DataNotFoundError(f"there is no file {found}")
    if not found.is_file():
        # A pipe can be read once; files are read several times, and again when a run resumes or is evaluated.
        raise DataNotFoundError(f"expected a file, got a pipe or a device at {found}: write the table to a file first")
    return found


def existing_array(path: str) -> tuple[pathlib.Path, str | None]:
    """The file and array name in `PATH:NAME`, or the file in `PATH` and None.

    Raises:
      DataNotFoundError: if there is no such file.
    """
    name = None
    if not paths.local(path).exists() and ":" in path:
        path, _, name = path.rpartition(":")
    return existing(path), name


def matching(pattern: str) -> list[pathlib.Path]:
    """The files that match a pattern such as `DIR/*.parquet`, sorted by name, or the file with this name.

    Raises:
      DataNotFoundError: if there are no such files.
    """
    if not glob.has_magic(pattern) or os.path.exists(paths.local(pattern)):
        return [existing(pattern)]
    found = sorted(glob.glob(str(paths.local(pattern))))
    if not found:
        raise DataNotFoundError(f"there are no files {pattern}")
    return [existing(path) for path in found]
