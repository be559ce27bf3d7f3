"""Tables from .npy and .npz files."""

import pathlib
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from tfp_realnvp.data.sets import SPLITS
from tfp_realnvp.data.table_checks import LEAST_TO_SPLIT, BadTableError, check_array

_MAGIC = (b"\x93NUMPY", b"PK")


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
    """As `read_table`, but of any shape and dtype."""
    with path.open("rb") as file:
        if not file.read(6).startswith(_MAGIC):
            raise BadTableError(f"{path}: expected an .npy or .npz file, got something else")
    label = str(path)
    try:
        # A pickle, which holds Python objects, could run any program.
        opened = np.load(path, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            return {label: opened}
        with opened as archive:
            arrays = {}
            for key in _chosen(path, archive.files, name):
                label = f"{path}, {key}"
                arrays[label] = np.asarray(archive[key])
            return arrays
    except BadTableError:
        raise
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise BadTableError(f"{label}: expected an array of numbers, but NumPy says: {error}") from None


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
    if name in keys:
        return [name]
    chosen = [split if name is None else f"{name}/{split}" for split in SPLITS]
    if missing := [key for key in chosen if key not in keys]:
        raise BadTableError(
            f"{path}: expected arrays {', '.join(chosen)}, got no {' and no '.join(missing)}, but {', '.join(keys)}"
        )
    return chosen
