"""Draw interpolations between encoded images: a surface through four, and linear and spherical paths between two.

    python -m launch.interpolate --output_dir=runs/mnist --data_dir=DIR
    python -m launch.interpolate --saved_model=mnist --data_dir=DIR \\
      --pictures_dir=pictures

Writes into --pictures_dir:

    manifold.png       cos(phi) (cos(phi') z1 + sin(phi') z2)
                       + sin(phi) (cos(phi') z3 + sin(phi') z4), decoded
    interpolation.png  linear and spherical paths from the first to the second
    interpolation.gif  the spherical path through all four and back

The images are drawn from --split with --seed; for a conditional model they have one class, --label.
"""

from __future__ import annotations

import numpy as np
from absl import flags

from launch import arguments, pictures, run, source
from tfp_realnvp import evaluation

_SPLIT = flags.DEFINE_enum(
    "split", "test", ["train", "validation", "test"], "Split from which the four images are drawn."
)
_LABEL = arguments.DEFINE_label("Class of the images of a conditional model; by default the first.")
_ANGLES = flags.DEFINE_integer(
    "angles", 8, "Number of angles from 0 to 2 pi on each side of the surface.", lower_bound=2
)
_POINTS = flags.DEFINE_integer("points", 11, "Number of images from the first to the second, inclusive.", lower_bound=2)
_FRAMES = flags.DEFINE_integer(
    "frames", 12, "Number of frames from one image to the next in the animation.", lower_bound=1
)


def main() -> None:
    if pictures.OUTPUT_FILE.value is not None:
        raise run.UsageError("expected --pictures_dir for three pictures, got --output_file")
    model = source.open_image_model()
    source.check_normal(model, "interpolations")
    label = _LABEL.value if model.classes is None else _LABEL.value or 0
    pixels, labels = source.some_examples(model, _SPLIT.value, 4, label)
    z = source.encode(model, pixels, labels)
    angles = np.arange(_ANGLES.value) * 2 * np.pi / _ANGLES.value
    t = np.linspace(0, 1, _POINTS.value)
    ways = {"linear": evaluation.linear(z[0], z[1], t), "spherical": evaluation.spherical(z[0], z[1], t)}
    parts = [
        evaluation.manifold(z, angles, angles).reshape(-1, *z.shape[1:]),
        *ways.values(),
        evaluation.tour(z, _FRAMES.value),
    ]
    everything = np.concatenate(parts)
    decoded = source.decode(
        model,
        everything,
        source.labels_in_turn(model, len(everything), label),
        progress=source.progress(len(everything)),
    )
    surface, *others, motion = np.split(decoded, np.cumsum([len(part) for part in parts])[:-1])
    degrees = [f"{angle:.0f}°" for angle in np.degrees(angles)]
    rows = surface.reshape(_ANGLES.value, _ANGLES.value, *model.shape)
    picture = evaluation.labelled_grid(rows, [f"phi {name}" for name in degrees], degrees, model.levels)
    _write(model, "manifold", picture)
    picture = evaluation.labelled_grid(others, list(ways), [f"{part:.2g}" for part in t], model.levels)
    _write(model, "interpolation", picture)
    path = pictures.path(model, "interpolation", ".gif")
    evaluation.save_animation(path, motion, model.levels)
    source.wrote(path)


def _write(model: source.Source, stem: str, picture: np.ndarray) -> None:
    path = pictures.path(model, stem, ".png")
    evaluation.save_picture(path, picture)
    source.wrote(path)


if __name__ == "__main__":
    run.start(main)
