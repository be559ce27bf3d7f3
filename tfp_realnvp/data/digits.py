"""The digits set, which comes with the package."""

import pathlib

import numpy as np

from tfp_realnvp.data.records import ArrayRecords

SHAPE = (8, 8, 1)
CLASSES = tuple("0123456789")

_FILE = pathlib.Path(__file__).with_name("digits.npz")
_SIZES = {"train": 1297, "validation": 200, "test": 300}


def read_digits(labels: bool) -> ArrayRecords:
    """The digits of the package with a fixed split, with or without labels.

    There are 1,797 handwritten digits, 8x8 pixels, each the number 0 to 16 of inked points in a 4x4 block. These are
    the images of `sklearn.datasets.load_digits()`, pixel for pixel, i.e. the test part of UCI's "Optical Recognition of
    Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998, https://doi.org/10.24432/C50P49), CC BY 4.0.
    """
    # Shuffled, since the file is ordered by writer. NumPy guarantees this generator's stream.
    order = np.random.RandomState(0).permutation(sum(_SIZES.values()))
    parts = np.split(order, np.cumsum(list(_SIZES.values()))[:-1])
    with np.load(_FILE) as file:
        arrays = {"image": file["images"][..., np.newaxis]} | ({"label": file["labels"]} if labels else {})
    splits = {
        split: {name: array[part] for name, array in arrays.items()} for split, part in zip(_SIZES, parts, strict=True)
    }
    return ArrayRecords(splits)
