"""Prepared TFDS sets; a separate module, since it imports TFDS."""

import dataclasses
import difflib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tfp_realnvp import paths
from tfp_realnvp.data import sets, tables
from tfp_realnvp.data.records import Records, shuffled_positions, tfds_warnings_silenced

_NAME = re.compile(r"\w+(/[\w.\-]+)?(:[\d.]+)?")  # set, configuration, version
# A set that is not kept in memory is read from this many files in parallel, in a random order of the files. With few
# files at a time, the contents of a shuffle block change from epoch to epoch.
_SHUFFLE_FILES = 4


@dataclasses.dataclass(frozen=True)
class TFDSRecords(Records):
    """The records of a prepared TFDS set.

    Attributes:
      builder: builder of the set.
      splits: the TFDS split instruction of each of our splits.
      labels: whether to read labels, too.
    """

    builder: tfds.core.DatasetBuilder
    splits: Mapping[str, str]
    labels: bool

    def num_examples(self, split: str) -> int:
        return self.builder.info.splits[self.splits[split]].num_examples

    @tfds_warnings_silenced()
    def read(self, split: str, file_seed: tf.Tensor | None = None) -> tf.data.Dataset:
        def shuffle(files: list[Any]) -> list[Any]:
            return [files[index] for index in shuffled_positions(len(files), file_seed)]

        read_config = tfds.ReadConfig(try_autocache=False)
        if file_seed is not None:
            read_config = read_config.replace(
                experimental_interleave_sort_fn=shuffle,
                interleave_cycle_length=_SHUFFLE_FILES,
                enable_ordering_guard=False,  # Shuffles even sets that TFDS wants read in order.
            )
        features = {"image": True, "label": True} if self.labels else {"image": True}
        return self.builder.as_dataset(
            split=self.splits[split],
            decoders=tfds.decode.PartialDecoding(features, decoders={"image": tfds.decode.SkipDecoding()}),
            read_config=read_config,
        )

    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        return self.builder.info.features["image"].decode_example(encoded)


def open_set(
    name: str, data_dir: str | os.PathLike[str] | None, image_size: int | None, labels: bool | Sequence[str]
) -> tuple[str, sets.Recipe, int | None, tuple[int, int, int], tuple[str, ...] | None, TFDSRecords]:
    """Opens an image set as described in `load`.

    Returns:
      Its name without the version, its recipe, `image_size`, the shape of its images, the names of its classes or
      None, and its records.
    """
    builder = _builder(name, data_dir)
    name = builder.info.full_name.removesuffix(f"/{builder.info.version}")
    recipe = sets.RECIPES.get(name, sets.Recipe())
    shape = _shape(name, builder.info.features, recipe if image_size is None else recipe.resized(image_size))
    classes = sets.known_classes(name, _classes(name, builder.info.features), labels) if labels else None
    if not builder.is_prepared():
        where = data_dir or builder.data_dir_root
        raise sets.DataNotFoundError(
            f"{name} is not in {where}: pass the TFDS directory that contains it (--data_dir=DIR), or"
            f" prepare it on a machine with a network: tfds build {name} --data_dir={where}"
        )
    sizes = {split: info.num_examples for split, info in builder.info.splits.items()}
    if "train" not in sizes:
        raise ValueError(f"{name}: expected a split 'train', got {', '.join(sorted(sizes))}")
    records = TFDSRecords(builder, sets.plan_splits(sizes), bool(labels))
    return name, recipe, image_size, shape, classes, records


def _builder(name: str, data_dir: str | os.PathLike[str] | None) -> tfds.core.DatasetBuilder:
    if not _NAME.fullmatch(name):  # TFDS would look up "huggingface:mnist" on the network.
        raise _unknown(name, data_dir)
    try:
        return tfds.builder(name, data_dir=data_dir and paths.for_tfds(data_dir), try_gcs=False)
    except (ValueError, AssertionError):  # Unknown set, configuration or version.
        raise _unknown(name, data_dir) from None


def _unknown(name: str, data_dir: str | os.PathLike[str] | None) -> ValueError:
    tfds_names = tfds.list_builders(with_community_datasets=False)
    close = [f"folder:{name}"] if os.path.isdir(name) else []
    close = close or difflib.get_close_matches(name, {*sets.names(), *tables.table_names(), *tfds_names})
    guess = f" (did you mean {' or '.join(close)}?)" if close else ""
    return ValueError(
        f"unknown image set {name!r}{guess}: expected one of {', '.join(sets.names())}, another"
        f" TFDS name, a set in {data_dir or 'the TFDS directory'}, or folder:PATH"
    )


def _shape(name: str, features: tfds.features.FeaturesDict, recipe: sets.Recipe) -> tuple[int, int, int]:
    image = dict(features.items()).get("image")
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        raise ValueError(
            f"{name}: expected a feature 'image' of uint8 pixels, got {image or ', '.join(features.keys())}"
        )
    height, width, channels = image.shape
    if recipe.size:
        height = width = recipe.size
    if None in (height, width, channels):
        raise ValueError(
            f"{name}: expected images of one static shape (height, width, channels), got"
            f" {image.shape}; image_size=SIZE resizes and crops them to one"
        )
    return height, width, channels


def _classes(name: str, features: tfds.features.FeaturesDict) -> tuple[str, ...]:
    label = dict(features.items()).get("label")
    if not isinstance(label, tfds.features.ClassLabel) or label.num_classes is None:
        raise ValueError(f"{name}: expected a feature 'label' of classes, got {label or ', '.join(features.keys())}")
    return tuple(label.names)
