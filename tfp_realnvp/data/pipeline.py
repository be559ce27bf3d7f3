"""From a set's records to batches whose order is known before the first is read."""

import dataclasses
import math

import tensorflow as tf

from tfp_realnvp.data import batching, sets
from tfp_realnvp.data.records import Records

# What a set gives, one by one or in batches: an image, or an image and its label.
Example = tf.Tensor | tuple[tf.Tensor, tf.Tensor]

# A split whose decoded images take no more than this is decoded once and kept.
_IN_MEMORY_BYTES = 2**30


@dataclasses.dataclass(frozen=True, eq=False)
class ImageData:
    """Images of one set, as `load` returns it, and their classes if it was asked for labels.

    Without labels an example is an image. With them it is a pair of an image and its label, and batches are pairs of
    images and int32 labels `[batch]`: 0, ..., classes - 1, or -1 where the set has an image whose class is not known.
    Order, crops and flips are the same with labels as without.

    A split that fits in a GiB is decoded once, at its first use, and kept in the host's memory for
    as long as this object lives. A larger one is read from disk at each pass.

    Attributes:
      name: TFDS name of the set, with its configuration if it has one; or `folder:PATH`.
      shape: height, width, channels of every image.
      levels: the values of a pixel are 0, ..., levels - 1.
      classes: the number of classes, or None where examples have no labels.
    """

    name: str
    shape: tuple[int, int, int]
    levels: int
    classes: int | None = dataclasses.field(repr=False)
    _records: Records = dataclasses.field(repr=False)
    _recipe: sets.Recipe = dataclasses.field(repr=False)
    _kept: dict[str, Example] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def files(self) -> str | None:
        """Number and digest of the files of a folder, which its name does not say; None of other sets."""
        return self._records.files

    def describe(self) -> str:
        """What there is, in a line: images, their shape and levels, the splits, and what was left out."""
        height, width, channels = self.shape
        shape = f"{height}x{width}x{channels} of {self.levels} levels"
        return f"{self.name}: {batching.counts(self, 'images')}, {shape}{self._records.note}"

    def num_examples(self, split: str) -> int:
        """The number of images in "train", "validation" or "test"."""
        batching.check_split(self.name, split)
        return self._records.num_examples(split)

    def examples(self, split: str) -> tf.data.Dataset:
        """The images of a split in the set's own order, uint8 `[height, width, channels]`, each with its label if any.

        Where training crops at random, these are cropped in the centre.

        Raises:
          ValueError: if there is no such split.
        """
        if self._fits_in_memory(split):
            return tf.data.Dataset.from_tensor_slices(self._in_memory(split))
        return self._from_files(split)

    def evaluation_batches(self, split: str, batch_size: int) -> tf.data.Dataset:
        """Every image of a split once, as `examples` has them; the last batch may be smaller.

        Args:
          split: "train", "validation" or "test".
          batch_size: images in a batch.

        Returns:
          uint8 batches `[batch, height, width, channels]`; with labels, pairs of one and int32 `[batch]`.

        Raises:
          ValueError: if there is no such split, or the batch size is not positive.
        """
        batching.check_evaluation(batch_size)
        return batching.finished(self.examples(split).batch(batch_size))

    def training_batches(
        self, batch_size: int, *, seed: int, epoch: int, flip: bool = False, skip: int = 0
    ) -> tf.data.Dataset:
        """One epoch of the train split, shuffled; what is left over by the last batch is dropped.

        Order, crops and flips are functions of `seed` and `epoch` alone. A run that was interrupted
        in epoch e after k batches goes on with `epoch=e, skip=k` and gets what it would have got.
        (`tf.random.set_seed` has no say, as it would have in `tf.data.Dataset.shuffle`.)

        Args:
          batch_size: images in a batch.
          seed: any integer.
          epoch: number of the pass over the data; each has its own order, crops and flips.
          flip: whether to mirror each image left to right with probability 1/2; its label stays.
          skip: number of batches at the beginning of the epoch to leave out.

        Returns:
          uint8 batches `[batch_size, height, width, channels]`; with labels, pairs of one and int32 `[batch_size]`.

        Raises:
          ValueError: if the split does not fill a batch, or has fewer batches than `skip`.

        #### Examples

        ```python
        images = data.load("digits")
        for epoch in range(2):
            for batch in images.training_batches(64, seed=0, epoch=epoch):
                ...  # uint8 [64, 8, 8, 1], 20 times
        ```
        """
        examples = self.num_examples("train")
        batching.check_training(self.name, examples, batch_size, skip)
        # Shuffled on the host: elsewhere equal keys might be sorted in another order.
        with tf.device("CPU:0"):
            order_seed, crop_seed, flip_seed = batching.epoch_seeds(seed, epoch)
            if self._fits_in_memory("train"):
                batches = batching.shuffled(self._in_memory("train"), batch_size, skip, order_seed)
            else:
                batches = self._shuffled_from_files(batch_size, skip, order_seed, crop_seed)
            if flip:
                # Drawn for the whole epoch: what is skipped does not move what follows.
                coins = tf.random.stateless_uniform([examples], flip_seed) < 0.5
                coins = tf.data.Dataset.from_tensor_slices(coins)
                coins = batching.batched(coins, batch_size).skip(skip)
                batches = tf.data.Dataset.zip(batches, coins)
                batches = batches.map(_mirrored, num_parallel_calls=tf.data.AUTOTUNE)
        return batching.finished(batches)

    def _shuffled_from_files(
        self, batch_size: int, skip: int, seed: tf.Tensor, crop_seed: tf.Tensor
    ) -> tf.data.Dataset:
        """Batches read from files in a random order, their records shuffled in large blocks."""
        file_seed, block_seed = tf.unstack(tf.random.split(seed))

        def shuffle(number: tf.Tensor, block: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            seed = tf.random.fold_in(block_seed, number)
            positions = tf.range(tf.size(block["image"]))
            return batching.permuted(block, tf.random.experimental.stateless_shuffle(positions, seed))

        def decode(position: tf.Tensor, record: dict[str, tf.Tensor]) -> Example:
            return self._decode(record, tf.random.fold_in(crop_seed, position))

        blocks = self._records.read("train", file_seed).batch(self._records.shuffle_block).enumerate()
        # The next block is read while one is used.
        encoded = blocks.map(shuffle).prefetch(1).unbatch()
        count = tf.data.experimental.assert_cardinality(self.num_examples("train"))
        remaining = encoded.apply(count).enumerate().skip(skip * batch_size)
        decoded = remaining.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        return batching.batched(decoded, batch_size)

    def _fits_in_memory(self, split: str) -> bool:
        if self._recipe.random_crop:  # What could be kept is not what training sees.
            return False
        # Labels do not count: with them or without, a split must be shuffled in the same way.
        return self.num_examples(split) * math.prod(self.shape) <= _IN_MEMORY_BYTES

    def _in_memory(self, split: str) -> Example:
        """The whole split as one batch, uint8 `[examples, height, width, channels]`, in the host's memory."""
        if split not in self._kept:
            with tf.device("CPU:0"):
                everything = self._from_files(split).batch(self.num_examples(split))
                self._kept[split] = everything.get_single_element()
        return self._kept[split]

    def _from_files(self, split: str) -> tf.data.Dataset:
        """The examples of a split in the set's own order."""
        batching.check_split(self.name, split)
        return self._records.read(split).map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)

    def _decode(self, record: dict[str, tf.Tensor], crop_seed: tf.Tensor | None = None) -> Example:
        """What the outside sees of a record: the image as the recipe makes it, and the label if there is one."""
        image = self._records.decode(record["image"])
        image = tf.ensure_shape(self._recipe.apply(image, crop_seed), self.shape)
        return (image, tf.cast(record["label"], tf.int32)) if "label" in record else image


def _mirrored(batch: Example, coins: tf.Tensor) -> Example:
    """A batch with those images whose coin is true left to right; labels, if there are any, as they are."""
    images, *labels = tf.nest.flatten(batch)
    coins = coins[:, tf.newaxis, tf.newaxis, tf.newaxis]
    images = tf.where(coins, tf.image.flip_left_right(images), images)
    return tf.nest.pack_sequence_as(batch, [images, *labels])
