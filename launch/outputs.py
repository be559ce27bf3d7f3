"""Refuses to write a file over one that the program reads."""

from __future__ import annotations

import glob
import os
import pathlib
from collections.abc import Iterator

from launch import run
from tfp_realnvp import paths
from tfp_realnvp.data import image_folder

# What runs and exports consist of; pictures in their folders are drawn again.
_OF_RUN = ("config.json", "metrics.jsonl", "results.json", "checkpoints", "tensorboard", "saved_model")
_OF_EXPORT = ("saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra")
_OF_FILES = ("csv", "parquet", "arrow", "npz", "npy", "tfrecord")


def check(path: str | os.PathLike[str], *inputs: str | None, flag: str = "output_file") -> None:
    """Refuses an output that is the file of an input, also by another path or a link, or an image of its folder.

    It also refuses what a run or an export consists of.

    Args:
      path: the file to write.
      *inputs: names of data, such as csv:FILE, parquet:PATTERN and folder:PATH. Names of sets, and None, have no files.
      flag: name of the flag of the output.
    """
    if not os.path.exists(path):
        return
    file = pathlib.Path(path).resolve()
    for folder in file.parents:
        part = file.relative_to(folder).parts[0]
        for marker, kind, parts in (("config.json", "run", _OF_RUN), ("saved_model.pb", "export", _OF_EXPORT)):
            if part in parts and (folder / marker).is_file():
                raise run.UsageError(f"expected --{flag} to be a file of its own, got one of the {kind} in {folder}")
    written = os.stat(path)
    for name in inputs:
        for file in _files(name or ""):
            if os.path.samestat(file.stat(), written):
                raise run.UsageError(f"expected --{flag} to be another file than the inputs, got {path}")


def _files(name: str) -> Iterator[pathlib.Path]:
    kind, _, given = name.partition(":")
    if not given or "://" in given:  # An address is no file of this machine.
        return
    if kind == "folder":
        found = paths.local(given).rglob("*")
        yield from (file for file in found if file.suffix.lower() in image_folder.suffixes() and file.exists())
    elif kind in _OF_FILES:
        for path in filter(None, (given, given.rpartition(":")[0])):  # npz:FILE:NAME has the name of an array, too.
            local = paths.local(path)
            yield from (pathlib.Path(file) for file in {str(local), *glob.glob(str(local))} if os.path.exists(file))
