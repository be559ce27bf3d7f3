"""Compress images losslessly into a file, by the density of a saved model.

    python -m launch.pack --saved_model=cifar10 --images=FOLDER \\
        --output_file=images.nvp
    python -m launch.unpack --saved_model=cifar10 --input_file=images.nvp \\
        --output_dir=FOLDER

The images are the files of a folder and of the folders in it, of the model's size. Their names are kept, their formats
are not: `launch.unpack` writes PNG files with the same pixels. Files of several frames or pages, or of colours other
than grey and RGB, are refused. Files that are no images are left out: a warning names them.

The file needs the same model, and a machine that computes the same numbers: it says so and refuses where it would be
decoded to something else.
"""

from __future__ import annotations

import pathlib

import numpy as np
from absl import flags

from launch import arguments, data_flags, lossless_model, outputs, pack_input, run, score_input, source
from tfp_realnvp import lossless, paths, storage
from tfp_realnvp.data.image_file import Decoder

_IMAGES = arguments.DEFINE_path("images", None, "Folder of the images.", required=True)
_OUTPUT_FILE = arguments.DEFINE_path("output_file", None, "File to write.", required=True)
_VERIFY = flags.DEFINE_bool(
    "verify", True, "Whether to decode each batch, too: one that would not come back is stored as pixels."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Number of images coded together.", lower_bound=1)


def main() -> None:
    outputs.check(_OUTPUT_FILE.value, f"folder:{_IMAGES.value}")
    model = lossless_model.opened()
    shape = tuple(model.distribution.event_shape.as_list())
    names: list[str] = []
    parts: list[np.ndarray] = []
    for batch in score_input.folder(_IMAGES.value, shape, Decoder(flatten_alpha=data_flags.FLATTEN_ALPHA.value)):
        for row, fault in batch.faults.items():
            raise run.UsageError(f"{batch.ids[row]}: {fault.reason}")
        for name in batch.ids:
            pack_input.check(paths.local(_IMAGES.value) / name, name)
        names += [str(name) for name in batch.ids]
        parts.append(np.asarray(batch.events))
    images = np.concatenate(parts)
    try:
        content = lossless.pack(
            model,
            images,
            names=names,
            batch_size=_BATCH_SIZE.value,
            verify=_VERIFY.value,
            progress=source.progress(len(images), "image"),
        )
    except (TypeError, ValueError) as error:
        raise run.UsageError(str(error)) from error
    path = pathlib.Path(_OUTPUT_FILE.value)
    storage.write(path, content)
    bits = 8 * len(content) / images.size
    print(f"Wrote {path}: {len(images):,} images, {len(content):,} bytes, {bits:.3f} bits per dimension")


if __name__ == "__main__":
    run.start(main)
