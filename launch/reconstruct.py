"""Reconstruct images from their coarser latents alone: conceptual compression.

    python -m launch.reconstruct --output_dir=runs/mnist --data_dir=DIR
    python -m launch.reconstruct --saved_model=mnist --data_dir=DIR \\
      --fill=zeros --output_file=zeros.png

Each row keeps the latents that are final at one scale or a coarser one, and replaces all others by noise or zeros.
Writes reconstruction.png into --pictures_dir. The images are drawn from --split with --seed.
"""

from __future__ import annotations

from absl import flags

from launch import pictures, reconstruction_rows, run, source
from tfp_realnvp import evaluation, flows

_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "Split from which the images are drawn.")
_COUNT = flags.DEFINE_integer("count", 10, "Number of images, one per column.", lower_bound=1)
_FILL = flags.DEFINE_enum("fill", "noise", evaluation.FILLS, "Replacement for the latents that are not kept.")


def main() -> None:
    model = source.open_image_model()
    source.check_normal(model, "latents that are replaced")
    try:
        orders = flows.split_orders(model.distribution.flow)
    except ValueError as error:
        raise run.UsageError(str(error)) from error
    if not orders:
        raise run.UsageError("expected a model with several scales, got one with a single scale")
    pixels, labels = source.some_examples(model, _SPLIT.value, _COUNT.value)
    progress = source.progress((len(orders) + 1) * _COUNT.value)
    rows, names = reconstruction_rows.draw(model, orders, pixels, labels, fill=_FILL.value, progress=progress)
    path = pictures.path(model, "reconstruction", ".png")
    evaluation.save_picture(path, evaluation.labelled_grid(rows, names, levels=model.levels))
    source.wrote(path)


if __name__ == "__main__":
    run.start(main)
