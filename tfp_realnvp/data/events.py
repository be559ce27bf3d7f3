"""Sets of events, images or vectors, as deterministic batches."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfp_realnvp.columns import Columns
from tfp_realnvp.data import batching
from tfp_realnvp.data.table_checks import some

# Examples or batches: events, or events with labels.
Example: TypeAlias = tf.Tensor | tuple[tf.Tensor, tf.Tensor]


class Source(abc.ABC):
    """The source of a set's examples in the splits "train", "validation" and "test"."""

    @abc.abstractmethod
    def num_examples(self, split: str) -> int:
        """The number of examples in a split."""

    @abc.abstractmethod
    def examples(self, split: str) -> tf.data.Dataset:
        """The examples of a split, one by one, in the set's own order."""

    @abc.abstractmethod
    def shuffled(self, batch_size: int, skip: int, order_seed: tf.Tensor, crop_seed: tf.Tensor) -> tf.data.Dataset:
        """Full batches of the train split in a random order, without the first `skip`; called on the host."""


@dataclasses.dataclass(frozen=True)
class InMemory(Source):
    """Examples in the host's memory.

    Attributes:
      splits: all events of each split.
    """

    splits: Mapping[str, tf.Tensor]

    def num_examples(self, split: str) -> int:
        return len(self.splits[split])

    def examples(self, split: str) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(self.splits[split])

    def shuffled(self, batch_size: int, skip: int, order_seed: tf.Tensor, crop_seed: tf.Tensor) -> tf.data.Dataset:
        return batching.shuffled(self.splits["train"], batch_size, skip, order_seed)


