"""Where the encoded images of a set are read from."""

import abc
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping

import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

# A set that is not kept in memory is read from this many files side by side, in a random order of the files. With few
# at a time, what is in a block of the shuffle changes from epoch to epoch.
_SHUFFLE_FILES = 4


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


@dataclasses.dataclass(frozen=True)
class TFDSRecords(Records):
    """Those of a prepared TFDS set.

    Attributes:
      builder: of the set.
      splits: for each split of ours the split instruction of TFDS.
      labels: whether to read labels, too.
    """

    builder: tfds.core.DatasetBuilder
    splits: Mapping[str, str]
    labels: bool

    def num_examples(self, split: str) -> int:
        return self.builder.info.splits[self.splits[split]].num_examples

    @tfds_warnings_silenced()
    def read(self, split: str, file_seed: tf.Tensor | None = None) -> tf.data.Dataset:
        def shuffle(files: list) -> list:
            return [files[index] for index in shuffled_positions(len(files), file_seed)]

        read_config = tfds.ReadConfig(try_autocache=False)
        if file_seed is not None:
            read_config = read_config.replace(
                experimental_interleave_sort_fn=shuffle,
                interleave_cycle_length=_SHUFFLE_FILES,
                enable_ordering_guard=False,  # Sets meant to be read in order are shuffled too.
            )
        features = {"image": True, "label": True} if self.labels else {"image": True}
        return self.builder.as_dataset(
            split=self.splits[split],
            decoders=tfds.decode.PartialDecoding(features, decoders={"image": tfds.decode.SkipDecoding()}),
            read_config=read_config,
        )

    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        return self.builder.info.features["image"].decode_example(encoded)


def shuffled_positions(count: int, seed: tf.Tensor) -> list[int]:
    """0, ..., count - 1 in an order that the seed decides."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed).numpy().tolist()
