"""Images as PNG files: their bytes and their names."""

from __future__ import annotations

import collections
import io
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image


def encoded(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 `[height, width, channels]`: grey, grey and alpha, RGB, or RGB and alpha."""
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def names_of(names: Sequence[str]) -> list[str]:
    """Names of PNG files: another suffix is replaced, unless two images would get the same name, or one a folder's.

    Otherwise each name is kept and gets the suffix, as often as it takes: names of folders do not grow.

    Raises:
      ValueError: for a name outside of the folder that the files are for, or names of the same file.
    """
    names = [os.path.normpath(name) for name in names]
    for name in names:
        if os.path.isabs(name) or pathlib.PurePath(name).parts[:1] in ((), ("..",)):
            raise ValueError(f"expected names within a folder, got {name}")
    for name, times in collections.Counter(names).items():
        if times > 1:
            raise ValueError(f"expected names of different files, got {name} twice")
    files = [str(pathlib.PurePath(name).with_suffix(".png")) for name in names]
    folders = {str(folder) for name in names for folder in pathlib.PurePath(name).parents}
    kept = names
    while len(set(files)) < len(files) or not folders.isdisjoint(files):
        files = kept = [f"{name}.png" for name in kept]
    return files
