"""The results of a finished run of `launch.train`: scores with baselines, samples, the SavedModel."""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

import numpy as np
import tensorflow as tf

import tfp_realnvp as nvp
from launch import arguments, run
from tfp_realnvp import data, evaluation, presets, serving, storage
from tfp_realnvp.flows import Dequantizer

BATCH_SIZE = 100
# Rows of a table of several types that the baselines see at a time.
_ROWS = 10_000
_FILE = "results.json"


def write(preset: presets.Preset, given: data.Events, folder: pathlib.Path) -> tuple[float | None, str]:
    """Evaluates the best checkpoint and the baselines; writes samples, scores and the SavedModel.

    Returns:
      The margin over the best baseline, negative if it is worse and None without a baseline, and its unit.
    """
    dequantizer = preset.build_dequantizer()
    distribution = run.trained_distribution(preset, dequantizer)
    print(f"Evaluating on {given.num_examples('test'):,} test events", flush=True)
    noises: dict[str, Dequantizer | None] = {preset.title: None}
    if dequantizer is not None:
        both = {"variational": dequantizer, "uniform": None}
        noises = {f"{preset.title}, {how} dequantisation": noise for how, noise in both.items()}
    ours = {
        name: evaluation.evaluate(
            distribution,
            given.evaluation_batches("test", BATCH_SIZE),
            levels=given.levels,
            classes=preset.classes,
            dequantizer=noise,
            columns=preset.columns,
            seed=run.SEED.value,
            jit_compile=run.jit_compile(),
        )
        for name, noise in noises.items()
    }
    baselines = _baselines(preset, given)
    first = next(iter(ours.values()))
    print(f"\n{f'test {first.unit} on {given.name}':42}{first.unit:>10}{'+-':>10}")
    for name, score in (ours | baselines).items():
        print(f"{name:42}{score.mean:10.4f}{score.standard_error:10.4f}")
    for name, figure in published(preset, presets.get(run.PRESET.value)).items():
        print(f"{name:42}{figure:10.2f}")
    margin = min((first.lead_over(baseline) for baseline in baselines.values()), default=None)
    if margin is not None:
        print(f"\n{abs(margin):.3f} {first.unit} {'better' if margin > 0 else 'worse'} than the best baseline")
    samples = _write_samples(preset, given, distribution, folder)
    scores = {name: score.to_json() for name, score in (ours | baselines).items()}
    storage.write(folder / _FILE, storage.to_json(scores, indent=2) + "\n")
    metadata: dict[str, Any] = {
        "dataset": given.name,
        "preset": run.PRESET.value,
        "command": run.command_line(sys.argv),
    }
    metadata |= {"model": preset.settings(), **run.identity(given)}
    with storage.replacing(folder / "saved_model") as path:
        serving.save(
            distribution,
            path,
            dequantizer=dequantizer,
            classes=preset.classes,
            columns=preset.columns,
            metadata=metadata,
        )
    print("\nWrote:")
    for name in (samples, _FILE, "config.json", "metrics.jsonl", "checkpoints", "tensorboard", "saved_model"):
        print(f"  {folder / name}")
    _print_next(folder)
    return margin, first.unit


def _print_next(folder: pathlib.Path) -> None:
    """Three commands to continue with, with this run's paths."""
    given = [f"--output_dir={folder}"]
    with_data = given + [
        f"--{flag.name}={flag.value}" for flag in (run.DATA_DIR, run.HEADER) if flag.present and flag.value is not None
    ]
    print("\nNext:")
    for program, flags in (
        ("report", with_data),
        ("sample", [*given, "--count=100", "--seed=1"]),
        ("export", [*given, f"--export_dir=served/{folder.absolute().name}"]),
    ):
        print(f"  {arguments.typed([program, *flags])}")


def read(folder: pathlib.Path) -> dict[str, evaluation.Score]:
    """The scores written by a finished run, its own first."""
    path = folder / _FILE
    if not path.is_file():
        raise run.UsageError(f"expected a finished run, found no {_FILE} in {folder}")
    try:
        scores = {name: evaluation.Score.from_json(row) for name, row in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError, KeyError, TypeError):  # For a truncated file, or other JSON.
        scores = {}
    if not scores:
        raise run.UsageError(f"expected the scores of a run in {path}, got something else: evaluate the run again")
    return scores


def images_alone(preset: presets.Preset, batches: tf.data.Dataset) -> tf.data.Dataset:
    """Batches of images without labels."""
    return batches if preset.classes is None else batches.map(lambda images, labels: images)


def _baselines(preset: presets.Preset, given: data.Events) -> dict[str, evaluation.Score]:
    size = BATCH_SIZE if given.types is None else _ROWS
    train, test = (images_alone(preset, given.evaluation_batches(split, size)) for split in ("train", "test"))
    scores: dict[str, evaluation.Score] = {}
    try:
        if given.types is not None:
            scores |= evaluation.column_log_likelihoods(given.types, train, test, seed=run.SEED.value)
        elif given.levels is None:
            scores["full-covariance Gaussian"] = evaluation.gaussian_log_likelihood(train, test)
        else:
            scores["independent pixel histogram"] = evaluation.histogram_bits_per_dim(train, test, given.levels)
            scores["full-covariance Gaussian of the logits"] = evaluation.gaussian_bits_per_dim(
                train, test, given.levels, alpha=preset.all_options["alpha"], seed=run.SEED.value
            )
    except evaluation.NoBaselineError as error:
        print(f"Skipping the Gaussian baseline: {error}")
    return scores


def _write_samples(
    preset: presets.Preset, given: data.Events, distribution: nvp.FlowDistribution, folder: pathlib.Path
) -> str:
    """Writes 64 images to a picture, or 1,000 vectors to a CSV file; returns its name."""
    count, context = (1000, {}) if given.levels is None else (64, run.contexts(preset, 64))
    columns, rows = given.types, None
    if columns is not None and columns.context_size is not None:
        # The context of test rows, in turn.
        test = next(given.evaluation_batches("test", count).as_numpy_iterator())
        first = len(columns.columns)
        rows = np.resize(test[:, first : first + len(columns.context)], [count, len(columns.context)])
        context = {"context": columns.context_of(tf.constant(rows))}
    samples = tf.function(lambda: distribution.sample(count, seed=(run.SEED.value, 0), **context))()
    if columns is not None:
        drawn = columns.quantize(samples).numpy()
        drawn = drawn if rows is None else np.concatenate([drawn, rows], axis=1)
        data.write_columns(folder / "samples.csv", columns.decode(drawn))
        return "samples.csv"
    if given.levels is None:
        data.write_csv(folder / "samples.csv", samples, given.columns)
        return "samples.csv"
    with storage.replacing(folder / "samples.png") as path:
        evaluation.save_image_grid(path, samples, levels=given.levels)
    return "samples.png"


def published(ours: presets.Preset, papers: presets.Preset) -> dict[str, float]:
    """The paper's result by the name of its row, if the model has the paper's data, event shape and flow."""
    if (ours.dataset, ours.event_shape, ours.flow) != (papers.dataset, papers.event_shape, papers.flow):
        return {}
    return {} if papers.published is None else {f"{papers.title} as published": papers.published}
