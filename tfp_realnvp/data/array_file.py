"""Arrays from .npy and .npz files, for example tables."""

import math
import pathlib
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Generator, Sequence
from typing import IO, Any

import numpy as np

from tfp_realnvp.data import table_path
from tfp_realnvp.data.sets import SPLITS
from tfp_realnvp.data.table_checks import LEAST_TO_SPLIT, BadTableError, check_array

_FORMAT: Any = np.lib.format  # Only later versions of NumPy have types there.

# Limits on an array's size, in bytes and relative to its file. No table of measurements exceeds both.
_ALWAYS_READ = 2**30
_LARGEST_RATIO = 100

# Errors that NumPy and zipfile raise for damaged headers, data, compression methods or encryption flags.
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
    """Reads the three splits of a table, or one array without splits.

    Args:
      path: an .npz file, or an .npy file, which contains one array.
      name: name of a set with the arrays `name/train`, `name/validation` and `name/test`, or of one array. By default
        the arrays are `train`, `validation` and `test`, the arrays of the only set, or the only array.

    Returns:
      Arrays `[rows, columns]` of finite numbers by their labels for messages: the three splits in this order, or one.

    Raises:
      BadTableError: if there are no such arrays, or they are not tables of equal width.
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
    """Like `read_table`, for arrays of any shape and dtype.

    Before memory is allocated, a file is refused if its header claims a size other than its own, or if it would expand
    to more than a hundred times its size and more than 1 GiB.
    """
    arrays: dict[str, np.ndarray] = {}
    label = str(path)
    try:
        for label, file, size in _opened(path, name):
            arrays[label] = _read_array(file, size, label)
    except (BadTableError, FileNotFoundError):
        raise
    except _DAMAGE as error:
        raise _damaged(label, error) from None
    return arrays


def _damaged(label: str, error: Exception) -> BadTableError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return BadTableError(f"{label}: expected an array of numbers, but NumPy says: {reason}")


def holds_images(path: str) -> bool:
    """Whether the arrays of `PATH[:NAME]` are images, uint8 `[n, height, width(, channels)]`.

    Only a header is read. The result is False for missing or damaged files, and for files without such an array.
    """
    try:
        for _, file, _ in _opened(*table_path.existing_array(path)):
            shape, dtype = _read_header(file)
            return dtype == np.uint8 and len(shape) in (3, 4)
    except _DAMAGE:
        pass
    return False


def left_out(path: pathlib.Path, labels: Collection[str]) -> list[str]:
    """The unread arrays of an .npz file, by their labels for messages."""
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        keys = [name.removesuffix(".npy") for name in archive.namelist()]
    return [key for key in keys if f"{path}, {key}" not in labels]


def _opened(path: pathlib.Path, name: str | None) -> Generator[tuple[str, IO[bytes], int], None, None]:
    """Yields the label of each array for messages, its .npy file, and the size of that in bytes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if (start := file.read(6)) == _FORMAT.MAGIC_PREFIX:
            file.seek(0)
            yield str(path), file, size
            return
    if not start.startswith(b"PK"):
        raise BadTableError(f"{path}: expected an .npy or .npz file, got something else")
    limit = max(_ALWAYS_READ, _LARGEST_RATIO * size)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        for key in _chosen(path, list(members), name):
            label, member = f"{path}, {key}", members[key]
            # Otherwise decompression could fill the memory.
            if member.file_size > limit:
                raise BadTableError(
                    f"{label}: expected at most {limit:,} bytes from a compressed file of this size, got"
                    f" {member.file_size:,}; numpy.savez writes it uncompressed"
                )
            try:
                array = archive.open(member)
            except _DAMAGE as error:
                raise _damaged(label, error) from None
            with array:
                yield label, array, member.file_size


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an .npy file, which is then positioned at its data."""
    version = _FORMAT.read_magic(file)
    # Later versions differ only in field names, which no table of numbers has.
    read_header = _FORMAT.read_array_header_1_0 if version == (1, 0) else _FORMAT.read_array_header_2_0
    shape, _, dtype = read_header(file)
    return shape, dtype


def _read_array(file: IO[bytes], size: int, label: str) -> np.ndarray:
    """The array of an .npy file, whose size in bytes must match its header."""
    shape, dtype = _read_header(file)
    needed, found = math.prod(shape) * dtype.itemsize, size - file.tell()
    if needed != found and not dtype.hasobject:
        raise BadTableError(f"{label}: expected {needed:,} bytes for {dtype} of shape {shape}, got {found:,}")
    file.seek(0)
    # Pickles, which contain Python objects, could run arbitrary code.
    return _FORMAT.read_array(file, allow_pickle=False)


def _chosen(path: pathlib.Path, keys: Sequence[str], name: str | None) -> list[str]:
    """Selects the arrays of an archive to read."""
    if name is None:  # Labels are not a set of their own, unless there is nothing else.
        keys = [key for key in keys if key != "labels" and not key.endswith("_labels")] or keys
    names = [key.removesuffix("/train") for key in keys if key.endswith("/train")]
    if name is None and not any(split in keys for split in SPLITS):
        if len(names) > 1:
            raise BadTableError(f"{path}: expected the name of a set, as npz:PATH:SET, out of {', '.join(names)}")
        if not names and len(keys) != 1:
            raise BadTableError(
                f"{path}: expected arrays train, validation and test, or one array, got {', '.join(keys) or 'none'};"
                " npz:PATH:NAME selects one of them"
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
