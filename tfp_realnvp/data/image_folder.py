"""A folder of image files as an image set."""

import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import os
import pathlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tfp_realnvp.data import sets
from tfp_realnvp.data.image_errors import BadImageError, UnusableFileError
from tfp_realnvp.data.image_file import FORMATS, Decoder
from tfp_realnvp.data.records import Records, shuffled_positions

# A tenth of these is two images, so that a mean over them has a standard error.
LEAST_IMAGES = 20
_KINDS = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]} files"

# Pixels that were decoded when the folder was opened are kept for their first use up to this limit.
_KEPT_BYTES = 2**30
# Names of folders that are splits, not classes.
_SPLITS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))
_NAMED = 3  # files per reason to leave them out


@dataclasses.dataclass(frozen=True)
class FolderRecords(Records):
    """The image files of a folder.

    Attributes:
      paths: the paths of each split.
      labels: the labels of each split, or None.
      decoder: decodes a file.
      channels: channels of every image; grey images become RGB if this is 3.
      decoded: pixels by path, each used once instead of the file.
      files: number and digest of all files.
      note: a note about omitted files, grey images that become RGB, and copies.
    """

    # Files are shuffled one by one.
    shuffle_block = 1

    paths: Mapping[str, Sequence[bytes]]
    labels: Mapping[str, Sequence[int]] | None
    decoder: Decoder
    channels: int
    decoded: dict[bytes, np.ndarray]
    files: str
    note: str

    def num_examples(self, split: str) -> int:
        return len(self.paths[split])

    def read(self, split: str, file_seed: tf.Tensor | None = None) -> tf.data.Dataset:
        columns: dict[str, Sequence[Any]] = {"image": self.paths[split]}
        if self.labels is not None:
            columns["label"] = self.labels[split]
        if file_seed is not None:
            order = shuffled_positions(self.num_examples(split), file_seed)
            columns = {name: [values[index] for index in order] for name, values in columns.items()}
        return tf.data.Dataset.from_tensor_slices(columns)

    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        image = tf.numpy_function(self._pixels, [encoded], tf.uint8, stateful=False)
        return tf.ensure_shape(image, [None, None, self.channels])

    def _pixels(self, path: bytes) -> np.ndarray:
        pixels = self.decoded.pop(path, None)
        if pixels is None:
            found = pathlib.Path(os.fsdecode(path))
            pixels = self.decoder.decode(found.read_bytes(), str(found))
        return pixels if pixels.shape[-1] == self.channels else np.repeat(pixels, self.channels, -1)


@dataclasses.dataclass(frozen=True)
class _File:
    """A file that was decoded once: its hash, and its pixels and their shape, or the reason to leave it out."""

    path: pathlib.Path
    digest: bytes
    pixels: np.ndarray | None = None
    shape: tuple[int, ...] = ()
    reason: str = ""


def read_folder(
    folder: pathlib.Path, decoder: Decoder, classes: bool | Sequence[str] = False
) -> tuple[FolderRecords, tuple[int, int, int], tuple[str, ...] | None]:
    """Lists the image files of a folder and its subfolders, decodes each file once, and splits them.

    Files are ordered by a hash of their content. The first tenth is the test split, the second the validation split,
    and the rest the train split; copies of a file are in the same split. If up to half as many files are added later,
    none moves from the train split to the test split.

    Hidden files, files with other suffixes, damaged files, and files that are too small to be resized are left out.

    Args:
      folder: an existing folder.
      decoder: decodes a file.
      classes: whether the folders in `folder` are the classes of the images in them; or the names of the classes, in
        the order of their labels.

    Returns:
      The files; height, width and channels of every image; the names of the classes, or None without labels.

    Raises:
      BadImageError: if there are fewer than 20 images, more than half of the image files are left out, nearly all
        are copies of each other, images differ in size or have an odd size, the decoder refuses an image, or an image
        has no class.
    """
    left_out: dict[str, list[str]] = collections.defaultdict(list)
    try:
        paths = list(_walk(folder, folder, left_out))
    except OSError as error:
        where = error.filename or folder
        raise BadImageError(f"{where}: expected a folder that can be listed, got: {error.strerror}") from None
    taken: list[_File] = []
    for file in _decoded_once(paths, decoder):
        if file.reason:
            left_out[file.reason].append(str(file.path.relative_to(folder)))
        else:
            taken.append(file)
    note = _described(left_out)
    if len(taken) < LEAST_IMAGES:
        raise BadImageError(f"{folder}: expected {LEAST_IMAGES} or more {_KINDS}, got {len(taken)}{note}")
    if 2 * len(taken) < len(paths):
        raise BadImageError(f"{folder}: expected images in most of {len(paths)} files, got {len(taken)}{note}")
    shape = _common_shape(taken)
    if decoder.size is None and (shape[0] % 2 or shape[1] % 2):
        raise BadImageError(
            f"{taken[0].path}: expected an even height and width, got {shape[0]}x{shape[1]} pixels; image_size=SIZE"
            " resizes and crops all to another"
        )
    names = _class_names(folder, taken, classes) if classes else None
    ranked = sorted(taken, key=lambda file: (file.digest, file.path))
    digests = [file.digest for file in ranked]
    splits = {split: ranked[part] for split, part in _parts(folder, digests).items()}
    labels = None
    if names is not None:
        labels = {s: [names.index(_class_of(file, folder)) for file in part] for s, part in splits.items()}
    made_colour = sum(file.shape[-1] < shape[-1] for file in taken)
    copies = len(taken) - len(set(digests))
    note += f"; grey images made RGB: {made_colour}" if made_colour else ""
    note += f"; copies of other files: {copies}" if copies else ""
    records = FolderRecords(
        # As bytes, since a name need not be text.
        paths={split: [os.fsencode(file.path) for file in part] for split, part in splits.items()},
        labels=labels,
        decoder=decoder,
        channels=shape[-1],
        decoded={os.fsencode(file.path): file.pixels for file in taken if file.pixels is not None},
        files=f"{len(taken)} of digest {hashlib.sha256(b''.join(digests)).hexdigest()[:12]}",
        note=note,
    )
    return records, shape, names


