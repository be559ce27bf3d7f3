"""Decodes records into image examples."""

import dataclasses
import math

import tensorflow as tf

from tfp_realnvp.data import batching, sets
from tfp_realnvp.data.events import Example, Source
from tfp_realnvp.data.records import Records

# A split whose decoded images take at most this many bytes is decoded once and kept.
_IN_MEMORY_BYTES = 2**30


@dataclasses.dataclass(frozen=True)
class ImageSource(Source):
    """Examples decoded from records.

    Attributes:
      records: the encoded images.
      recipe: cropping and resizing of the images.
      shape: height, width and channels of every image.
    """

    records: Records
    recipe: sets.Recipe
    shape: tuple[int, int, int]
    _kept: dict[str, Example] = dataclasses.field(default_factory=dict, repr=False)

    def num_examples(self, split: str) -> int:
        return self.records.num_examples(split)

    def examples(self, split: str) -> tf.data.Dataset:
        if self._fits_in_memory(split):
            return tf.data.Dataset.from_tensor_slices(self._in_memory(split))
        return self._from_files(split)

    def shuffled(self, batch_size: int, skip: int, order_seed: tf.Tensor, crop_seed: tf.Tensor) -> tf.data.Dataset:
        if self._fits_in_memory("train"):
            return batching.shuffled(self._in_memory("train"), batch_size, skip, order_seed)
        # Files are read in a random order, and their records are shuffled in large blocks.
        file_seed, block_seed = tf.unstack(tf.random.split(order_seed))

        def shuffle(number: tf.Tensor, block: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            seed = tf.random.fold_in(block_seed, number)
            positions = tf.range(tf.size(block["image"]))
            return batching.permuted(block, tf.random.experimental.stateless_shuffle(positions, seed))

        def decode(position: tf.Tensor, record: dict[str, tf.Tensor]) -> Example:
            return self._decode(record, tf.random.fold_in(crop_seed, position))

        blocks = self.records.read("train", file_seed).batch(self.records.shuffle_block).enumerate()
        # The next block is read while the current one is used.
        encoded = blocks.map(shuffle).prefetch(1).unbatch()
        count = tf.data.experimental.assert_cardinality(self.num_examples("train"))
        remaining = encoded.apply(count).enumerate().skip(skip * batch_size)
        decoded = remaining.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        return batching.batched(decoded, batch_size)

    def _fits_in_memory(self, split: str) -> bool:
        if self.recipe.random_crop:  # Training sees different crops each time.
            return False
        # Labels do not count, so that a split is shuffled in the same way with and without them.
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
        return self.records.read(split).map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)

    def _decode(self, record: dict[str, tf.Tensor], crop_seed: tf.Tensor | None = None) -> Example:
        """Converts a record to an example: the image after the recipe, and the label if there is one."""
        image = self.records.decode(record["image"])
        image = tf.ensure_shape(self.recipe.apply(image, crop_seed), self.shape)
        return (image, tf.cast(record["label"], tf.int32)) if "label" in record else image
