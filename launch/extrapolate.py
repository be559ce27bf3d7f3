"""Draw samples that are larger than the training images.

    python -m launch.extrapolate --output_dir=runs/cifar10
    python -m launch.extrapolate --saved_model=mnist \\
      --factors=2,4,10 --output_file=larger.png

Masks and networks do not depend on the image size, so latents of a larger shape decode to larger images. The first row
shows images of the training size, the next rows one factor each, at the same magnification. Writes
extrapolation-SEED.png into --pictures_dir.
"""

from __future__ import annotations

import numpy as np
from absl import flags

from launch import arguments, pictures, run, source
from tfp_realnvp import evaluation

_FACTORS = flags.DEFINE_list("factors", ["2", "10"], "Factors by which height and width exceed the training size.")
_TEMPERATURE = flags.DEFINE_float("temperature", 1.0, "Scale of the latents.", lower_bound=0)
_LABEL = arguments.DEFINE_label("Class of the images, of a conditional model; by default all in turn.")
_MAGNIFY = flags.DEFINE_integer("magnify", 2, "Integer magnification of pixels.", lower_bound=1)


def main() -> None:
    factors = _factors()
    if not _TEMPERATURE.value < np.inf:  # False for NaN, too.
        raise run.UsageError(f"expected --temperature to be a number, got {_TEMPERATURE.value}")
    model = source.open_image_model()
    source.check_normal(model, "larger latents")
    # Rows have about the same width.
    counts = [max(factors) // factor for factor in factors]
    rows, names = [], []
    progress, drawn = source.progress(sum(counts)), 0
    for factor, count in zip(factors, counts, strict=True):
        seed = (run.SEED.value, factor)
        z = evaluation.draw_latents(model.distribution, count, seed=seed, factor=factor, temperature=_TEMPERATURE.value)
        labels = source.labels_in_turn(model, count, _LABEL.value)
        # A batch takes about as much memory as a hundred images of the training size.
        size = max(100 // factor**2, 1)
        shown = lambda done, before=drawn: progress(before + done)  # noqa: E731
        rows.append(source.decode(model, z, labels, batch_size=size, progress=shown))
        names.append(f"{factor}x, {z.shape[1]}x{z.shape[2]}")
        drawn += count
    path = pictures.path(model, f"extrapolation-{run.SEED.value}", ".png", "seed")
    evaluation.save_picture(path, evaluation.labelled_grid(rows, names, levels=model.levels, magnify=_MAGNIFY.value))
    source.wrote(path)


def _factors() -> list[int]:
    """The factors, starting with 1 for the training size."""
    try:
        factors = [int(factor) for factor in _FACTORS.value]
    except ValueError:
        factors = []
    if not factors or min(factors) < 1:
        raise run.UsageError(f"expected --factors to be whole numbers such as 2,10, got {','.join(_FACTORS.value)}")
    return sorted({1, *factors})


if __name__ == "__main__":
    run.start(main)
