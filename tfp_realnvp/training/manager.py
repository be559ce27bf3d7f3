"""A checkpoint manager for folders with any name."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf

from tfp_realnvp import paths


class Manager:
    """A `tf.train.CheckpointManager` that works in any folder.

    If TensorFlow interprets the folder's path as a pattern, its own manager removes no old checkpoints, or removes
    checkpoints of other folders that match.

    Args:
      checkpoint: the checkpoint to save.
      folder: the folder, which the first save creates.
      max_to_keep: number of checkpoints to keep.
    """

    def __init__(self, checkpoint: tf.train.Checkpoint, folder: pathlib.Path, max_to_keep: int):
        self.directory = folder
        self._checkpoint, self._max_to_keep = checkpoint, max_to_keep
        self._latest = None
        if folder.exists():
            with self._opened() as manager:
                self._latest = manager.latest_checkpoint

    @property
    def latest_checkpoint(self) -> str | None:
        """The prefix of the newest checkpoint."""
        return self._latest and str(self.directory / os.path.basename(self._latest))

    def save(self, number: int | None = None) -> None:
        """Writes a checkpoint, `ckpt-NUMBER`; by default the number is the last one plus 1."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._opened() as manager:
            self._latest = manager.save(number)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tf.train.CheckpointManager]:
        """TensorFlow's manager, which finds earlier checkpoints through the list in the folder."""
        with paths.plain(self.directory) as folder:
            yield tf.train.CheckpointManager(self._checkpoint, folder, self._max_to_keep)
