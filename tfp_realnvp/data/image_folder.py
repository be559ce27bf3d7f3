"""Reads a folder of PNG files as an image set."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import struct
from collections.abc import Mapping, Sequence

import tensorflow as tf

from tfp_realnvp.data import sets
from tfp_realnvp.data.records import Records, shuffled_positions

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# A tenth of 20 is two images, the minimum for a standard error.
_LEAST_IMAGES = 20
# More than any camera, and some hundred megabytes decoded. A file of a few kilobytes may claim any size.
_MOST_PIXELS = 2**26
_CHANNELS = {2: "grey with alpha", 4: "RGB with alpha"}


class BadImageError(ValueError):
    """A folder of images on which no flow can be trained; the message names the file and the reason."""


@dataclasses.dataclass(frozen=True)
class FolderRecords(Records):
    """The PNG files of a folder.

    Attributes:
      paths: the paths of each split.
      channels: number of channels of every image.
      files: number and digest of the files of all splits.
      note: omitted files, and the number of copies.
    """

    # Files are shuffled individually.
    shuffle_block = 1

    paths: Mapping[str, Sequence[bytes]]
    channels: int
    files: str
    note: str

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


def read_folder(folder: pathlib.Path, any_size: bool = False) -> tuple[FolderRecords, tuple[int, int, int]]:
    """Checks and splits a folder of PNG files; decodes each file once.

    Files are ordered by a hash of their content: the first tenth is the test split, the second tenth the validation
    split, and the rest the train split. Copies of one file are in the same split. If up to half as many files are added
    later, none moves from the train split to the test split. Hidden files and subfolders are ignored.

    Args:
      folder: an existing folder.
      any_size: whether heights and widths may differ, and be odd.

    Returns:
      The files, and the height, width and channels of every image (with `any_size`, of the first one by name).

    Raises:
      BadImageError: if there are fewer than 20 files, nearly all are copies of each other, one is not a PNG file or
        cannot be decoded, or they are not grey or RGB images with at most 8 bits and equal, even height and width.
    """
    paths, left_out = _list(folder)
    if len(paths) < _LEAST_IMAGES:
        raise BadImageError(f"{folder}: expected {_LEAST_IMAGES} or more PNG files, got {len(paths)}{left_out}")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        looked_at = list(pool.map(_look, paths))
    shape = looked_at[0][0]
    if not any_size and (shape[0] % 2 or shape[1] % 2):
        raise BadImageError(f"{paths[0]}: expected an even height and width, got {_size(shape)}")
    compared = slice(2, None) if any_size else slice(None)
    for path, (found, _) in zip(paths, looked_at):
        if found[compared] != shape[compared]:
            raise BadImageError(f"{path}: expected {_size(shape)}, as in {paths[0].name}, got {_size(found)}")
    ranked = sorted((digest, path.name, path) for path, (_, digest) in zip(paths, looked_at))
    digests = [digest for digest, _, _ in ranked]
    tenth = len(paths) // 10
    first = _past_copies(digests, tenth)
    second = _past_copies(digests, max(2 * tenth, first + 1))
    if second >= len(paths):
        raise BadImageError(f"{folder}: expected different images, got {len(set(digests))} in {len(paths)} files")
    parts = {"train": ranked[second:], "validation": ranked[first:second], "test": ranked[:first]}
    # As bytes, since file names need not be text.
    splits = {split: [os.fsencode(path) for _, _, path in parts[split]] for split in sets.SPLITS}
    digest = hashlib.sha256(b"".join(digests)).hexdigest()[:12]
    copies = len(paths) - len(set(digests))
    note = left_out + (f"; copies of other files: {copies}" if copies else "")
    return FolderRecords(splits, shape[-1], f"{len(paths)} of digest {digest}", note), shape


def _past_copies(digests: Sequence[bytes], boundary: int) -> int:
    """The boundary, moved up so that equal files stay together."""
    while boundary < len(digests) and digests[boundary] == digests[boundary - 1]:
        boundary += 1
    return boundary


def _list(folder: pathlib.Path) -> tuple[list[pathlib.Path], str]:
    """The PNG files of a folder by name, and a phrase that counts all other files."""
    files: list[pathlib.Path] = []
    others: collections.Counter[str] = collections.Counter()
    try:
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                others["hidden"] += 1
            elif path.is_dir():
                others["folders"] += 1
            elif not path.exists():
                others["broken links"] += 1
            elif path.suffix.lower() != ".png" or not path.is_file():
                others[path.suffix.lower() or "without a suffix"] += 1
            else:
                files.append(path)
    except OSError as error:
        raise BadImageError(f"{folder}: expected a folder that can be listed, got: {error.strerror}") from None
    left_out = ", ".join(f"{what} ({count})" for what, count in others.most_common())
    return files, f"; left out: {left_out}" if left_out else ""


def _look(path: pathlib.Path) -> tuple[tuple[int, int, int], bytes]:
    """The height, width, channels and hash of a readable PNG file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadImageError(f"{path}: expected a file that can be read, got: {error.strerror}") from None
    if not content.startswith(_SIGNATURE):  # TensorFlow would also decode JPEG files with this suffix.
        raise BadImageError(f"{path}: expected a PNG file, got {'something else' if content else 'an empty file'}")
    width, height = struct.unpack(">II", content[16:24].ljust(8, b"\0"))  # Checked before memory is allocated.
    if width * height > _MOST_PIXELS:
        raise BadImageError(
            f"{path}: expected at most {_MOST_PIXELS:,} pixels, got {height}x{width}; resize the image first"
        )
    try:
        height, width, channels = tf.io.decode_png(content, dtype=tf.uint8).shape
    except tf.errors.InvalidArgumentError:
        raise BadImageError(f"{path}: expected a whole PNG file, got one that cannot be decoded") from None
    if channels in _CHANNELS:
        raise BadImageError(f"{path}: expected grey or RGB pixels, got {_CHANNELS[channels]}; flatten the image first")
    if content[24] > 8:  # TensorFlow would silently reduce it to 8 bits.
        raise BadImageError(f"{path}: expected at most 8 bits per channel, got {content[24]}")
    return (height, width, channels), hashlib.sha256(content).digest()


def _size(shape: tuple[int, int, int]) -> str:
    height, width, channels = shape
    return f"{height}x{width} pixels of {channels} channel{'s' if channels > 1 else ''}"
