"""Say the bits/dim of a trained model, or the log-likelihood of one of vectors, with its standard error.

    python -m launch.evaluate --output_dir=runs/digits
    python -m launch.evaluate --output_dir=runs/digits --split=validation --importance_samples=20
    python -m launch.evaluate --saved_model=saved_models/digits/1

One sample of dequantisation noise for an image bounds its probability from below; more of them, by
--importance_samples, bound it tighter. The figure is that of the run's best checkpoint, or of an exported model.
"""

from __future__ import annotations

import keras
from absl import flags

from launch import run, source
from tfp_realnvp import data, evaluation
from tfp_realnvp.flows import FlowDistribution

_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "The images to evaluate on.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Images in a batch.", lower_bound=1)
_IMPORTANCE_SAMPLES = flags.DEFINE_integer(
    "importance_samples", 1, "Noise samples for each image, k of the importance bound.", lower_bound=1
)


def main() -> None:
    images, distribution = _of_run() if source.SAVED_MODEL.value is None else _of_export()
    batches = images.evaluation_batches(_SPLIT.value, _BATCH_SIZE.value)
    if len(images.shape) == 1:
        if _IMPORTANCE_SAMPLES.value > 1:
            raise run.UsageError("expected images for --importance_samples, got vectors, which have no noise")
        result = evaluation.log_likelihood(distribution, batches, jit_compile=run.jit_compile())
        print(f"{images.name} {_SPLIT.value}: {result}")
        return
    bar = keras.utils.Progbar(images.num_examples(_SPLIT.value), unit_name="image", stateful_metrics=["bits_per_dim"])
    result = evaluation.evaluate(
        distribution,
        batches,
        levels=images.levels,
        labels=images.classes,
        importance_samples=_IMPORTANCE_SAMPLES.value,
        seed=run.SEED.value,
        jit_compile=run.jit_compile(),
        progress=lambda so_far: bar.update(so_far.num_examples, [("bits_per_dim", so_far.bits_per_dim)]),
    )
    print(f"{images.name} {_SPLIT.value}: {result}")


def _of_run() -> tuple[data.ImageData | data.VectorData, FlowDistribution]:
    preset = run.trained_preset()
    images = run.load_data(preset)
    return images, run.trained_distribution(preset)


def _of_export() -> tuple[data.ImageData | data.VectorData, FlowDistribution]:
    model = source.open_model()
    return source.open_data(model), model.distribution


if __name__ == "__main__":
    run.start(main)
