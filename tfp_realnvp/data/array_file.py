"""Tables from .npy and .npz files."""

import math
import pathlib
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Sequence
from typing import IO

import numpy as np

from tfp_realnvp.data.sets import SPLITS
from tfp_realnvp.data.table_checks import LEAST_TO_SPLIT, BadTableError, check_array

# An array may take this many bytes, or this many times the bytes of its file, which no table of measurements does.
_ALWAYS_READ = 2**30
_LARGEST_RATIO = 100

# What damage makes of NumPy and zipfile: of a header, of data, of a method or encryption that nobody meant.
_DAMAGE = (
    ValueError,
    EOFError,
    OSError,
    MemoryError,
    OverflowError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_table(path: pathlib.Path, name: str | None = None) -> dict[str, np.ndarray]:
    """Reads the three splits of a table, or one array that is still to be split.

    Args:
      path: of an .npz file, or of an .npy file, which holds one array.
      name: of a set, whose arrays are `name/train`, `name/validation` and `name/test`, or of one array. By default the
        arrays are `train`, `validation` and `test`, those of the only set that there is, or the only array.

    Returns:
      Arrays `[rows, columns]` of finite numbers under what messages call them: those of the splits in this order, or
      one.

    Raises:
      BadTableError: if there are no such arrays, or they are no tables of one width.
    """
    arrays = read_arrays(path, name)
    for label, array in arrays.items():
        check_array(array, label, least_rows=LEAST_TO_SPLIT if len(arrays) == 1 else 1)
    columns, *others = [array.shape[1] for array in arrays.values()]
    for label, count in zip(list(arrays)[1:], others, strict=True):
        if count != columns:
            raise BadTableError(f"{label}: expected {columns} columns, as in {SPLITS[0]}, got {count}")
    return arrays


def read_arrays(path: pathlib.Path, name: str | None = None) -> dict[str, np.ndarray]:
    """As `read_table`, but of any shape and dtype.

    A file is refused whose header claims another size than it has, or that would grow to more than a hundred times its
    size and more than 1 GiB, before any memory is taken for it.
    """
    label = str(path)
    try:
        with path.open("rb") as file:
            if (start := file.read(6)) == np.lib.format.MAGIC_PREFIX:
                file.seek(0)
                return {label: _read_array(file, path.stat().st_size, label)}
        if not start.startswith(b"PK"):
            raise BadTableError(f"{path}: expected an .npy or .npz file, got something else")
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            arrays = {}
            for key in _chosen(path, list(members), name):
                label = f"{path}, {key}"
                arrays[label] = _read_member(archive, members[key], path.stat().st_size, label)
            return arrays
    except (BadTableError, FileNotFoundError):
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadTableError(f"{label}: expected an array of numbers, but NumPy says: {reason}") from None


def left_out(path: pathlib.Path, labels: Collection[str]) -> list[str]:
    """The arrays of an .npz file that are not among those that were read, by what messages call them."""
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        keys = [name.removesuffix(".npy") for name in archive.namelist()]
    return [key for key in keys if f"{path}, {key}" not in labels]


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int, label: str) -> np.ndarray:
    """An array of an .npz file of that many bytes, unless it is to grow out of next to nothing and fill the memory."""
    limit = max(_ALWAYS_READ, _LARGEST_RATIO * size)
    if member.file_size > limit:
        raise BadTableError(
            f"{label}: expected at most {limit:,} bytes out of a compressed file of this size, got"
            f" {member.file_size:,}; numpy.savez writes it as it is"
        )
    with archive.open(member) as file:
        return _read_array(file, member.file_size, label)


def _read_array(file: IO[bytes], size: int, label: str) -> np.ndarray:
    """The array of an .npy file of that many bytes, which must be what its header needs."""
    version = np.lib.format.read_magic(file)
    # A later version differs for names of fields alone, which no table of numbers has.
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    needed, found = math.prod(shape) * dtype.itemsize, size - file.tell()
    if needed != found and not dtype.hasobject:
        raise BadTableError(f"{label}: expected {needed:,} bytes for {dtype} of shape {shape}, got {found:,}")
    file.seek(0)
    # A pickle, which holds Python objects, could run any program.
    return np.lib.format.read_array(file, allow_pickle=False)


def _chosen(path: pathlib.Path, keys: Sequence[str], name: str | None) -> list[str]:
    """Which arrays of an archive to take."""
    names = [key.removesuffix("/train") for key in keys if key.endswith("/train")]
    if name is None and not any(split in keys for split in SPLITS):
        if len(names) > 1:
            raise BadTableError(f"{path}: expected the name of a set, npz:PATH:SET, one of {', '.join(names)}")
        if not names and len(keys) != 1:
            raise BadTableError(
                f"{path}: expected arrays train, validation and test, or one array, got {', '.join(keys) or 'none'};"
                " npz:PATH:NAME takes one of them"
            )
        name = names[0] if names else keys[0]
    if name is not None and name in keys:
        return [name]
    chosen = [split if name is None else f"{name}/{split}" for split in SPLITS]
    if name is not None and not set(chosen) & set(keys):
        found = ", ".join(keys) or "none"
        raise BadTableError(f"{path}: expected an array {name}, or {', '.join(chosen)}, got {found}")
    if missing := [key for key in chosen if key not in keys]:
        raise BadTableError(
            f"{path}: expected arrays {', '.join(chosen)}, got no {' and no '.join(missing)}, but {', '.join(keys)}"
        )
    return chosen
