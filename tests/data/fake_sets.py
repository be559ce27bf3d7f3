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
    labels: Mapping[str, Sequence[int]] | None = None,
    label: tfds.features.FeatureConnector | None = None,
) -> None:
    """Writes images losslessly, in the given order, as TFDS would: `data_dir`/name/version.

    With `labels`, one for each image of each split, they have a feature 'label' too, which is `label`.
    A name that TFDS knows has the version that TFDS would look for.
    """
    set_name, _, config = name.partition("/")
    try:
        version = tfds.builder(name, data_dir=data_dir).version
    except tfds.core.DatasetNotFoundError:
        version = "1.0.0"
    features = {"image": tfds.features.Image(shape=shape, dtype=dtype, encoding_format="png")}
    examples = {split: [{"image": image} for image in images] for split, images in splits.items()}
    if labels is not None:
        features["label"] = label
        for split, values in labels.items():
            for example, value in zip(examples[split], values, strict=True):
                example["label"] = value
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=set_name,
            config=config or None,
            version=version,
            features=tfds.features.FeaturesDict(features),
            split_datasets={split: list(enumerate(of_split)) for split, of_split in examples.items()},
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
