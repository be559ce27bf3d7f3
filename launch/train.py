"""Train a Real NVP on images and say its bits/dim.

With no flags, trains on the digits that come with the package:

    python -m launch.train

Any setting of a preset may be overridden, on the command line or in a file:

    python -m launch.train --flagfile=launch/flagfiles/cifar10.flags --data_dir=DIR --output_dir=OUT
    python -m launch.train --preset=mnist --width=8 --epochs=3 --data_dir=DIR
    python -m launch.train --preset=imagenet64 --describe

A run that was interrupted goes on where it stopped when started again with the same flags. OUT holds config.json,
checkpoints/, tensorboard/, and at the end samples.png, results.json and saved_model/.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import pathlib
import shutil
import subprocess
import sys
import time
from typing import Any

import keras
import tensorflow as tf
from absl import flags

import tfp_realnvp as nvp
from launch import run
from tfp_realnvp import data, evaluation, presets, serving, training

_OVERRIDES = {
    "epochs": flags.DEFINE_integer(
        "epochs", None, "Passes over the data in all, those of an interrupted run included.", lower_bound=1
    ),
    "batch_size": flags.DEFINE_integer("batch_size", None, "Images in a step.", lower_bound=1),
    "learning_rate": flags.DEFINE_float("learning_rate", None, "Learning rate of Adam.", lower_bound=0),
    "l2": flags.DEFINE_float("l2", None, "Weight of the L2 term on weight-norm magnitudes and gains.", lower_bound=0),
    "clip_norm": flags.DEFINE_float("clip_norm", None, "Largest global norm of the gradient.", lower_bound=0),
    "flip": flags.DEFINE_bool("flip", None, "Whether to flip training images at random."),
    "scales": flags.DEFINE_integer("scales", None, "Number of scales.", lower_bound=1),
    "width": flags.DEFINE_integer("width", None, "Channels of the networks at the first scale.", lower_bound=1),
    "blocks": flags.DEFINE_integer("blocks", None, "Residual blocks of each network.", lower_bound=0),
    "rho": flags.DEFINE_float("rho", None, "Running average of the flow's batch norm, for small batches.", 0, 1),
}
_DESCRIBE = flags.DEFINE_bool("describe", False, "Print the architecture and leave.")
_CHECKPOINT_EVERY = flags.DEFINE_integer("checkpoint_every", 500, "Steps between two checkpoints.", lower_bound=1)
_SAMPLE_EVERY = flags.DEFINE_integer("sample_every", 1, "Epochs between two pictures in TensorBoard.", lower_bound=1)
_PATIENCE = flags.DEFINE_integer(
    "patience", None, "Stop after this many epochs without a better validation loss. By default never.", lower_bound=1
)
_REQUIRE_MARGIN = flags.DEFINE_float(
    "require_margin", None, "Fail unless the test bits/dim is this much under both baselines."
)
_VERBOSE = flags.DEFINE_integer("verbose", 1, "0: silent, 1: a progress bar, 2: a line for each epoch.", 0, 2)

_EVALUATION_BATCH = 100


def main() -> None:
    preset, images = _preset_and_images()
    distribution = run.build(preset)
    print(nvp.summary(distribution), flush=True)
    if _DESCRIBE.value:
        return
    images = images or run.load_images(preset)
    try:
        _training_batches(preset, images, epoch=0, skip=0)
    except ValueError as error:
        raise run.UsageError(str(error)) from error
    folder = run.output_dir()
    training.claim(folder, _config(preset))
    started = time.monotonic()
    _train(preset, distribution, images, folder)
    print(f"Trained for {time.monotonic() - started:.0f} s")
    _report(preset, images, folder)


def _preset_and_images() -> tuple[presets.Preset, data.ImageData | None]:
    """The preset with what the flags override; another data set brings its own shape and levels."""
    given = {name: flag.value for name, flag in _OVERRIDES.items() if flag.value is not None}
    preset = dataclasses.replace(presets.get(run.PRESET.value), **given)
    if run.DATASET.value in (None, preset.dataset):
        return preset, None
    images = run.open_images(run.DATASET.value)
    return dataclasses.replace(preset, dataset=images.name, event_shape=images.shape, levels=images.levels), images


def _config(preset: presets.Preset) -> dict[str, Any]:
    """What makes a run: what it shares with its continuation, and where it came from."""
    settings = dataclasses.asdict(preset)
    free = {name: settings.pop(name) for name in ("epochs", "notes", "published_bits_per_dim")}
    packages = ("tensorflow", "tensorflow-probability", "keras", "tensorflow-datasets")
    return {
        "preset": run.PRESET.value,
        "model": {**settings, "seed": run.SEED.value},
        "epochs": free["epochs"],
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "commit": _commit(),
        "command": sys.argv,
    }


def _commit() -> str | None:
    """The commit of this program, where it lies in a git checkout and there is a git to ask."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, cwd=pathlib.Path(__file__).parent)
    except OSError:
        return None
    return found.stdout.strip() or None


