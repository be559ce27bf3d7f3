"""Say the bits/dim of a trained model, with its standard error.

    python -m launch.evaluate --output_dir=runs/digits
    python -m launch.evaluate --output_dir=runs/digits --split=validation --importance_samples=20

One sample of dequantisation noise for an image bounds its probability from below; more of them, by
--importance_samples, bound it tighter. The figure is that of the run's best checkpoint.
"""

from __future__ import annotations

import keras
from absl import flags

from launch import run
from tfp_realnvp import evaluation

_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "The images to evaluate on.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Images in a batch.", lower_bound=1)
_IMPORTANCE_SAMPLES = flags.DEFINE_integer(
    "importance_samples", 1, "Noise samples for each image, k of the importance bound.", lower_bound=1
)


def main() -> None:
    preset = run.trained_preset()
    images = run.load_images(preset)
    distribution = run.trained_distribution(preset)
    batches = images.evaluation_batches(_SPLIT.value, _BATCH_SIZE.value)
    bar = keras.utils.Progbar(images.num_examples(_SPLIT.value), unit_name="image", stateful_metrics=["bits_per_dim"])
    result = evaluation.evaluate(
        distribution,
        batches,
        levels=preset.levels,
        importance_samples=_IMPORTANCE_SAMPLES.value,
        seed=run.SEED.value,
        jit_compile=run.jit_compile(),
        progress=lambda so_far: bar.update(so_far.num_examples, [("bits_per_dim", so_far.bits_per_dim)]),
    )
    print(f"{images.name} {_SPLIT.value}: {result}")


if __name__ == "__main__":
    run.start(main)