@dataclasses.dataclass(frozen=True, eq=False)
class Events:
    """The images or vectors of a set, as returned by `load`, optionally with labels.

    Images are uint8 `[height, width, channels]`. Vectors are float32 `[size]`: the rows of a table in the file's units.
    Without labels an example is an event; with labels it is a pair of an event and its label. Batches are then pairs of
    events and int32 labels `[batch]`: 0, ..., classes - 1, or -1 for an unknown class. Labels do not change the order,
    crops and flips.

    A split of images that fits in 1 GiB is decoded at its first use and kept in the host's memory for the lifetime of
    this object, as are all vectors without a `shuffle_buffer`. Other data are read from disk in each pass.

    Attributes:
      name: the name passed to `load`, without the version of a TFDS set.
      shape: event shape, `(height, width, channels)` or `(size,)`.
      levels: the values of a pixel are 0, ..., levels - 1; None for vectors.
      columns: names of the columns of vectors; None for images, and if the file has no names.
      types: types of the columns of a table, unless all are real numbers; None otherwise. Events are rows of its
        `encode` then.
      class_names: names of the classes in the order of their labels, or None without labels.
      mean: mean of the training vectors, float32 `[size]`, with which models standardise; None for images.
      std: standard deviation of the training vectors, float32 `[size]`, without zeros; None for images.
      files: number and digest of the files of a folder, or of the images or rows of a file, which the name does not
        identify; None for a TFDS or published set. The digest of rows does not depend on the file format.
      note: a note about omitted or reordered data, or "".
      image_size: the argument of `load`.
      flatten_alpha: the argument of `load`.
      shuffle_buffer: the argument of `load`.
    """

    name: str
    shape: tuple[int, ...]
    levels: int | None
    columns: tuple[str, ...] | None = dataclasses.field(default=None, repr=False)
    types: Columns | None = dataclasses.field(default=None, repr=False)
    class_names: tuple[str, ...] | None = dataclasses.field(default=None, repr=False)
    mean: np.ndarray | None = dataclasses.field(default=None, repr=False)
    std: np.ndarray | None = dataclasses.field(default=None, repr=False)
    files: str | None = dataclasses.field(default=None, repr=False)
    note: str = dataclasses.field(default="", repr=False)
    image_size: int | None = dataclasses.field(default=None, repr=False)
    flatten_alpha: str | None = dataclasses.field(default=None, repr=False)
    shuffle_buffer: int | None = dataclasses.field(default=None, repr=False)
    _source: Source = dataclasses.field(kw_only=True, repr=False)

    @property
    def classes(self) -> int | None:
        """The number of classes, or None without labels."""
        return None if self.class_names is None else len(self.class_names)

    def describe(self) -> str:
        """A one-line summary: events, splits, shape, levels and classes or columns, and omissions."""
        if self.levels is not None:
            unit, kind = "images", f"{'x'.join(map(str, self.shape))} of {self.levels} levels"
            if self.class_names is not None:
                kind += f", {self.classes} classes ({some(self.class_names)})"
        else:
            names = "without names" if self.columns is None else f"({some(self.columns)})"
            unit, kind = "rows", f"{self.shape[0]} columns {names}"
        return f"{self.name}: {batching.counts(self, unit)}, {kind}{self.note}"

    def num_examples(self, split: str) -> int:
        """The number of events in "train", "validation" or "test"."""
        batching.check_split(self.name, split)
        return self._source.num_examples(split)

    def examples(self, split: str) -> tf.data.Dataset:
        """The events of a split, one by one in a fixed order, each with its label if there are labels.

        If training crops images at random, these are cropped at the centre.

        Raises:
          ValueError: if there is no such split.
        """
        batching.check_split(self.name, split)
        return self._source.examples(split)

    def evaluation_batches(self, split: str, batch_size: int) -> tf.data.Dataset:
        """Every event of a split once, in the order of `examples`; the last batch may be smaller.

        Args:
          split: "train", "validation" or "test".
          batch_size: events in a batch.

        Returns:
          Batches `[batch, *shape]`; with labels, pairs of such a batch and int32 labels `[batch]`.

        Raises:
          ValueError: if there is no such split, or the batch size is not positive.
        """
        batching.check_evaluation(batch_size)
        return batching.finished(self.examples(split).batch(batch_size))

    def training_batches(
        self, batch_size: int, *, seed: int, epoch: int, flip: bool = False, skip: int = 0
    ) -> tf.data.Dataset:
        """One shuffled epoch of the train split in full batches; the remainder is dropped.

        Order, crops and flips are functions of `seed` and `epoch` alone. A run interrupted in epoch e after k batches
        resumes with `epoch=e, skip=k` and gets exactly the remaining batches. (Unlike `tf.data.Dataset.shuffle`,
        `tf.random.set_seed` has no effect.)

        Args:
          batch_size: events in a batch.
          seed: any integer.
          epoch: index of the pass over the data; each pass has its own order, crops and flips.
          flip: whether to mirror each image left to right with probability 1/2, keeping its label.
          skip: number of batches to skip at the start of the epoch.

        Returns:
          Batches `[batch_size, *shape]`; with labels, pairs of such a batch and int32 labels `[batch_size]`.

        Raises:
          ValueError: if the split does not fill a batch or has fewer batches than `skip`, or for `flip` with vectors.

        ```python
        images = data.load("digits")
        for epoch in range(2):
            for batch in images.training_batches(64, seed=0, epoch=epoch):
                ...  # uint8 [64, 8, 8, 1], 20 times
        ```
        """
        count = self.num_examples("train")
        batching.check_training(self.name, count, batch_size, skip)
        if flip and self.levels is None:
            raise ValueError(f"expected flip=False for the vectors of {self.name}: only images can be mirrored")
        # Shuffled on the host, since other devices may order equal keys differently.
        with tf.device("CPU:0"):
            order_seed, crop_seed, flip_seed = batching.epoch_seeds(seed, epoch)
            batches = self._source.shuffled(batch_size, skip, order_seed, crop_seed)
            if flip:
                # Drawn for the whole epoch, so that skipping does not change later batches.
                coins = tf.random.stateless_uniform([count], flip_seed) < 0.5
                coins = batching.batched(tf.data.Dataset.from_tensor_slices(coins), batch_size).skip(skip)
                batches = tf.data.Dataset.zip(batches, coins).map(_mirrored, num_parallel_calls=tf.data.AUTOTUNE)
        return batching.finished(batches)


def _mirrored(batch: Example, coins: tf.Tensor) -> Example:
    """Mirrors the images of a batch whose coin is true; labels, if any, are unchanged."""
    images, *labels = tf.nest.flatten(batch)
    coins = coins[:, tf.newaxis, tf.newaxis, tf.newaxis]
    images = tf.where(coins, tf.image.flip_left_right(images), images)
    return tf.nest.pack_sequence_as(batch, [images, *labels])
