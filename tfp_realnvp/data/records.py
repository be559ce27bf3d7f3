"""Sources of a set's encoded images."""

import abc
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from absl import logging


@contextlib.contextmanager
def tfds_warnings_silenced() -> Iterator[None]:
    """Silences TFDS's warnings about missing folders and its own deprecations."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


class Records(abc.ABC):
    """The encoded images of a set, in the splits "train", "validation" and "test".

    Attributes:
      files: identifies the set's files, or None if its name does.
      note: a note about omitted data, or "".
      shuffle_block: number of consecutive images to shuffle together, for a set that is not kept in memory. Encoded,
        10,000 images are 30 MB of 32x32 PNG or about 300 MB of LSUN's JPEG.
    """

    files: str | None = None
    note: str = ""
    shuffle_block = 10_000

    @abc.abstractmethod
    def num_examples(self, split: str) -> int:
        """The number of images in a split."""

    @abc.abstractmethod
    def read(self, split: str, file_seed: tf.Tensor | None = None) -> tf.data.Dataset:
        """Yields `{"image": encoded}`, with "label" if there are labels; a seed shuffles the files."""

    @abc.abstractmethod
    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        """The decoded image, uint8 `[height, width, channels]`."""


@dataclasses.dataclass(frozen=True)
class ArrayRecords(Records):
    """Images in arrays.

    Attributes:
      splits: for each split the array "image", uint8 `[n, height, width, channels]`, and "label" if there are labels.
      files: number and digest of the images, or None if the name identifies them.
      note: a note about omitted data, or "".
    """

    splits: Mapping[str, Mapping[str, np.ndarray]]
    files: str | None = None
    note: str = ""

    def num_examples(self, split: str) -> int:
        return len(self.splits[split]["image"])

    def read(self, split: str, file_seed: tf.Tensor | None = None) -> tf.data.Dataset:
        arrays = dict(self.splits[split])
        if file_seed is not None:
            order = shuffled_positions(self.num_examples(split), file_seed)
            arrays = {name: array[order] for name, array in arrays.items()}
        return tf.data.Dataset.from_tensor_slices(arrays)

    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        return encoded


def shuffled_positions(count: int, seed: tf.Tensor) -> list[int]:
    """A permutation of 0, ..., count - 1 determined by the seed."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed).numpy().tolist()
