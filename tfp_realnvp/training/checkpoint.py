"""A run's folder: what is in it, and whose it is."""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from tfp_realnvp.flows import Dequantizer, FlowDistribution
from tfp_realnvp.training.average import WeightAverage

CONFIG = "config.json"


class CheckpointError(ValueError):
    """A folder or checkpoint that is not this model's."""


def claim(
    output_dir: str | pathlib.Path, config: dict[str, Any], defaults: Mapping[str, Any] | None = None
) -> None:
    """Makes `output_dir` the folder of the run that `config["model"]` describes, or finds that it is already.

    Args:
      output_dir: the folder; created if need be.
      config: what goes into its `config.json`. Its entry "model" is what two runs must share to be one.
      defaults: what a setting that the folder's run does not name was then.

    Raises:
      CheckpointError: when the folder is another model's, or holds checkpoints of nobody knows what. Nothing is
        written then.
    """
    output_dir = pathlib.Path(output_dir)
    path = output_dir / CONFIG
    if path.exists():
        # As both come from JSON: a tuple is a list there.
        ours = json.loads(json.dumps(config["model"]))
        before = {name: value for name, value in json.loads(json.dumps(dict(defaults or {}))).items() if name in ours}
        theirs = before | read_config(output_dir)["model"]
        differing = [key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key)]
        if differing:
            differences = ", ".join(f"{key}={theirs.get(key)} (here {ours.get(key)})" for key in differing)
            raise CheckpointError(
                f"{output_dir} holds another model's run, with {differences}: choose another --output_dir"
            )
        return
    if (output_dir / "checkpoints").exists():
        raise CheckpointError(
            f"{output_dir} holds checkpoints but no {CONFIG} that says of what: choose another --output_dir"
        )
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")  # So that no kill leaves half of it.
        aside.write_text(json.dumps(config, indent=2) + "\n")
        aside.replace(path)
    except OSError as error:
        raise CheckpointError(f"{output_dir} cannot be a run's folder: {error.strerror}") from error


def read_config(run_dir: str | pathlib.Path) -> dict[str, Any]:
    """The `config.json` of a run's folder.

    Raises:
      CheckpointError: when there is none.
    """
    path = pathlib.Path(run_dir) / CONFIG
    if not path.exists():
        raise CheckpointError(f"expected a run's folder with a {CONFIG}, found none in {run_dir}")
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"expected a run's {CONFIG} in {run_dir}, got no JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise CheckpointError(f'expected a run\'s {CONFIG} in {run_dir}, got one without settings under "model"')
    return config


def newest_whole(folder: str | pathlib.Path) -> str | None:
    """The newest checkpoint in a folder that can be read to the end, or None where there is no checkpoint.

    By the files there are, not by TensorFlow's list of them, which may itself be torn.

    Raises:
      CheckpointError: when there are checkpoints and none is whole.
    """
    found = {}
    for index in pathlib.Path(folder).glob("ckpt-*.index"):
        if match := re.fullmatch(r"ckpt-(\d+)", index.stem):
            found[int(match[1])] = str(index.with_suffix(""))
    for number in sorted(found, reverse=True):
        if (flaw := _flaw(found[number])) is None:
            return found[number]
        logging.warning("%s is torn, so the one before is read: %s", found[number], flaw)
    if found:
        raise CheckpointError(f"expected a whole checkpoint in {folder}, got only torn ones")
    return None


def latest(run_dir: str | pathlib.Path) -> str:
    """The best checkpoint of a run's folder, or the last where there is no whole one that was the best.

    Raises:
      CheckpointError: when there is none.
    """
    folder = pathlib.Path(run_dir) / "checkpoints"
    with contextlib.suppress(CheckpointError):
        if path := newest_whole(folder / "best"):
            return path
    if path := newest_whole(folder / "last"):
        return path
    raise CheckpointError(f"expected a run's folder with checkpoints, found none in {run_dir}")


def restore(distribution: FlowDistribution, path: str, dequantizer: Dequantizer | None = None) -> None:
    """Reads a checkpoint's weights into a distribution; averaged ones, where it has them.

    Args:
      distribution: of the architecture that was saved.
      path: a checkpoint, as `latest` gives.
      dequantizer: what the distribution was trained with, where its weights are wanted, too.

    Raises:
      CheckpointError: when the checkpoint is of another architecture.
    """
    learned = dict(distribution=distribution)
    if dequantizer is not None:
        learned["dequantizer"] = dequantizer
    variables = [variable for part in learned.values() for variable in part.variables]
    for name, part in learned.items():
        if len(_saved_sizes(path, name)) > len(part.variables):  # TensorFlow would leave out the rest.
            raise of_another_architecture(path, learned)
    try:
        status = tf.train.Checkpoint(**learned).restore(path)
        status.assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError) as error:
        raise of_another_architecture(path, learned) from error
    if any(name.startswith("average/") for name in tf.train.load_checkpoint(path).get_variable_to_shape_map()):
        average = WeightAverage(variables, decay=0.5)
        tf.train.Checkpoint(average=average).restore(path).assert_existing_objects_matched().expect_partial()
        average.copy_to_variables()


def _flaw(path: str) -> str | None:
    """Why a checkpoint cannot be read to the end, or None if it can."""
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:  # As its reader translates them.
        return str(error).splitlines()[0]
    return None


def _saved_sizes(path: str, part: str) -> list[int]:
    """How many numbers each variable of a part of a checkpoint has."""
    try:
        saved = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    except tf.errors.NotFoundError as error:
        raise CheckpointError(f"expected a checkpoint, found none at {path}") from error
    return [math.prod(shape) for name, shape in saved.items() if name.startswith(f"{part}/")]


def of_another_architecture(path: str, learned: Mapping[str, FlowDistribution]) -> CheckpointError:
    """The error that says how a checkpoint differs from what it was to be read into.

    Args:
      path: of the checkpoint.
      learned: the distribution, and the dequantizer where there is one, by these names.
    """
    differences = []
    for name, part in learned.items():
        sizes, ours = _saved_sizes(path, name), [math.prod(variable.shape) for variable in part.variables]
        of_part = "" if name == "distribution" else f" in the {name}"
        differences.append(
            f"expected {len(ours)} variables of {sum(ours):,} numbers{of_part}, got {len(sizes)} of {sum(sizes):,}"
        )
    return CheckpointError(
        f"{path} is of another architecture: {', '.join(differences)}, or others of their shapes or of the optimizer's"
    )
