"""Starts a run from the weights of another run."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import tensorflow as tf

import tfp_realnvp as nvp
from launch import arguments, run
from tfp_realnvp import data, paths, presets, training

FOLDER = arguments.DEFINE_path(
    "init_from",
    None,
    "Folder of another run of this architecture, from whose best weights this run starts (averaged weights if that run "
    "has an average) with a new optimizer. A resumed run does not read it again.",
)


def settings() -> dict[str, str]:
    """The settings that identify a run."""
    return {} if FOLDER.value is None else {"init_from": pathlib.Path(FOLDER.value).absolute().name}


def before() -> dict[str, Any]:
    """The settings of the run that this run resumes or starts from; None for a new run."""
    for folder in (run.output_dir(), FOLDER.value):
        if folder is not None and (pathlib.Path(folder) / "config.json").exists():
            return training.read_config(folder)["model"]
    return {}


def origin() -> dict[str, Any]:
    """The config entries of a new run about the origin of its weights and the number of images they have seen."""
    if FOLDER.value is None or (run.output_dir() / "config.json").exists():
        return {}
    config, path = training.read_config(FOLDER.value), training.best_checkpoint(FOLDER.value)
    with paths.plain(path) as plain:
        reader = tf.train.load_checkpoint(plain)
        counted = [name for name in reader.get_variable_to_shape_map() if name.startswith("optimizer/_iterations/")]
        # The best checkpoint has no optimizer; its name contains the step.
        step = int(reader.get_tensor(counted[0])) if counted else int(path.rpartition("-")[2])
    before = config.get("init_from", {})
    kept = {name: config.get(name) for name in ("command", "commit", "uncommitted_changes", "machine")}
    images = step * run.preset_of(config, FOLDER.value).recipe.batch_size + before.get("images", 0)
    return {"init_from": {**kept, "images": images, "init_from": before}}


def read_weights(
    given: data.Events,
    preset: presets.Preset,
    distribution: nvp.FlowDistribution,
    dequantizer: nvp.Dequantizer | None,
) -> None:
    """Assigns the other run's weights if this run is new; a resumed run has its own.

    Args:
      given: the training data.
      preset: the settings of this run.
      distribution: the distribution to initialise.
      dequantizer: the learned noise; it starts untrained if the other run has none.
    """
    if FOLDER.value is None or any((run.output_dir() / "checkpoints/last").glob("ckpt-*.index")):
        return
    config, path = training.read_config(FOLDER.value), training.best_checkpoint(FOLDER.value)
    other = run.preset_of(config, FOLDER.value)
    training.restore(distribution, path, None if other.recipe.dequantization == "uniform" else dequantizer)
    # Of the same variables, yet another function: an activation, a bound.
    differ = [
        f"{name}={value} (here {preset.all_options.get(name)})"
        for name, value in other.all_options.items()
        if value != preset.all_options.get(name)
    ]
    if differ:
        print(f"Warning: the weights are those of a flow with {', '.join(differ)}", file=sys.stderr)
    print(f"Starting from {path}")
    if given.mean is not None:
        print("Vectors are standardised as in that run")
    run.warn_of_other_files(given, other.dataset, config["model"].get("files"))