def _train(
    preset: presets.Preset, distribution: nvp.FlowDistribution, images: data.ImageData, folder: pathlib.Path
) -> None:
    seed = run.SEED.value
    model = training.FlowModel(
        distribution, levels=preset.levels, l2=preset.l2, clip_norm=preset.clip_norm, seed=seed
    )
    model.compile(training.Adam(preset.learning_rate), jit_compile=run.jit_compile())
    validation = images.evaluation_batches("validation", _EVALUATION_BATCH)
    some = nvp.dequantize(next(iter(validation))[:16], seed=(seed, 0), levels=preset.levels)
    callbacks = [
        keras.callbacks.TensorBoard(str(folder / "tensorboard"), write_graph=False),
        evaluation.SampleGrid(
            folder / "tensorboard", some, levels=preset.levels, every=_SAMPLE_EVERY.value, seed=seed
        ),
    ]
    if _PATIENCE.value is not None:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=_PATIENCE.value))
    training.train(
        model,
        lambda epoch, skip: _training_batches(preset, images, epoch, skip),
        epochs=preset.epochs,
        validation_batches=validation,
        output_dir=folder,
        checkpoint_every=_CHECKPOINT_EVERY.value,
        callbacks=callbacks,
        verbose=_VERBOSE.value,
    )


def _training_batches(preset: presets.Preset, images: data.ImageData, epoch: int, skip: int) -> tf.data.Dataset:
    return images.training_batches(preset.batch_size, seed=run.SEED.value, epoch=epoch, flip=preset.flip, skip=skip)


def _report(preset: presets.Preset, images: data.ImageData, folder: pathlib.Path) -> None:
    """Evaluates the best checkpoint beside the baselines; writes pictures, figures and the SavedModel."""
    distribution = run.trained_distribution(preset)
    batches = {split: images.evaluation_batches(split, _EVALUATION_BATCH) for split in ("train", "test")}
    levels = preset.levels
    print(f"Evaluating on {images.num_examples('test'):,} test images", flush=True)
    rows = {
        "Real NVP": evaluation.evaluate(
            distribution, batches["test"], levels=levels, seed=run.SEED.value, jit_compile=run.jit_compile()
        ),
        "independent pixel histogram": evaluation.histogram_bits_per_dim(batches["train"], batches["test"], levels),
        "full-covariance Gaussian of the logits": evaluation.gaussian_bits_per_dim(
            batches["train"], batches["test"], levels, alpha=preset.alpha, seed=run.SEED.value
        ),
    }
    print(f"\n{f'test bits/dim on {images.name}':42}{'bits/dim':>10}{'+-':>10}")
    for name, row in rows.items():
        print(f"{name:42}{row.bits_per_dim:10.4f}{row.standard_error:10.4f}")
    if preset.published_bits_per_dim is not None:
        print(f"{'Real NVP as published':42}{preset.published_bits_per_dim:10.2f}")

    samples = tf.function(lambda: distribution.sample(64, seed=(run.SEED.value, 0)))()
    evaluation.save_image_grid(folder / "samples.png", samples, levels=levels)
    results = {name: dataclasses.asdict(row) for name, row in rows.items()}
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    shutil.rmtree(folder / "saved_model", ignore_errors=True)  # That of an earlier part of this run.
    serving.save(distribution, folder / "saved_model", levels=levels)
    print("\nWrote:")
    for name in ("samples.png", "results.json", "config.json", "checkpoints", "tensorboard", "saved_model"):
        print(f"  {folder / name}")
    ours, *baselines = (row.bits_per_dim for row in rows.values())
    margin = min(baselines) - ours
    print(f"{margin:.3f} bits/dim under the better baseline")
    if _REQUIRE_MARGIN.value is not None and not margin >= _REQUIRE_MARGIN.value:
        raise run.UsageError(f"expected a margin of {_REQUIRE_MARGIN.value} bits/dim, got {margin:.3f}")


if __name__ == "__main__":
    run.start(main)
