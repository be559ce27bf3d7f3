"""Keeps the newest checkpoints of a folder of any name."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf

from tfp_realnvp import paths


class Manager:
    """A `tf.train.CheckpointManager` for any folder.

    In a folder whose path TensorFlow takes for a pattern, its own removes no old checkpoints, or those of other folders
    that the pattern fits.

    Args:
      checkpoint: what is saved.
      folder: where; it is made at the first save.
      max_to_keep: how many checkpoints stay.
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
        """Writes a checkpoint, `ckpt-NUMBER`; by default the number is one more than that of the last."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._opened() as manager:
            self._latest = manager.save(number)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tf.train.CheckpointManager]:
        """TensorFlow's manager, which knows the checkpoints before by their list in the folder."""
        with paths.plain(self.directory) as folder:
            yield tf.train.CheckpointManager(self._checkpoint, folder, self._max_to_keep)
