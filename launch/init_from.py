"""The run that another begins with."""

from __future__ import annotations

import pathlib
from typing import Any

import tensorflow as tf

import tfp_realnvp as nvp
from launch import arguments, run
from tfp_realnvp import data, paths, training

FOLDER = arguments.DEFINE_path(
    "init_from",
    None,
    "Folder of another run of this architecture, whose best weights this one begins with, averaged where that has an "
    "average; the optimizer begins anew. A run that goes on does not read it again.",
)


def settings() -> dict[str, str]:
    """What two runs must share to be one."""
    return {} if FOLDER.value is None else {"init_from": pathlib.Path(FOLDER.value).absolute().name}


def before() -> dict[str, Any]:
    """The settings of the run that this one resumes, or else starts from; none of a new run."""
    for folder in (run.output_dir(), FOLDER.value):
        if folder is not None and (pathlib.Path(folder) / "config.json").exists():
            return training.read_config(folder)["model"]
    return {}


def origin() -> dict[str, Any]:
    """What the config of a run that begins says of where its weights come from, and of the images they have seen."""
    if FOLDER.value is None or (run.output_dir() / "config.json").exists():
        return {}
    config, path = training.read_config(FOLDER.value), training.best_checkpoint(FOLDER.value)
    with paths.plain(path) as plain:
        reader = tf.train.load_checkpoint(plain)
        counted = [name for name in reader.get_variable_to_shape_map() if name.startswith("optimizer/_iterations/")]
        # The best checkpoint has no optimizer, and the step in its name.
        step = int(reader.get_tensor(counted[0])) if counted else int(path.rpartition("-")[2])
    before = config.get("init_from", {})
    kept = {name: config.get(name) for name in ("command", "commit", "uncommitted_changes", "machine")}
    images = step * run.preset_of(config, FOLDER.value).recipe.batch_size + before.get("images", 0)
    return {"init_from": {**kept, "images": images, "init_from": before}}


def read_weights(given: data.Events, distribution: nvp.FlowDistribution, dequantizer: nvp.Dequantizer | None) -> None:
    """Gives a run that begins the other's weights; one that goes on has its own.

    Args:
      given: what is trained on.
      distribution: whose weights are wanted.
      dequantizer: the learned noise; where the other has none, it begins untrained.
    """
    if FOLDER.value is None or any((run.output_dir() / "checkpoints/last").glob("ckpt-*.index")):
        return
    config, path = training.read_config(FOLDER.value), training.best_checkpoint(FOLDER.value)
    preset = run.preset_of(config, FOLDER.value)
    training.restore(distribution, path, None if preset.recipe.dequantization == "uniform" else dequantizer)
    print(f"Begins with {path}")
    if given.mean is not None:
        print("Vectors are standardised as they were there")
    run.warn_of_other_files(given, preset.dataset, config["model"].get("files"))
