"""Where the encoded images of a set are read from."""

import abc
import contextlib
from collections.abc import Iterator

import tensorflow as tf
from absl import logging


@contextlib.contextmanager
def tfds_warnings_silenced() -> Iterator[None]:
    """TFDS warns of each folder that it does not find, and of its own deprecations."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


class Records(abc.ABC):
    """The encoded images of a set, in the splits "train", "validation" and "test".

    Attributes:
      files: what tells this set's files from others, or None where its name does.
      note: what was left out of the set, or "".
      shuffle_block: how many that are read one after the other are to be shuffled, of a set that is not kept in memory:
        encoded, 10,000 are 30 MB of 32x32 PNG, some 300 MB of LSUN's JPEG.
    """

    files: str | None = None
    note: str = ""
    shuffle_block = 10_000

    @abc.abstractmethod
    def num_examples(self, split: str) -> int:
        """The number of images in a split."""

    @abc.abstractmethod
    def read(self, split: str, file_seed: tf.Tensor | None = None) -> tf.data.Dataset:
        """`{"image": encoded}` of each, with "label" where there are labels, from files shuffled by a seed if given."""

    @abc.abstractmethod
    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        """An image, uint8 `[height, width, channels]`."""


def shuffled_positions(count: int, seed: tf.Tensor) -> list[int]:
    """0, ..., count - 1 in an order that the seed decides."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed).numpy().tolist()