def _walk(top: pathlib.Path, folder: pathlib.Path, left_out: dict[str, list[str]]) -> Iterator[pathlib.Path]:
    """Yields the image files of a folder and its subfolders, by their suffixes; adds other files to `left_out`."""
    known = suffixes()
    above = [folder, *folder.parents][: len(folder.relative_to(top).parts) + 1]
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if path.name.startswith("."):
            reason = "hidden"
        elif path.is_dir():
            if not any(path.samefile(other) for other in above):
                yield from _walk(top, path, left_out)
                continue
            reason = "links to a folder above"
        elif not path.exists():
            reason = "broken links"
        elif not path.is_file() or suffix not in known:
            reason = suffix or "without a suffix"
        else:
            yield path
            continue
        left_out[reason].append(str(path.relative_to(top)))


@functools.cache
def suffixes() -> set[str]:
    """The suffixes of image files in a folder, in lower case."""
    formats = {name.upper() for name in FORMATS}
    return {suffix for suffix, name in Image.registered_extensions().items() if name in formats}


def _described(left_out: Mapping[str, Sequence[str]]) -> str:
    """The reasons to leave files out, with the number of files and the first names, to append to a message."""
    reasons = []
    for reason, names in sorted(left_out.items(), key=lambda item: (-len(item[1]), item[0])):
        more = ", ..." if len(names) > _NAMED else ""
        reasons.append(f"{reason} ({len(names)}: {', '.join(names[:_NAMED])}{more})")
    return f"; left out: {', '.join(reasons)}" if reasons else ""


def _decoded_once(paths: Sequence[pathlib.Path], decoder: Decoder) -> list[_File]:
    """Decodes each file once, in threads, and keeps the pixels of as many as fit in memory."""

    def decode(path: pathlib.Path) -> _File:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadImageError(f"{path}: expected a file that can be read, got: {error.strerror}") from None
        digest = hashlib.sha256(content).digest()
        try:
            pixels = decoder.decode(content, str(path))
        except UnusableFileError as error:
            return _File(path, digest, reason=str(error))
        return _File(path, digest, pixels, pixels.shape)

    everything, size = [], 0
    with concurrent.futures.ThreadPoolExecutor() as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about faults that it can repair.
        for file in pool.map(decode, paths):
            size += 0 if file.pixels is None else file.pixels.nbytes
            everything.append(file if size <= _KEPT_BYTES else dataclasses.replace(file, pixels=None))
    return everything


def _common_shape(taken: Sequence[_File]) -> tuple[int, int, int]:
    """The height and width of all images, and the largest number of channels."""
    counts = collections.Counter(file.shape[:2] for file in taken)
    (height, width), count = counts.most_common(1)[0]
    for file in taken:
        if file.shape[:2] != (height, width):
            raise BadImageError(
                f"{file.path}: expected {height}x{width} pixels, as {count} of {len(taken)} images have, got"
                f" {file.shape[0]}x{file.shape[1]}; image_size=SIZE resizes and crops all to one size"
            )
    return height, width, max(file.shape[2] for file in taken)


def _class_of(file: _File, folder: pathlib.Path) -> str:
    """The name of the folder in `folder` that contains a file, at any depth."""
    return file.path.relative_to(folder).parts[0]


def _class_names(folder: pathlib.Path, taken: Sequence[_File], given: bool | Sequence[str]) -> tuple[str, ...]:
    """The given names of the classes, or the sorted names of the folders."""
    for file in taken:
        if file.path.parent == folder:
            raise BadImageError(f"{file.path}: expected every image in the folder of its class, got one in none")
    found = sorted({_class_of(file, folder) for file in taken})
    if isinstance(given, bool):
        if len(found) < 2:
            raise BadImageError(f"{folder}: expected folders of 2 or more classes, got {found[0]}")
        if _SPLITS.issuperset(name.lower() for name in found):
            raise BadImageError(f"{folder}: expected folders of classes, got those of splits: {', '.join(found)}")
        return tuple(found)
    if others := [name for name in found if name not in given]:
        raise BadImageError(f"{folder}: expected folders of the classes {', '.join(given)}, got {', '.join(others)}")
    return tuple(given)


def _parts(folder: pathlib.Path, digests: Sequence[bytes]) -> dict[str, slice]:
    """The positions of each split among the files, which are ordered by their digests."""
    tenth = len(digests) // 10
    first = _past_copies(digests, tenth)
    second = _past_copies(digests, max(2 * tenth, first + 1))
    if second >= len(digests):
        raise BadImageError(f"{folder}: expected different images, got {len(set(digests))} in {len(digests)} files")
    return dict(zip(sets.SPLITS, (slice(second, None), slice(first, second), slice(first)), strict=True))


def _past_copies(digests: Sequence[bytes], boundary: int) -> int:
    """The first position at or after the boundary that does not separate equal files."""
    while boundary < len(digests) and digests[boundary] == digests[boundary - 1]:
        boundary += 1
    return boundary
