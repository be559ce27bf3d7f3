"""A folder of PNG files as an image set."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfp_realnvp.data import sets
from tfp_realnvp.data.records import Records, shuffled_positions

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Of which a tenth is an image.
_LEAST_IMAGES = 10
_CHANNELS = {2: "grey with alpha", 4: "RGB with alpha"}


class BadImageError(ValueError):
    """A folder of images that no flow can be trained on; the message says which file, and why."""


@dataclasses.dataclass(frozen=True)
class FolderRecords(Records):
    """The PNG files of a folder.

    Attributes:
      paths: those of each split.
      channels: of every image.
    """

    paths: Mapping[str, Sequence[str]]
    channels: int

    def num_examples(self, split: str) -> int:
        return len(self.paths[split])

    def read(self, split: str, file_seed: tf.Tensor | None = None) -> tf.data.Dataset:
        paths = self.paths[split]
        if file_seed is not None:
            paths = [paths[index] for index in shuffled_positions(len(paths), file_seed)]
        files = tf.data.Dataset.from_tensor_slices(paths)
        return files.map(lambda path: {"image": tf.io.read_file(path)}, num_parallel_calls=tf.data.AUTOTUNE)

    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        return tf.io.decode_png(encoded, self.channels)


def read_folder(folder: pathlib.Path) -> tuple[FolderRecords, tuple[int, int, int]]:
    """Looks through a folder of PNG files, each decoded once, and splits it.

    The files in the order of their names are shuffled, always in the same way; then a tenth is the test split, as many
    the validation split, and the rest the train split. What is in folders below is left out.

    Args:
      folder: that exists.

    Returns:
      The files, and height, width and channels of every image.

    Raises:
      BadImageError: if there are fewer than 10, one is no PNG file or cannot be decoded, or they are not grey or RGB
        images of 8 bits and of one even height and width.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".png" and path.is_file())
    if len(paths) < _LEAST_IMAGES:
        raise BadImageError(f"{folder}: expected {_LEAST_IMAGES} or more PNG files, got {len(paths)}")
    shape = None
    for path in paths:
        found = _shape(path)
        if shape is None:
            shape = found
            if shape[0] % 2 or shape[1] % 2:
                raise BadImageError(f"{path}: expected an even height and width, got {_size(shape)}")
        elif found != shape:
            raise BadImageError(f"{path}: expected {_size(shape)}, as in {paths[0].name}, got {_size(found)}")
    # NumPy keeps this generator's stream fixed.
    order = np.random.RandomState(0).permutation(len(paths))
    tenth = len(paths) // 10
    parts = np.split(order, [len(paths) - 2 * tenth, len(paths) - tenth])
    splits = {split: [str(paths[index]) for index in part] for split, part in zip(sets.SPLITS, parts, strict=True)}
    return FolderRecords(splits, shape[-1]), shape


def _shape(path: pathlib.Path) -> tuple[int, int, int]:
    """Height, width and channels of a PNG file that can be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadImageError(f"{path}: expected a file that can be read, got: {error.strerror}") from None
    if not content.startswith(_SIGNATURE):  # TensorFlow would read JPEG files under this name, too.
        raise BadImageError(f"{path}: expected a PNG file, got {'something else' if content else 'an empty file'}")
    try:
        height, width, channels = tf.io.decode_png(content, dtype=tf.uint8).shape
    except tf.errors.InvalidArgumentError:
        raise BadImageError(f"{path}: expected a whole PNG file, got one that cannot be decoded") from None
    if channels in _CHANNELS:
        raise BadImageError(f"{path}: expected grey or RGB pixels, got {_CHANNELS[channels]}; flatten the image first")
    if content[24] > 8:  # Which TensorFlow would cut down without a word.
        raise BadImageError(f"{path}: expected 8 bits for each channel, got {content[24]}")
    return height, width, channels


def _size(shape: tuple[int, int, int]) -> str:
    height, width, channels = shape
    return f"{height}x{width} pixels of {channels} channel{'s' if channels > 1 else ''}"
