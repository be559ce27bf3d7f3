"""Arrays of an .npy or .npz file as an image set."""

import hashlib
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from tfp_realnvp.data import array_file, sets
from tfp_realnvp.data.image_errors import BadImageError
from tfp_realnvp.data.image_folder import LEAST_IMAGES
from tfp_realnvp.data.records import ArrayRecords
from tfp_realnvp.data.table_checks import some


def read_images(
    path: pathlib.Path, name: str | None = None, classes: bool | Sequence[str] = False
) -> tuple[ArrayRecords, tuple[int, int, int], tuple[str, ...] | None]:
    """Reads images from arrays, uint8 `[n, height, width]` in grey or `[n, height, width, channels]`.

    Arrays are selected as for a table: `train`, `validation` and `test`, or a single array, shuffled in a fixed
    order and split. The labels of an array `NAME` are integers or texts `[n]` in an array `NAME_labels`, or in `labels`
    for a single array of images.

    Args:
      path: path of the file.
      name: name of a set or an array in it.
      classes: whether to read labels, whose sorted distinct values are the classes; or the names of the classes, in the
        order of their labels.

    Returns:
      The images; height, width and channels of each; the names of the classes, or None without labels.

    Raises:
      BadImageError: if an array does not contain images of 1 or 3 channels, there are fewer than 20, the splits differ
        in shape, or labels are missing or do not match the images.
      BadTableError: if the file is damaged.
    """
    arrays = array_file.read_arrays(path, name)
    images = {label: _checked(array, label) for label, array in arrays.items()}
    (first, expected), *others = ((label, array.shape[1:]) for label, array in images.items())
    for label, shape in others:
        if shape != expected:
            raise BadImageError(f"{label}: expected images of shape {expected}, as in {first}, got {shape}")
    if (count := sum(map(len, images.values()))) < LEAST_IMAGES:
        raise BadImageError(f"{path}: expected {LEAST_IMAGES} or more images, got {count}")
    if classes:
        labels = {label: _labels(path, label, array, len(images) == 1) for label, array in images.items()}
        names = _class_names(path, labels, classes)
        columns = {label: {"image": array, "label": _indices(labels[label], names)} for label, array in images.items()}
    else:
        names, columns = None, {label: {"image": array} for label, array in images.items()}
    if len(images) == 1:
        # NumPy guarantees this generator's stream.
        parts = sets.last_tenths(np.random.RandomState(0).permutation(count))
        splits = {s: {key: array[part] for key, array in columns[first].items()} for s, part in parts.items()}
    else:
        splits = dict(zip(sets.SPLITS, columns.values(), strict=True))
    unused = [key for key in array_file.left_out(path, arrays) if not (classes and key.endswith("labels"))]
    note = f"; left out: {some(unused)}" if unused else ""
    return ArrayRecords(splits, f"{count} of digest {_digest(splits)}", note), expected, names


def _checked(array: np.ndarray, label: str) -> np.ndarray:
    """The images with an axis of channels; raises a `BadImageError` for other arrays."""
    if array.dtype != np.uint8 or array.ndim not in (3, 4):
        raise BadImageError(
            f"{label}: expected uint8 [n, height, width(, channels)], got {array.dtype} of shape {array.shape}"
        )
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.shape[-1] not in (1, 3):
        raise BadImageError(f"{label}: expected images of 1 or 3 channels, got {array.shape[-1]}")
    if not array.size:
        raise BadImageError(f"{label}: expected images, got shape {array.shape}")
    return array


def _labels(path: pathlib.Path, label: str, images: np.ndarray, only: bool) -> np.ndarray:
    """The labels `[n]` of an array of images."""
    key = label.removeprefix(f"{path}, ")
    present = array_file.left_out(path, ())
    wanted = [f"{key}_labels"] * (key != label) + ["labels"] * only
    found = [name for name in wanted if name in present]
    if not found:
        raise BadImageError(f"{label}: expected an array {' or '.join(wanted)} beside it, got none")
    (labels,) = array_file.read_arrays(path, found[0]).values()
    if labels.dtype.kind not in "iubU" or labels.size != len(images) or len(labels) != len(images):
        raise BadImageError(
            f"{path}, {found[0]}: expected {len(images)} integers or texts, got {labels.dtype} of shape {labels.shape}"
        )
    return labels.reshape(-1)


def _class_names(path: pathlib.Path, labels: Mapping[str, np.ndarray], given: bool | Sequence[str]) -> tuple[str, ...]:
    """The given names of the classes, or the sorted labels as text."""
    found = tuple(map(str, np.unique(np.concatenate(list(labels.values())))))
    count = sum(map(len, labels.values()))
    if not isinstance(given, bool):
        if others := [name for name in found if name not in given]:
            raise BadImageError(f"{path}: expected labels among {some(given)}, got {some(others)}")
        return tuple(given)
    if not 2 <= len(found) <= count // 2:
        raise BadImageError(f"{path}: expected labels of classes, got {len(found)} different ones of {count} images")
    return found


def _indices(labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    values, positions = np.unique(labels, return_inverse=True)
    return np.array([names.index(str(value)) for value in values], np.int32)[positions]


def _digest(splits: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    digest = hashlib.sha256()
    for arrays in splits.values():
        digest.update(str(arrays["image"].shape).encode())
        digest.update(np.ascontiguousarray(arrays["image"]).data)
    return digest.hexdigest()[:12]
