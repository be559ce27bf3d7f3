"""Draw images or vectors from a trained model.

    python -m launch.sample --output_dir=runs/digits --count=100 --seed=1

Writes OUTPUT_DIR/samples-SEED.png, or .csv of vectors. The same seed and batch size draw the same images.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from absl import flags

from launch import run
from tfp_realnvp import evaluation

_COUNT = flags.DEFINE_integer("count", 100, "Number of images.", lower_bound=1)
_COLUMNS = flags.DEFINE_integer(
    "columns", None, "Images in a row; by default the picture is about square.", lower_bound=1
)
_LABEL = flags.DEFINE_integer(
    "label", None, "Class of the images, of a model trained with --conditional; by default all in turn.", lower_bound=0
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Images drawn at a time.", lower_bound=1)


def main() -> None:
    preset = run.trained_preset()
    distribution = run.trained_distribution(preset)
    given = run.contexts(preset, _BATCH_SIZE.value, _LABEL.value)
    draw = tf.function(
        lambda batch: distribution.sample(_BATCH_SIZE.value, seed=tf.stack([run.SEED.value, batch]), **given),
        jit_compile=run.jit_compile(),
    )
    batches = -(-_COUNT.value // _BATCH_SIZE.value)
    images = np.concatenate([draw(tf.constant(batch)) for batch in range(batches)])[: _COUNT.value]
    if images.ndim == 2:
        path = run.output_dir() / f"samples-{run.SEED.value}.csv"
        np.savetxt(path, images, delimiter=",", fmt="%.7g")
        print(f"Wrote {path}")
        return
    path = run.output_dir() / f"samples-{run.SEED.value}.png"
    evaluation.save_image_grid(path, images, _COLUMNS.value, levels=preset.levels)
    print(f"Wrote {path}")


if __name__ == "__main__":
    run.start(main)
