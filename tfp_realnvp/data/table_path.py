"""Files of tables."""

import glob
import os
import pathlib

from tfp_realnvp import paths
from tfp_realnvp.data.sets import DataNotFoundError


def existing(path: str) -> pathlib.Path:
    """A file that can be read several times.

    Raises:
      DataNotFoundError: if there is none.
    """
    found = paths.local(path)
    if os.path.isdir(found):
        raise DataNotFoundError(f"expected a file, got the folder {found}")
    if not os.path.exists(found):  # Which says so of a name that is too long, too.
        raise DataNotFoundError(f"there is no file {found}")
    if not found.is_file():
        # It can be read once; a file is read several times here, and again when a run resumes or is evaluated.
        raise DataNotFoundError(f"expected a file, got a pipe or a device at {found}: write the table to a file first")
    return found


def existing_array(path: str) -> tuple[pathlib.Path, str | None]:
    """The file of `PATH`, or of `PATH:NAME` with the name in it.

    Raises:
      DataNotFoundError: if there is none.
    """
    name = None
    if not paths.local(path).exists() and ":" in path:
        path, _, name = path.rpartition(":")
    return existing(path), name


def matching(pattern: str) -> list[pathlib.Path]:
    """The files that a pattern such as `DIR/*.parquet` names, in the order of their names; or the file of that name.

    Raises:
      DataNotFoundError: if there are none.
    """
    if not glob.has_magic(pattern) or os.path.exists(paths.local(pattern)):
        return [existing(pattern)]
    found = sorted(glob.glob(str(paths.local(pattern))))
    if not found:
        raise DataNotFoundError(f"there are no files {pattern}")
    return [existing(path) for path in found]
