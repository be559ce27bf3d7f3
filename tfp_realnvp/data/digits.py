"""The digits set, which comes with the package."""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfp_realnvp.data.records import Records

SHAPE = (8, 8, 1)
CLASSES = 10

_FILE = pathlib.Path(__file__).with_name("digits.npz")
_SIZES = {"train": 1297, "validation": 200, "test": 300}


@dataclasses.dataclass(frozen=True)
class DigitsRecords(Records):
    """1,797 handwritten digits, 8x8 pixels, each the number 0 to 16 of inked points in a 4x4 block.

    These are the images of `sklearn.datasets.load_digits()`, pixel for pixel, i.e. the test part of UCI's "Optical
    Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998, https://doi.org/10.24432/C50P49), CC BY 4.0.

    Attributes:
      splits: for each split the array "image", uint8 `[n, 8, 8, 1]`, and "label" if there are labels.
    """

    splits: Mapping[str, Mapping[str, np.ndarray]]

    def num_examples(self, split: str) -> int:
        return _SIZES[split]

    def read(self, split: str, file_seed: tf.Tensor | None = None) -> tf.data.Dataset:
        del file_seed  # There are no files whose order to shuffle.
        return tf.data.Dataset.from_tensor_slices(self.splits[split])

    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        return encoded


def read_digits(labels: bool) -> DigitsRecords:
    """The digits of the package with a fixed split, with or without labels."""
    # Shuffled, since the file is ordered by writer. NumPy guarantees this generator's stream.
    order = np.random.RandomState(0).permutation(sum(_SIZES.values()))
    parts = np.split(order, np.cumsum(list(_SIZES.values()))[:-1])
    with np.load(_FILE) as file:
        arrays = {"image": file["images"][..., np.newaxis]} | ({"label": file["labels"]} if labels else {})
    splits = {
        split: {name: array[part] for name, array in arrays.items()} for split, part in zip(_SIZES, parts, strict=True)
    }
    return DigitsRecords(splits)
