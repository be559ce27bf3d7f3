"""Write the images of a file by `launch.pack` as PNG files.

    python -m launch.unpack --saved_model=cifar10 --input_file=images.nvp \\
        --output_dir=FOLDER

It needs the model that packed the file, and a machine that computes the same numbers. A file that is damaged, or that
would be decoded to other pixels, is refused; so is a folder that is not empty.
"""

from __future__ import annotations

import pathlib

from launch import arguments, lossless_model, png, run, source
from tfp_realnvp import lossless, storage

_INPUT_FILE = arguments.DEFINE_path("input_file", None, "File by launch.pack.", required=True)


def main() -> None:
    if run.OUTPUT_DIR.value is None:
        raise run.UsageError("expected --output_dir, a folder for the images, got none")
    file, folder = pathlib.Path(_INPUT_FILE.value), pathlib.Path(run.OUTPUT_DIR.value)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise run.UsageError(f"expected a new or empty folder, got {folder}")
    try:
        content = file.read_bytes()
        packed = lossless.Packed.from_bytes(content)
        count = packed.coded.first + sum(map(abs, packed.coded.batches))
        images = lossless.unpack(lossless_model.opened(), content, progress=source.progress(count, "image"))
    except (OSError, lossless.PackError) as error:
        raise run.UsageError(f"{file}: {error}") from error
    if images.shape[-1] > 4:
        raise run.UsageError(f"{file}: expected images of 1 to 4 channels for PNG files, got {images.shape[-1]}")
    try:
        names = png.names_of(packed.names or [f"{i:06}" for i in range(count)])
    except ValueError as error:
        raise run.UsageError(f"{file}: {error}") from error
    for name, pixels in zip(names, images, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        storage.write(path, png.encoded(pixels))
    print(f"Wrote {count:,} images to {folder}")


if __name__ == "__main__":
    run.start(main)
