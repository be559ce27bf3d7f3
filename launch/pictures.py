"""The output files of programs that draw pictures."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from launch import arguments, outputs, run, source

PICTURES_DIR = arguments.DEFINE_path(
    "pictures_dir",
    None,
    "Folder for pictures. By default the run's folder, or the working directory for an export. File names include the "
    "export and flags with non-default values.",
)
OUTPUT_FILE = arguments.DEFINE_path("output_file", None, "File for the picture, instead of one in --pictures_dir.")


def path(model: source.Source, stem: str, suffix: str, *named: str, inputs: Sequence[str | None] = ()) -> pathlib.Path:
    """The requested file, or one in `--pictures_dir` whose name describes the picture; not one that is an input.

    Args:
      model: the model that draws.
      stem: as in `source.variant`, like the other arguments.
      suffix: the file's suffix.
      *named: flags.
      inputs: as in `outputs.check`, besides the data of the model.
    """
    folder = pathlib.Path(PICTURES_DIR.value) if PICTURES_DIR.value else model.folder
    file = pathlib.Path(OUTPUT_FILE.value or folder / source.variant(stem, suffix, *named))
    outputs.check(file, *inputs, run.DATASET.value or model.dataset)
    return file
