"""The figures of a run as curves in TensorBoard."""

import math
import pathlib

import tensorflow as tf

_VALIDATION = "val_"  # Before a figure's name.


class Curves:
    """Scalars by step; each chart shows training and validation together.

    The figure "val_loss" is the scalar "loss" of TensorBoard's run "validation"; all other figures belong to its run
    "train". After a kill, TensorBoard shows the repeated steps twice.

    Args:
      folder: folder for TensorBoard's files.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def write(self, step: int, **figures: float) -> None:
        """Adds one point per figure; figures that are not finite are left out."""
        for name, figure in figures.items():
            if math.isfinite(figure):
                run = "validation" if name.startswith(_VALIDATION) else "train"
                with self._writer(run).as_default(step):
                    tf.summary.scalar(name.removeprefix(_VALIDATION), figure)
        for writer in self._writers.values():
            writer.flush()  # A run may be killed.

    def _writer(self, run: str) -> tf.summary.SummaryWriter:
        if run not in self._writers:
            self._writers[run] = tf.summary.create_file_writer(str(self._folder / run))
        return self._writers[run]
