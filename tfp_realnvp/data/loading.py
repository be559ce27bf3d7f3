"""Opens data by name: a local TFDS set, a folder or an array of images, or a table."""

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfp_realnvp import paths
from tfp_realnvp.data import digits, sets, table_path, tables
from tfp_realnvp.data.events import Events
from tfp_realnvp.data.image_source import ImageSource
from tfp_realnvp.data.records import Records, tfds_warnings_silenced
from tfp_realnvp.data.typed_tables import Typing

if TYPE_CHECKING:
    from tfp_realnvp.data.image_file import Decoder


@tfds_warnings_silenced()
def load(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    image_size: int | None = None,
    flatten_alpha: str | None = None,
    labels: bool | Sequence[str] = False,
    header: str = "auto",
    columns: Sequence[str] | None = None,
    typing: Typing | None = None,
    shuffle_buffer: int | None = None,
) -> Events:
    """Opens an image set, preprocessed as in the Real NVP paper, a folder or an array of images, or a table.

    The paper's sets are cropped and resized as in the paper. CelebA is cropped to the 148x148 box whose top left corner
    is row 40, column 15, and resized to 64x64. LSUN is resized to a shorter side of 96, then cropped to 64x64, at
    random in training and at the centre in evaluation. Other TFDS image sets are not changed. Every set has the splits
    "train", "validation" and "test". A split that TFDS lacks is held out from the end of train: the last 5,000 images,
    or the last tenth if that is fewer. But if TFDS has a validation split and no test split, as for downsampled
    ImageNet and LSUN, that validation split is our "test", since published figures are on it.

    Nothing is downloaded: without a network TFDS retries for minutes, and some sets have 40 GB. Only "digits" needs no
    preparation, since it comes with this package.

    `folder:PATH` is a folder of at least 20 image files, PNG, JPEG, WebP, BMP, GIF (the first frame) or TIFF, in
    folders of any depth. They are rotated as their EXIF orientation says, and grey images become RGB if others are in
    colour. Height and width are even and equal, unless images are resized to `image_size`. A hash of their content
    splits them 80/10/10. `Events.note` lists omitted files, such as damaged ones and those smaller than `image_size`.

    `npy:PATH` and `npz:PATH[:NAME]` are images if the array is uint8 `[n, height, width(, channels)]`, with 1 or 3
    channels. Arrays are named and split as in `load_table`, which opens all others, `csv:PATH`, and the names of
    published tables.

    Args:
      name: one of `names()` or another TFDS image set: "mnist", "lsun/tower", "cifar10:3.0.2"; or
        `folder:PATH`, relative to the working directory; or arrays; or a table.
      data_dir: TFDS directory that contains the set; by default TFDS's own (`$TFDS_DATA_DIR`, or
        ~/tensorflow_datasets). It is only read. "digits" does not need it.
      image_size: side in pixels of square images: the shorter side is resized with antialiasing, then the centre is
        cropped. CelebA keeps its box, LSUN its margin of half the size.
      flatten_alpha: for a folder, the background of images with transparent pixels, such as "white" or "#808080". By
        default such images are refused.
      labels: whether to return each image with its class, for class-conditional flows: TFDS's feature 'label', the
        folder in PATH that contains the image, or the array `NAME_labels` or `labels` beside an array NAME. Or the
        names of the classes in the required order, for example the order of a model's training. The images and their
        order do not change.
      header: for a table, see `load_table`.
      columns: for a table, see `load_table`.
      typing: for a table, see `load_table`.
      shuffle_buffer: for a table, see `load_table`.

    Raises:
      DataNotFoundError: if the set is not in `data_dir`, or there is no such folder.
      BadImageError: if there are too few images, images of unequal or odd size, with more than 8 bits per channel,
        with transparent pixels or without a class; or if more than half of a folder's image files are unusable.
      BadTableError: if a table does not consist of finite numbers.
      ValueError: if there is no such set, its images are not uint8 with one static shape, or labels are requested but
        it has no feature 'label' of classes, or others than requested; for labels or an image_size with a table.

    ```python
    images = data.load("digits")
    images                        # Events(name='digits', shape=(8, 8, 1), levels=17)
    images.num_examples("train")  # 1297
    for batch in images.training_batches(64, seed=0, epoch=0):
        ...                       # uint8 [64, 8, 8, 1]

    labelled = data.load("digits", labels=True)
    labelled.class_names          # ("0", "1", ..., "9")
    for batch, labels in labelled.training_batches(64, seed=0, epoch=0):
        ...                       # uint8 [64, 8, 8, 1], int32 [64]
    ```
    """
    if tables.is_table(name):
        if labels or image_size is not None or flatten_alpha is not None:
            raise ValueError(f"{name}: expected images for labels, image_size or flatten_alpha, got a table")
        return tables.load_table(
            name, data_dir, header=header, columns=columns, typing=typing, shuffle_buffer=shuffle_buffer
        )
    if shuffle_buffer is not None:
        raise ValueError(f"{name}: expected a table, csv:, parquet: or arrow:, for a shuffle_buffer, got images")
    from tfp_realnvp.data.image_file import Decoder  # Imports Pillow.

    decoder = Decoder(image_size, flatten_alpha)
    kind, _, path = name.partition(":")
    if kind == "folder" and path:
        images = _folder(name, path, decoder, labels)
    elif flatten_alpha is not None:
        raise ValueError(f"{name}: expected folder:PATH for flatten_alpha, whose files may be transparent")
    elif kind in ("npy", "npz"):
        images = _arrays(name, path, image_size, labels)
    else:
        images = _named(name, data_dir, image_size, labels)
    return dataclasses.replace(images, image_size=image_size, flatten_alpha=flatten_alpha)


