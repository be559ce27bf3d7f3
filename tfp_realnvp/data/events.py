"""A set of events, images or vectors, as batches whose order is known before the first is read."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfp_realnvp.data import batching
from tfp_realnvp.data.table_checks import some

# What a set gives, one by one or in batches: an event, or an event and its label.
Example: TypeAlias = tf.Tensor | tuple[tf.Tensor, tf.Tensor]


class Source(abc.ABC):
    """The examples of a set in the splits "train", "validation" and "test"."""

    @abc.abstractmethod
    def num_examples(self, split: str) -> int:
        """The number of examples in a split."""

    @abc.abstractmethod
    def examples(self, split: str) -> tf.data.Dataset:
        """The examples of a split one by one, in the set's own order."""

    @abc.abstractmethod
    def shuffled(self, batch_size: int, skip: int, order_seed: tf.Tensor, crop_seed: tf.Tensor) -> tf.data.Dataset:
        """Full batches of the train split in a random order, but for the first `skip`; called on the host."""


@dataclasses.dataclass(frozen=True)
class InMemory(Source):
    """Examples that the host's memory holds.

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
    """Images or vectors of one set, as `load` returns it, with their labels if it was asked for them.

    Images are uint8 `[height, width, channels]`, vectors float32 `[size]`, the rows of a table in the units of its
    file. Without labels an example is an event. With them it is a pair of an event and its label, and batches are pairs
    of events and int32 labels `[batch]`: 0, ..., classes - 1, or -1 where the set has an image whose class is not
    known. Order, crops and flips are the same with labels as without.

    A split of images that fits in a GiB is decoded once, at its first use, and kept in the host's memory for as long as
    this object lives, as all vectors are. A larger one is read from disk at each pass.

    Attributes:
      name: what `load` was given; of a TFDS set without its version.
      shape: `(height, width, channels)` of every image, or `(size,)` of vectors.
      levels: the values of a pixel are 0, ..., levels - 1; None for vectors.
      columns: names of the columns of vectors; None for images, and where the file names none.
      classes: the number of classes, or None where examples have no labels.
      mean: float32 `[size]`, of the training vectors; None for images. The model standardises its events with it.
      std: float32 `[size]`, of the training vectors; no entry is 0. None for images.
      files: number and digest of the files of a folder, or of the rows of a table, which the name does not identify;
        None of a TFDS or published set. Of the same rows it is the same in any format.
      note: what was left out or reordered, or "".
    """

    name: str
    shape: tuple[int, ...]
    levels: int | None
    columns: tuple[str, ...] | None = dataclasses.field(default=None, repr=False)
    classes: int | None = dataclasses.field(default=None, repr=False)
    mean: np.ndarray | None = dataclasses.field(default=None, repr=False)
    std: np.ndarray | None = dataclasses.field(default=None, repr=False)
    files: str | None = dataclasses.field(default=None, repr=False)
    note: str = dataclasses.field(default="", repr=False)
    _source: Source = dataclasses.field(kw_only=True, repr=False)

    def describe(self) -> str:
        """What there is, in a line: events, their shape, levels or columns, the splits, and what was left out."""
        if self.levels is not None:
            unit, kind = "images", f"{'x'.join(map(str, self.shape))} of {self.levels} levels"
        else:
            names = "without names" if self.columns is None else f"({some(self.columns)})"
            unit, kind = "rows", f"{self.shape[0]} columns {names}"
        return f"{self.name}: {batching.counts(self, unit)}, {kind}{self.note}"

    def num_examples(self, split: str) -> int:
        """The number of events in "train", "validation" or "test"."""
        batching.check_split(self.name, split)
        return self._source.num_examples(split)

    def examples(self, split: str) -> tf.data.Dataset:
        """The events of a split one by one, in a fixed order, each with its label if any.

        Where training crops images at random, these are cropped in the centre.

        Raises:
          ValueError: if there is no such split.
        """
        batching.check_split(self.name, split)
        return self._source.examples(split)

    def evaluation_batches(self, split: str, batch_size: int) -> tf.data.Dataset:
        """Every event of a split once, as `examples` has them; the last batch may be smaller.

        Args:
          split: "train", "validation" or "test".
          batch_size: events in a batch.

        Returns:
          Batches `[batch, *shape]`; with labels, pairs of one and int32 `[batch]`.

        Raises:
          ValueError: if there is no such split, or the batch size is not positive.
        """
        batching.check_evaluation(batch_size)
        return batching.finished(self.examples(split).batch(batch_size))

    def training_batches(
        self, batch_size: int, *, seed: int, epoch: int, flip: bool = False, skip: int = 0
    ) -> tf.data.Dataset:
        """One epoch of the train split, shuffled; what is left over by the last batch is dropped.

        Order, crops and flips are functions of `seed` and `epoch` alone. A run that was interrupted in epoch e after k
        batches resumes with `epoch=e, skip=k` and gets the batches that it would have got. (`tf.random.set_seed` does
        not change them, as it would in `tf.data.Dataset.shuffle`.)

        Args:
          batch_size: events in a batch.
          seed: any integer.
          epoch: number of the pass over the data; each has its own order, crops and flips.
          flip: whether to mirror each image left to right with probability 1/2; its label stays.
          skip: number of batches at the beginning of the epoch to leave out.

        Returns:
          Batches `[batch_size, *shape]`; with labels, pairs of one and int32 `[batch_size]`.

        Raises:
          ValueError: if the split does not fill a batch, has fewer batches than `skip`, or has vectors to be flipped.

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
        # Shuffled on the host: elsewhere equal keys might be sorted in another order.
        with tf.device("CPU:0"):
            order_seed, crop_seed, flip_seed = batching.epoch_seeds(seed, epoch)
            batches = self._source.shuffled(batch_size, skip, order_seed, crop_seed)
            if flip:
                # Drawn for the whole epoch: what is skipped does not move what follows.
                coins = tf.random.stateless_uniform([count], flip_seed) < 0.5
                coins = batching.batched(tf.data.Dataset.from_tensor_slices(coins), batch_size).skip(skip)
                batches = tf.data.Dataset.zip(batches, coins).map(_mirrored, num_parallel_calls=tf.data.AUTOTUNE)
        return batching.finished(batches)


def _mirrored(batch: Example, coins: tf.Tensor) -> Example:
    """A batch with those images whose coin is true left to right; labels, if there are any, as they are."""
    images, *labels = tf.nest.flatten(batch)
    coins = coins[:, tf.newaxis, tf.newaxis, tf.newaxis]
    images = tf.where(coins, tf.image.flip_left_right(images), images)
    return tf.nest.pack_sequence_as(batch, [images, *labels])
