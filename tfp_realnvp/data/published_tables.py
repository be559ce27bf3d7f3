"""Tables with published log-likelihoods, prepared as in the papers.

The MAF paper's tables follow its authors' program, https://github.com/gpapamak/maf, so that log-likelihoods refer to
the same rows in the same units. Odd steps below are theirs.
"""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np

from tfp_realnvp.data import array_file, csv_file, sets
from tfp_realnvp.data.table_checks import LEAST_TO_SPLIT, BadTableError, check_array
from tfp_realnvp.extras import extra

_MAF = "the data of the MAF paper (https://zenodo.org/record/1161203), unpacked"


@dataclasses.dataclass(frozen=True)
class PublishedTable:
    """The recipe to read a table.

    Attributes:
      files: paths of its files, relative to the data folder.
      origin: where to get them.
      read: maps the paths of the files to "train", "validation" and "test", `[rows, columns]`.
    """

    files: tuple[str, ...]
    origin: str
    read: Callable[..., dict[str, np.ndarray]]


def _power(path: pathlib.Path) -> dict[str, np.ndarray]:
    (rows,) = array_file.read_table(path).values()
    if rows.shape[1] != 8:
        raise BadTableError(f"{path}: expected 8 columns, got {rows.shape[1]}")
    random = np.random.RandomState(42)
    # Gives the same order, and the same subsequent random numbers, as `random.shuffle(rows)` row by row.
    rows = rows[random.permutation(len(rows))]
    # Drops the global reactive power and the global intensity.
    rows = np.delete(rows, [1, 3], axis=1)
    # The measurements are rounded, so noise is added. Drawn in this order: voltage, active power, three meters; none
    # for the time.
    voltage, power, meters = (random.rand(len(rows), count) for count in (1, 1, 3))
    noise = np.hstack([0.001 * power, 0.01 * voltage, meters, np.zeros((len(rows), 1))])
    splits = sets.last_tenths(rows + noise)
    return _standardised(splits, np.vstack([splits["train"], splits["validation"]]), path)


def _gas(path: pathlib.Path) -> dict[str, np.ndarray]:
    with extra("data"):
        import pandas
    try:
        rows = pandas.read_pickle(path).drop(columns=["Meth", "Eth", "Time"]).to_numpy(np.float64)
    except Exception as error:  # The pickle dates from pandas of 2016 and may fail in many ways.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadTableError(f"{path}: expected a table with columns Meth, Eth and Time, but pandas: {reason}") from None
    check_array(rows, str(path), least_rows=LEAST_TO_SPLIT)
    # Repeatedly drops the first of several nearly identical columns.
    while (alike := _alike(rows) > 1).any():
        rows = np.delete(rows, np.argmax(alike), axis=1)
    rows = _standardised({"all": rows}, rows, path, ddof=1)["all"]
    return sets.last_tenths(rows)


def _alike(rows: np.ndarray) -> np.ndarray:
    """For each column, the number of columns, including itself, with a correlation above 0.98."""
    with np.errstate(invalid="ignore", divide="ignore"):  # Raised by a constant column, which is refused later.
        return np.sum(np.atleast_2d(np.corrcoef(rows, rowvar=False)) > 0.98, axis=1)


def _hepmass(train_path: pathlib.Path, test_path: pathlib.Path) -> dict[str, np.ndarray]:
    train = csv_file.read(train_path).rows
    # The test file's header and rows differ in length: fields beyond the columns of the train file are dropped.
    test = csv_file.read(test_path, width=train.shape[1]).rows
    # Only signal rows, as marked in the first column.
    train, test = (rows[rows[:, 0] == 1, 1:] for rows in (train, test))
    for rows, path in ((train, train_path), (test, test_path)):
        check_array(rows, f"{path}, rows of class 1", least_rows=LEAST_TO_SPLIT)
    splits = _standardised({"train": train, "test": test}, train, train_path, ddof=1)
    train = splits["train"]
    # Drops columns with few distinct values. The authors' program counts how often the smallest value occurs.
    is_kept = np.sum(train == train.min(0), axis=0) <= 5
    train, validation = sets.without_last_tenth(train[:, is_kept])
    return {"train": train, "validation": validation, "test": splits["test"][:, is_kept]}


def _miniboone(path: pathlib.Path) -> dict[str, np.ndarray]:
    (rows,) = array_file.read_table(path).values()
    splits = sets.last_tenths(rows)
    return _standardised(splits, np.vstack([splits["train"], splits["validation"]]), path)


def _bsds300(path: pathlib.Path) -> dict[str, np.ndarray]:
    with extra("data"):
        import h5py
    try:
        with h5py.File(path) as file:
            splits = {split: file[split][()] for split in sets.SPLITS}
    except (OSError, KeyError) as error:
        raise BadTableError(f"{path}: expected HDF5 with {', '.join(sets.SPLITS)}, but h5py says: {error}") from None
    for split, rows in splits.items():
        check_array(rows, f"{path}, {split}")
    return splits


def _bsds300_patches(path: pathlib.Path) -> dict[str, np.ndarray]:
    random = np.random.RandomState(0)
    splits = {}
    for split, (label, patches) in zip(sets.SPLITS, array_file.read_arrays(path).items(), strict=True):
        if patches.dtype != np.uint8 or patches.shape[1:] != (8, 8):
            raise BadTableError(
                f"{label}: expected uint8 patches [rows, 8, 8], got {patches.dtype} of shape {patches.shape}"
            )
        pixels = (patches.reshape(-1, 64) + random.uniform(size=(len(patches), 64))) / 256
        # Without their mean, 64 pixels have 63 degrees of freedom.
        splits[split] = (pixels - pixels.mean(axis=1, keepdims=True))[:, :63]
    return splits


def _standardised(
    splits: dict[str, np.ndarray], fitted_on: np.ndarray, path: pathlib.Path, ddof: int = 0
) -> dict[str, np.ndarray]:
    """Standardises by the mean and standard deviation of the columns of `fitted_on`."""
    mean, std = np.mean(fitted_on, axis=0), np.std(fitted_on, axis=0, ddof=ddof)
    if not std.all():
        raise BadTableError(f"{path}: expected values that differ, got a constant column")
    return {split: (rows - mean) / std for split, rows in splits.items()}


def _small(name: str) -> PublishedTable:
    """One of several tables in a file, already standardised and split."""

    def read(path: pathlib.Path) -> dict[str, np.ndarray]:
        return dict(zip(sets.SPLITS, array_file.read_table(path, name).values(), strict=True))

    return PublishedTable(("uci_small.npz",), "small tables of UCI", read)


TABLES = {
    "power": PublishedTable(("power/data.npy",), _MAF, _power),
    "gas": PublishedTable(("gas/ethylene_CO.pickle",), _MAF, _gas),
    "hepmass": PublishedTable(("hepmass/1000_train.csv", "hepmass/1000_test.csv"), _MAF, _hepmass),
    "miniboone": PublishedTable(("miniboone/data.npy",), _MAF, _miniboone),
    "bsds300": PublishedTable(("BSDS300/BSDS300.hdf5",), _MAF, _bsds300),
    "bsds300_patches": PublishedTable(("bsds300_patches_u8.npz",), "8x8 patches of BSDS300's images", _bsds300_patches),
    "wine_red": _small("wine_red"),
    "wine_white": _small("wine_white"),
    "parkinsons": _small("parkinsons"),
    "california": _small("california"),
}
