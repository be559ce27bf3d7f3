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

from launch import run
from tfp_realnvp import data, evaluation, serving
from tfp_realnvp.flows import FlowDistribution

_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "The images to evaluate on.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Images in a batch.", lower_bound=1)
_IMPORTANCE_SAMPLES = flags.DEFINE_integer(
    "importance_samples", 1, "Noise samples for each image, k of the importance bound.", lower_bound=1
)
_SAVED_MODEL = flags.DEFINE_string(
    "saved_model", None, "An exported model, NAME/VERSION or NAME for its highest version, instead of a run's folder."
)


def main() -> None:
    images, distribution = _of_run() if _SAVED_MODEL.value is None else _of_export(_SAVED_MODEL.value)
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


def _of_export(path: str) -> tuple[data.ImageData | data.VectorData, FlowDistribution]:
    try:
        version = serving.version_path(path)
        about = serving.describe(version)
    except FileNotFoundError as error:
        raise run.UsageError(str(error)) from error
    if run.DATASET.value is None and "dataset" not in about:
        raise run.UsageError(f"expected a --dataset, for {version} does not name the images it saw")
    name = run.DATASET.value or about["dataset"]
    if data.is_table(name):
        images = run.open_table(name)
        if list(images.shape) != about["event_shape"]:
            shape = tuple(about["event_shape"])
            raise run.UsageError(f"expected vectors of shape {shape}, got {name} of {images.shape}")
    else:
        images = run.load_images(name, about["event_shape"], about["levels"], about.get("labels"))
    print(f"Reading {version}", flush=True)
    return images, serving.load(version)


if __name__ == "__main__":
    run.start(main)
