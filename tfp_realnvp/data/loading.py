"""Opens data by their name: a set of the TFDS directories of this machine, a folder of images, or a table."""

import difflib
import os
import re
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds

from tfp_realnvp import paths
from tfp_realnvp.data import digits, image_folder, sets, tables
from tfp_realnvp.data.events import Events
from tfp_realnvp.data.image_source import ImageSource
from tfp_realnvp.data.records import Records, TFDSRecords, tfds_warnings_silenced

_NAME = re.compile(r"\w+(/[\w.\-]+)?(:[\d.]+)?")  # set, configuration, version


@tfds_warnings_silenced()
def load(
    name: str,
    data_dir: str | os.PathLike | None = None,
    *,
    image_size: int | None = None,
    labels: bool = False,
    header: str = "auto",
    columns: Sequence[str] | None = None,
) -> Events:
    """Opens an image set, its images as the Real NVP paper had them, a folder of images, or a table.

    The sets of the paper are cropped and resized as in the paper: CelebA to the 148x148 box whose
    top left corner is row 40, column 15, resized to 64x64; LSUN to a shorter side of 96, then
    cropped to 64x64, anywhere in training and in the centre in evaluation. Any other TFDS image set
    is taken as it is. Every set has the splits "train", "validation" and "test"; a split that TFDS
    does not have is held out of the end of train (the last 5,000 images, or the last tenth if that
    is fewer), except that where TFDS has a validation split and no test split, as for downsampled
    ImageNet and LSUN, that validation split is our "test": published figures are on it.

    Nothing is downloaded: TFDS retries for minutes without a network, and some sets are 40 GB. Only
    "digits" needs no preparation, for it comes with this package.

    `folder:PATH` is a folder of 20 or more PNG files, grey or RGB, all of one even height and width. They are shuffled,
    always in the same way, and split into 80, 10 and 10 of a hundred.

    `csv:PATH`, `npz:PATH`, `npy:PATH` and the names of published tables are for `load_table`.

    Args:
      name: one of `names()` or another TFDS image set: "mnist", "lsun/tower", "cifar10:3.0.2"; or
        `folder:PATH`, relative to the working directory; or a table.
      data_dir: TFDS directory that has the set; TFDS's own by default (`$TFDS_DATA_DIR`, or
        ~/tensorflow_datasets). It is only read. "digits" does not need it.
      image_size: side in pixels of square images to resize and crop to instead: the shorter side
        is resized, antialiased, then the centre is cropped. CelebA keeps its box and LSUN
        its margin of half the size.
      labels: whether to give the class of each image beside it, TFDS's feature 'label', as a flow that is conditioned
        on it needs. The images and their order are the same.
      header: of a table, see `load_table`.
      columns: of a table, see `load_table`.

    Raises:
      DataNotFoundError: if the set is not in `data_dir`, or there is no such folder.
      BadImageError: if the files of a folder are too few, not of one even size, or one cannot be read.
      BadTableError: if a table is not one of finite numbers.
      ValueError: if there is no such set, or its images are not uint8 of one static shape, or labels are asked for and
        it has no feature 'label' of classes; or a table is to be resized.

    ```python
    images = data.load("digits")
    images                        # Events(name='digits', shape=(8, 8, 1), levels=17)
    images.num_examples("train")  # 1297
    for batch in images.training_batches(64, seed=0, epoch=0):
        ...                       # uint8 [64, 8, 8, 1]

    labelled = data.load("digits", labels=True)
    labelled.classes              # 10
    for batch, labels in labelled.training_batches(64, seed=0, epoch=0):
        ...                       # uint8 [64, 8, 8, 1], int32 [64]
    ```
    """
    if tables.is_table(name):
        if labels or image_size is not None:
            raise ValueError(f"{name}: expected images for labels or an image_size, got a table")
        return tables.load_table(name, data_dir, header=header, columns=columns)
    if image_size is not None and image_size < 1:
        raise ValueError(f"expected an image_size of 1 pixel or more, got {image_size}")
    if data_dir is not None:
        data_dir = paths.local_or_remote(data_dir)
    kind, _, path = name.partition(":")
    if kind == "folder" and path:
        return _folder(name, path, image_size, labels)
    if name == "digits":
        classes = digits.CLASSES if labels else None
        return _images(name, sets.RECIPES[name], image_size, digits.SHAPE, classes, digits.read_digits(labels))
    builder = _builder(name, data_dir)
    name = builder.info.full_name.removesuffix(f"/{builder.info.version}")
    recipe = sets.RECIPES.get(name, sets.Recipe())
    shape = _shape(name, builder.info.features, recipe if image_size is None else recipe.resized(image_size))
    classes = _classes(name, builder.info.features) if labels else None
    if not builder.is_prepared():
        where = data_dir or builder.data_dir_root
        raise sets.DataNotFoundError(
            f"{name} is not in {where}: give the TFDS directory that has it (--data_dir=DIR), or"
            f" prepare it where there is a network: tfds build {name} --data_dir={where}"
        )
    sizes = {split: info.num_examples for split, info in builder.info.splits.items()}
    if "train" not in sizes:
        raise ValueError(f"{name}: expected a split 'train', got {', '.join(sorted(sizes))}")
    records = TFDSRecords(builder, sets.plan_splits(sizes), labels)
    return _images(name, recipe, image_size, shape, classes, records)


def _images(
    name: str,
    recipe: sets.Recipe,
    image_size: int | None,
    shape: tuple[int, int, int],
    classes: int | None,
    records: Records,
) -> Events:
    if image_size is not None:
        recipe, shape = recipe.resized(image_size), (image_size, image_size, shape[-1])
    source = ImageSource(records, recipe, shape)
    return Events(name, shape, recipe.levels, classes=classes, files=records.files, note=records.note, _source=source)


def _folder(name: str, path: str, image_size: int | None, labels: bool) -> Events:
    if labels:
        raise ValueError(f"{name}: expected an image set with labels, got a folder of images, which has none")
    folder = paths.local(path)
    if not os.path.exists(folder):  # Which says so of a name that is too long, too.
        raise sets.DataNotFoundError(f"there is no folder {folder}")
    if not folder.is_dir():
        raise sets.DataNotFoundError(f"expected a folder of PNG files, got the file {folder}")
    records, shape = image_folder.read_folder(folder, any_size=image_size is not None)
    return _images(name, sets.Recipe(), image_size, shape, None, records)


def _builder(name: str, data_dir: str | os.PathLike | None) -> tfds.core.DatasetBuilder:
    if not _NAME.fullmatch(name):  # TFDS would look in the network for "huggingface:mnist".
        raise _unknown(name, data_dir)
    try:
        return tfds.builder(name, data_dir=data_dir and paths.for_tfds(data_dir), try_gcs=False)
    except (ValueError, AssertionError):  # No such set or configuration; no such version.
        raise _unknown(name, data_dir) from None


def _unknown(name: str, data_dir: str | os.PathLike | None) -> ValueError:
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


def _classes(name: str, features: tfds.features.FeaturesDict) -> int:
    label = dict(features.items()).get("label")
    if not isinstance(label, tfds.features.ClassLabel) or label.num_classes is None:
        raise ValueError(f"{name}: expected a feature 'label' of classes, got {label or ', '.join(features.keys())}")
    return label.num_classes
