"""The digits set: small enough to lie in the package, so that every machine has one real set."""

import atexit
import contextlib
import functools
import io
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from tfp_realnvp import paths

_FILE = pathlib.Path(__file__).with_name("digits.npz")
_SIZES = {"train": 1297, "validation": 200, "test": 300}


class Digits(tfds.core.GeneratorBasedBuilder):
    """1,797 handwritten digits, 8x8 pixels, each the number 0 to 16 of inked points in a 4x4 block.

    These are the images of `sklearn.datasets.load_digits()`, pixel for pixel: the test part of
    UCI's "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998), CC BY 4.0.
    Importing this module makes `tfds.load("digits")` work. Nothing is downloaded.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://doi.org/10.24432/C50P49",
            citation="""@misc{alpaydin1998digits,
  author = {Alpaydin, E. and Kaynak, C.},
  title = {Optical Recognition of Handwritten Digits},
  year = {1998},
  howpublished = {UCI Machine Learning Repository},
  doi = {10.24432/C50P49},
  note = {CC BY 4.0}
}""",
            disable_shuffling=True,  # _generate_examples does it.
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager  # Nothing to download.
        # Shuffled, for the file has writer after writer. NumPy keeps this generator's stream fixed.
        order = np.random.RandomState(0).permutation(sum(_SIZES.values()))
        parts = np.split(order, np.cumsum(list(_SIZES.values()))[:-1])
        return {
            split: self._generate_examples(part) for split, part in zip(_SIZES, parts, strict=True)
        }

    def _generate_examples(self, indices: np.ndarray) -> Iterator[tuple[int, dict]]:
        with np.load(_FILE) as arrays:
            images, labels = arrays["images"], arrays["labels"]
        for position, index in enumerate(indices):
            yield position, {"image": images[index, :, :, np.newaxis], "label": labels[index]}


def prepared(data_dir: str | os.PathLike | None = None) -> tfds.core.DatasetBuilder:
    """The builder of digits, its files written if this is the first use.

    Args:
      data_dir: TFDS directory to read, and to write if the set is not there; TFDS's own by default.
        If it cannot be written to, the set goes to a temporary one that ends with the process.
    """
    try:
        return _prepared_in(data_dir)
    except OSError:
        return _prepared_in(_temporary_dir())


def _prepared_in(data_dir: str | os.PathLike | None) -> tfds.core.DatasetBuilder:
    builder = _builder(data_dir)
    if not builder.is_prepared():
        _prepare(builder.data_path)
        builder = _builder(data_dir)  # A builder reads at its start what there is.
    return builder


def _builder(data_dir: str | os.PathLike | None) -> Digits:
    return Digits(data_dir=None if data_dir is None else paths.for_tfds(data_dir))


def _prepare(path: os.PathLike) -> None:
    """Makes the folder `path`, whole or not at all, whoever else may be doing the same.

    TFDS too writes elsewhere and renames, but the name of its "elsewhere" comes from `random`:
    processes that seeded it alike would write into each other's files.
    """
    if "://" in os.fspath(path):
        raise OSError(f"{path} is remote: no folder appears there all at once")
    path = pathlib.Path(path)
    data_dir = path.parents[1]
    data_dir.mkdir(parents=True, exist_ok=True)
    if not data_dir.stat().st_mode & 0o222:  # Root could write there all the same.
        raise PermissionError(f"{data_dir} is read-only")
    with tempfile.TemporaryDirectory(dir=data_dir, prefix="incomplete.") as scratch:
        builder = Digits(data_dir=scratch)
        # No progress bars: reading them would take longer than the work.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            builder.download_and_prepare()
        path.parent.mkdir(exist_ok=True)
        try:
            os.rename(builder.data_path, path)
        except OSError:
            if not path.exists():  # If it does, another process was quicker, and all is well.
                raise


@functools.cache
def _temporary_dir() -> str:
    directory = tempfile.mkdtemp(prefix="tfp_realnvp.")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory
