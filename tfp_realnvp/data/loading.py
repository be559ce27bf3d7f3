"""Opens data by name: a local TFDS set, a folder of images, or a table."""

import os
from collections.abc import Sequence

from tfp_realnvp import paths
from tfp_realnvp.data import digits, image_folder, sets, tables
from tfp_realnvp.data.events import Events
from tfp_realnvp.data.image_source import ImageSource
from tfp_realnvp.data.records import Records, tfds_warnings_silenced
from tfp_realnvp.data.typed_tables import Typing


@tfds_warnings_silenced()
def load(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    image_size: int | None = None,
    labels: bool = False,
    header: str = "auto",
    columns: Sequence[str] | None = None,
    typing: Typing | None = None,
) -> Events:
    """Opens an image set, preprocessed as in the Real NVP paper, a folder of images, or a table.

    The paper's sets are cropped and resized as in the paper. CelebA is cropped to the 148x148 box whose top left corner
    is row 40, column 15, and resized to 64x64. LSUN is resized to a shorter side of 96, then cropped to 64x64, at
    random in training and at the centre in evaluation. Other TFDS image sets are not changed. Every set has the splits
    "train", "validation" and "test". A split that TFDS lacks is held out from the end of train: the last 5,000 images,
    or the last tenth if that is fewer. But if TFDS has a validation split and no test split, as for downsampled
    ImageNet and LSUN, that validation split is our "test", since published figures are on it.

    Nothing is downloaded: without a network TFDS retries for minutes, and some sets have 40 GB. Only "digits" needs no
    preparation, since it comes with this package.

    `folder:PATH` is a folder of at least 20 PNG files, grey or RGB, with equal, even height and width. They are split
    80/10/10 in a fixed random order.

    `csv:PATH`, `npz:PATH`, `npy:PATH` and the names of published tables are passed to `load_table`.

    Args:
      name: one of `names()` or another TFDS image set: "mnist", "lsun/tower", "cifar10:3.0.2"; or
        `folder:PATH`, relative to the working directory; or a table.
      data_dir: TFDS directory that contains the set; by default TFDS's own (`$TFDS_DATA_DIR`, or
        ~/tensorflow_datasets). It is only read. "digits" does not need it.
      image_size: side in pixels of square images: the shorter side is resized with antialiasing, then the centre is
        cropped. CelebA keeps its box, LSUN its margin of half the size.
      labels: whether to return each image with its class, TFDS's feature 'label', for class-conditional flows. The
        images and their order do not change.
      header: for a table, see `load_table`.
      columns: for a table, see `load_table`.
      typing: for a table, see `load_table`.

    Raises:
      DataNotFoundError: if the set is not in `data_dir`, or there is no such folder.
      BadImageError: if a folder has too few files, files of unequal or odd size, or an unreadable file.
      BadTableError: if a table does not consist of finite numbers.
      ValueError: if there is no such set, its images are not uint8 with one static shape, or labels are requested but
        it has no feature 'label' of classes; for labels or an image_size with a table.

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
        return tables.load_table(name, data_dir, header=header, columns=columns, typing=typing)
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
    from tfp_realnvp.data import prepared  # Here, because TFDS takes a second to import.

    return _images(*prepared.open_set(name, data_dir, image_size, labels))


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
        raise ValueError(f"{name}: expected an image set with labels, got a folder of images, which has no labels")
    folder = paths.local(path)
    if not os.path.exists(folder):  # False for too long names, too.
        raise sets.DataNotFoundError(f"there is no folder {folder}")
    if not folder.is_dir():
        raise sets.DataNotFoundError(f"expected a folder of PNG files, got the file {folder}")
    records, shape = image_folder.read_folder(folder, any_size=image_size is not None)
    return _images(name, sets.Recipe(), image_size, shape, None, records)
