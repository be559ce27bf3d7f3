"""The versions of a model: folders named by numbers, as TensorFlow Serving has them."""

import os

from tfp_realnvp import paths


def versions(folder: str | os.PathLike[str]) -> list[int]:
    """The versions of a model in a folder, in order."""
    return sorted(named_versions(paths.local(folder)))


def named_versions(folder: str | os.PathLike[str]) -> dict[int, str]:
    """The versions of a model in a folder, with their folder names, for example 7 and 0007."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return {int(name): name for name in names if name.isdecimal()}
