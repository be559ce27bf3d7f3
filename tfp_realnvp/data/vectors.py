"""Rows of a table as batches, which a training loop takes in the place of images."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfp_realnvp.data import batching
from tfp_realnvp.data.table_checks import some


@dataclasses.dataclass(frozen=True, eq=False)
class VectorData:
    """Vectors of one set, as `load_table` returns it. All of them are kept in the host's memory.

    Attributes:
      name: what `load_table` was given.
      shape: `(size,)`, the number of columns.
      columns: their names, or None where the file names none.
      mean: float32 `[size]`, of the training rows. What is needed to standardise, inside of the model: batches are
        in the units of the file.
      std: float32 `[size]`, of the training rows; no entry is 0.
      files: number and digest of the rows of all splits, which the name of a file does not say; None of a published
        set. Of the same rows it is the same in any format.
      note: what was done to the columns, and which arrays were left out, or "".
    """

    name: str
    shape: tuple[int]
    columns: tuple[str, ...] | None = dataclasses.field(repr=False)
    mean: np.ndarray = dataclasses.field(repr=False)
    std: np.ndarray = dataclasses.field(repr=False)
    _rows: Mapping[str, tf.Tensor] = dataclasses.field(repr=False)
    files: str | None = dataclasses.field(default=None, repr=False)
    note: str = dataclasses.field(default="", repr=False)

    def describe(self) -> str:
        """What there is, in a line: rows, columns, their names, and the splits."""
        names = "without names" if self.columns is None else f"({some(self.columns)})"
        return f"{self.name}: {batching.counts(self, 'rows')}, {self.shape[0]} columns {names}{self.note}"

    def num_examples(self, split: str) -> int:
        """The number of rows in "train", "validation" or "test"."""
        return len(self._of(split))

    def examples(self, split: str) -> tf.data.Dataset:
        """The rows of a split one by one, in a fixed order, float32 `[size]`.

        Raises:
          ValueError: if there is no such split.
        """
        return tf.data.Dataset.from_tensor_slices(self._of(split))

    def evaluation_batches(self, split: str, batch_size: int) -> tf.data.Dataset:
        """Every row of a split once, as `examples` has them; the last batch may be smaller.

        Args:
          split: "train", "validation" or "test".
          batch_size: rows in a batch.

        Returns:
          float32 batches `[batch, size]`.

        Raises:
          ValueError: if there is no such split, or the batch size is not positive.
        """
        batching.check_evaluation(batch_size)
        return batching.finished(self.examples(split).batch(batch_size))

    def training_batches(
        self, batch_size: int, *, seed: int, epoch: int, flip: bool = False, skip: int = 0
    ) -> tf.data.Dataset:
        """One epoch of the train split, shuffled; what is left over by the last batch is dropped.

        The order is a function of `seed` and `epoch` alone. A run that was interrupted in epoch e after k batches goes
        on with `epoch=e, skip=k` and gets what it would have got.

        Args:
          batch_size: rows in a batch.
          seed: any integer.
          epoch: number of the pass over the data; each has its own order.
          flip: as images have it; False, for a vector has no left and right.
          skip: number of batches at the beginning of the epoch to leave out.

        Returns:
          float32 batches `[batch_size, size]`.

        Raises:
          ValueError: if the split does not fill a batch, has fewer batches than `skip`, or is to be flipped.

        #### Examples

        ```python
        table = data.load_table("csv:wine.csv")
        for batch in table.training_batches(64, seed=0, epoch=0):
            ...  # float32 [64, 12]
        ```
        """
        batching.check_training(self.name, self.num_examples("train"), batch_size, skip)
        if flip:
            raise ValueError(f"expected flip=False for the vectors of {self.name}: only images can be mirrored")
        with tf.device("CPU:0"):
            order_seed, _, _ = batching.epoch_seeds(seed, epoch)
            batches = batching.shuffled(self._of("train"), batch_size, skip, order_seed)
        return batching.finished(batches)

    def _of(self, split: str) -> tf.Tensor:
        batching.check_split(self.name, split)
        return self._rows[split]
