"""Small prepared TFDS sets under the names of real ones, and what tests ask of them."""

import contextlib
import io
import os
import pathlib
from collections.abc import Mapping, Sequence
from unittest import mock

import numpy as np
import tensorflow_datasets as tfds


def write(
    data_dir: str,
    name: str,
    splits: Mapping[str, Sequence[np.ndarray]],
    *,
    shape: tuple[int | None, ...] = (None, None, 3),
    dtype: type = np.uint8,
    files: int = 1,
) -> None:
    """Writes images losslessly, in the given order, as TFDS would: `data_dir`/name/version.

    A name that TFDS knows has the version that TFDS would look for.
    """
    set_name, _, config = name.partition("/")
    try:
        version = tfds.builder(name, data_dir=data_dir).version
    except tfds.core.DatasetNotFoundError:
        version = "1.0.0"
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=shape, dtype=dtype, encoding_format="png")}
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=set_name,
            config=config or None,
            version=version,
            features=features,
            split_datasets={
                split: [(number, {"image": image}) for number, image in enumerate(images)]
                for split, images in splits.items()
            },
            data_dir=data_dir,
            download_config=tfds.download.DownloadConfig(num_shards=files),
            disable_shuffling=True,
        )


def listing(folder: str) -> dict[str, float]:
    """Every path below a folder, with the time of its last change."""
    return {os.fspath(path): path.stat().st_mtime for path in pathlib.Path(folder).rglob("*")}


def no_network() -> mock._patch:
    """Makes each attempt to use the network an AssertionError."""
    refuse = mock.Mock(side_effect=AssertionError("the network was used"))
    return mock.patch.multiple("socket", getaddrinfo=refuse, create_connection=refuse)
