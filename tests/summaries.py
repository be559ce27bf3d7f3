"""What files of TensorBoard hold."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf


def read(folder: str | pathlib.Path) -> list[tuple[int, str, np.ndarray]]:
    """The step, the name and the value of every summary in a folder, in the order in which they were written."""
    found = []
    for path in sorted(pathlib.Path(folder).glob("*"), key=lambda path: path.stat().st_mtime_ns):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found += [(event.step, value.tag, tf.make_ndarray(value.tensor)) for value in event.summary.value]
    return found
