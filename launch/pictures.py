"""Where the programs that draw put their pictures."""

from __future__ import annotations

import pathlib

from launch import arguments, source

PICTURES_DIR = arguments.DEFINE_path(
    "pictures_dir",
    None,
    "Folder of the pictures. By default the run's, or the working directory for an export. Their names carry the "
    "export, and flags that are not as by default.",
)
OUTPUT_FILE = arguments.DEFINE_path("output_file", None, "File of the picture, instead of one in --pictures_dir.")


def path(model: source.Source, stem: str, suffix: str, *named: str) -> pathlib.Path:
    """The file that was asked for, or one in `--pictures_dir` whose name carries what was drawn.

    Args:
      model: the model that draws.
      stem: of `source.variant`, as are the rest.
      suffix: the kind of file.
      *named: flags.
    """
    if OUTPUT_FILE.value is not None:
        return pathlib.Path(OUTPUT_FILE.value)
    folder = pathlib.Path(PICTURES_DIR.value) if PICTURES_DIR.value else model.folder
    return folder / source.variant(stem, suffix, *named)
