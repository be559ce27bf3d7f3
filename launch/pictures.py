"""The output files of programs that draw pictures."""

from __future__ import annotations

import pathlib

from launch import arguments, source

PICTURES_DIR = arguments.DEFINE_path(
    "pictures_dir",
    None,
    "Folder for pictures. By default the run's folder, or the working directory for an export. File names include the "
    "export and flags with non-default values.",
)
OUTPUT_FILE = arguments.DEFINE_path("output_file", None, "File for the picture, instead of one in --pictures_dir.")


def path(model: source.Source, stem: str, suffix: str, *named: str) -> pathlib.Path:
    """The requested file, or one in `--pictures_dir` whose name describes the picture.

    Args:
      model: the model that draws.
      stem: as in `source.variant`, like the other arguments.
      suffix: the file's suffix.
      *named: flags.
    """
    if OUTPUT_FILE.value is not None:
        return pathlib.Path(OUTPUT_FILE.value)
    folder = pathlib.Path(PICTURES_DIR.value) if PICTURES_DIR.value else model.folder
    return folder / source.variant(stem, suffix, *named)
