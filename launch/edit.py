"""Change the labels of images with a model trained with --conditional.

    python -m launch.edit --output_dir=runs/mnist_labels --data_dir=DIR

Each image is encoded with its own label and decoded with every label: one row per image, one column per label.
Properties stored in the latent are kept, such as the slant and stroke width of digits. Writes edit.png into
--pictures_dir. The images are drawn from --split with --seed.
"""

from __future__ import annotations

import numpy as np
from absl import flags

import launch
from launch import arguments, pictures, run, source
from tfp_realnvp import evaluation

_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "Split from which the images are drawn.")
_COUNT = flags.DEFINE_integer("count", 8, "Number of images, one per row.", lower_bound=1)
_LABEL = arguments.DEFINE_label("Class of the images; by default any.")


def main() -> None:
    model = source.open_image_model()
    if model.classes is None:
        raise run.UsageError(
            f"expected a conditional model, got an unconditional one: train one with {launch.call}train --conditional"
        )
    pixels, labels = source.some_examples(model, _SPLIT.value, _COUNT.value, _LABEL.value)
    edited = evaluation.change_labels(
        model.distribution,
        source.dequantized(model, pixels),
        labels,
        model.classes,
        jit_compile=run.jit_compile(),
        progress=source.progress(_COUNT.value * model.classes),
    )
    rows = np.concatenate([pixels[:, np.newaxis], edited], 1)
    classes = source.names_of_classes(model)
    names = [f"label {classes[label]}" for label in labels]
    columns = ["image", *classes]
    path = pictures.path(model, "edit", ".png")
    evaluation.save_picture(path, evaluation.labelled_grid(rows, names, columns, model.levels))
    source.wrote(path)


if __name__ == "__main__":
    run.start(main)