def _named(
    name: str, data_dir: str | os.PathLike[str] | None, image_size: int | None, labels: bool | Sequence[str]
) -> Events:
    """The set of the package, or one of TFDS."""
    if data_dir is not None:
        data_dir = paths.local_or_remote(data_dir)
    if name == "digits":
        classes = sets.known_classes(name, digits.CLASSES, labels) if labels else None
        return _images(name, sets.RECIPES[name], image_size, digits.SHAPE, classes, digits.read_digits(bool(labels)))
    from tfp_realnvp.data import prepared  # Here, because TFDS takes a second to import.

    return _images(*prepared.open_set(name, data_dir, image_size, labels))


def _images(
    name: str,
    recipe: sets.Recipe,
    image_size: int | None,
    shape: tuple[int, int, int],
    classes: tuple[str, ...] | None,
    records: Records,
) -> Events:
    if image_size is not None:
        recipe, shape = recipe.resized(image_size), (image_size, image_size, shape[-1])
    source = ImageSource(records, recipe, shape)
    return Events(
        name, shape, recipe.levels, class_names=classes, files=records.files, note=records.note, _source=source
    )


def _arrays(name: str, path: str, image_size: int | None, labels: bool | Sequence[str]) -> Events:
    from tfp_realnvp.data import image_arrays

    records, shape, classes = image_arrays.read_images(*table_path.existing_array(path), labels)
    if image_size is not None and image_size > min(shape[:2]):
        raise ValueError(f"{name}: expected an image_size of at most {min(shape[:2])}, got {image_size}")
    return _images(name, sets.Recipe(), image_size, shape, classes, records)


def _folder(name: str, path: str, decoder: "Decoder", labels: bool | Sequence[str]) -> Events:
    folder = paths.local(path)
    if not os.path.exists(folder):  # False for too long names, too.
        raise sets.DataNotFoundError(f"there is no folder {folder}")
    if not folder.is_dir():
        raise sets.DataNotFoundError(f"expected a folder of images, got the file {folder}")
    from tfp_realnvp.data import image_folder

    records, shape, classes = image_folder.read_folder(folder, decoder, labels)
    return _images(name, sets.Recipe(), None, shape, classes, records)  # The decoder has resized them.
