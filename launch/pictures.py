"""Where the programs that draw put their pictures."""

from __future__ import annotations

import pathlib

from absl import flags

from launch import source

PICTURES_DIR = flags.DEFINE_string(
    "pictures_dir", None, "Folder of the pictures. By default the run's, or the working directory for an export."
)
OUTPUT_FILE = flags.DEFINE_string("output_file", None, "File of the picture, instead of one in --pictures_dir.")


def path(model: source.Source, name: str) -> pathlib.Path:
    """The file that was asked for, or one of that name in `--pictures_dir`."""
    if OUTPUT_FILE.value is not None:
        return pathlib.Path(OUTPUT_FILE.value)
    return (pathlib.Path(PICTURES_DIR.value) if PICTURES_DIR.value else model.folder) / name
