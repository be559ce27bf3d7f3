"""What a run of `launch.train` leaves when it is done: figures beside baselines, samples, the SavedModel."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from typing import Any

import tensorflow as tf

import tfp_realnvp as nvp
from launch import run
from tfp_realnvp import data, evaluation, presets, serving, storage

BATCH_SIZE = 100


def write(
    preset: presets.Preset, given: data.ImageData | data.VectorData, folder: pathlib.Path
) -> tuple[float | None, str]:
    """Evaluates the best checkpoint beside the baselines; writes samples, figures and the SavedModel.

    Returns:
      By how much it beats the better baseline, None where there is none, and in what unit.
    """
    if len(preset.event_shape) == 1:
        return _of_vectors(preset, given, run.trained_distribution(preset), folder)
    dequantizer = preset.build_dequantizer()
    return _of_images(preset, given, run.trained_distribution(preset, dequantizer), dequantizer, folder)


def images_alone(preset: presets.Preset, batches: tf.data.Dataset) -> tf.data.Dataset:
    """Batches of images, of what may have labels beside them."""
    return batches if preset.classes is None else batches.map(lambda images, labels: images)


def _of_images(
    preset: presets.Preset,
    images: data.ImageData,
    distribution: nvp.FlowDistribution,
    dequantizer: nvp.Dequantizer | None,
    folder: pathlib.Path,
) -> tuple[float, str]:
    batches = {split: images.evaluation_batches(split, BATCH_SIZE) for split in ("train", "test")}
    alone = {split: images_alone(preset, part) for split, part in batches.items()}
    levels = preset.levels
    print(f"Evaluating on {images.num_examples('test'):,} test images", flush=True)

    def evaluated(dequantizer: nvp.Dequantizer | None) -> evaluation.Evaluation:
        return evaluation.evaluate(
            distribution,
            batches["test"],
            levels=levels,
            classes=preset.classes,
            dequantizer=dequantizer,
            seed=run.SEED.value,
            jit_compile=run.jit_compile(),
        )

    if dequantizer is None:
        ours = {preset.title: evaluated(None)}
    else:
        ours = {
            f"{preset.title}, variational dequantisation": evaluated(dequantizer),
            f"{preset.title}, uniform dequantisation": evaluated(None),
        }
    baselines = {
        "independent pixel histogram": evaluation.histogram_bits_per_dim(alone["train"], alone["test"], levels),
    }
    try:
        baselines["full-covariance Gaussian of the logits"] = evaluation.gaussian_bits_per_dim(
            alone["train"], alone["test"], levels, alpha=preset.all_options["alpha"], seed=run.SEED.value
        )
    except evaluation.NoBaselineError as error:
        print(f"Skipping the Gaussian baseline: {error}")
    rows = ours | baselines
    print(f"\n{f'test bits/dim on {images.name}':42}{'bits/dim':>10}{'+-':>10}")
    for name, row in rows.items():
        print(f"{name:42}{row.bits_per_dim:10.4f}{row.standard_error:10.4f}")
    _print_published(preset)

    given = run.contexts(preset, 64)
    samples = tf.function(lambda: distribution.sample(64, seed=(run.SEED.value, 0), **given))()
    with storage.replacing(folder / "samples.png") as path:
        evaluation.save_image_grid(path, samples, levels=levels)
    _write(preset, images, distribution, rows, folder, "samples.png")
    better = min(row.bits_per_dim for row in baselines.values())
    return better - next(iter(ours.values())).bits_per_dim, "bits/dim under the better baseline"


def _of_vectors(
    preset: presets.Preset, vectors: data.VectorData, distribution: nvp.FlowDistribution, folder: pathlib.Path
) -> tuple[float | None, str]:
    """In nats, in the units of the data."""
    batches = {split: vectors.evaluation_batches(split, BATCH_SIZE) for split in ("train", "test")}
    print(f"Evaluating on {vectors.num_examples('test'):,} test vectors", flush=True)
    ours = evaluation.log_likelihood(distribution, batches["test"], jit_compile=run.jit_compile())
    rows, margin = {preset.title: ours}, None
    try:
        gaussian = evaluation.gaussian_log_likelihood(batches["train"], batches["test"])
        rows["full-covariance Gaussian"], margin = gaussian, ours.nats - gaussian.nats
    except evaluation.NoBaselineError as error:
        print(f"Skipping the Gaussian baseline: {error}")
    print(f"\n{'test log-likelihood':42}{'nats':>10}{'+-':>10}")
    for name, row in rows.items():
        print(f"{name:42}{row.nats:10.4f}{row.standard_error:10.4f}")
    _print_published(preset)
    samples = tf.function(lambda: distribution.sample(1000, seed=(run.SEED.value, 0)))()
    data.write_csv(folder / "samples.csv", samples, vectors.columns)
    _write(preset, vectors, distribution, rows, folder, "samples.csv")
    return margin, "nats over the Gaussian"


def _write(
    preset: presets.Preset,
    given: data.ImageData | data.VectorData,
    distribution: nvp.FlowDistribution,
    rows: dict[str, Any],
    folder: pathlib.Path,
    samples: str,
) -> None:
    """Writes the figures and the SavedModel, and says what the folder holds."""
    results = {name: dataclasses.asdict(row) for name, row in rows.items()}
    storage.write(folder / "results.json", storage.to_json(results, indent=2) + "\n")
    metadata = {"dataset": given.name, "preset": run.PRESET.value, "command": run.command_line(sys.argv)}
    metadata |= run.identity(given)
    with storage.replacing(folder / "saved_model") as path:
        serving.save(distribution, path, classes=preset.classes, metadata=metadata)
    print("\nWrote:")
    written = ("results.json", "config.json", "metrics.jsonl", "checkpoints", "tensorboard")
    for name in (samples, *written, "saved_model"):
        print(f"  {folder / name}")


def published(ours: presets.Preset, papers: presets.Preset) -> dict[str, float]:
    """The paper's figure by the name of its row, where a model has the paper's data and flow."""
    if (ours.dataset, ours.flow) != (papers.dataset, papers.flow):
        return {}
    return {} if papers.published is None else {f"{papers.title} as published": papers.published}


def _print_published(preset: presets.Preset) -> None:
    for name, figure in published(preset, presets.get(run.PRESET.value)).items():
        print(f"{name:42}{figure:10.2f}")
