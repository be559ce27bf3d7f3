"""Finding, checking and reading the checkpoints of a run's folder."""

import contextlib
import math
import os
import pathlib
import re
import shutil
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from absl import logging

from tfp_realnvp import paths, storage
from tfp_realnvp.flows import Dequantizer, FlowDistribution
from tfp_realnvp.training.average import WeightAverage

# Prefix and suffix of weights' names in a checkpoint.
_WEIGHTS = ("distribution/", "dequantizer/", "average/")
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


class CheckpointError(ValueError):
    """A folder or checkpoint that does not belong to this model, or cannot be read or written."""


def newest_whole(folder: str | pathlib.Path) -> str | None:
    """The newest whole checkpoint in a folder, or None if there is no checkpoint.

    A whole checkpoint can be read to the end, and its weights are finite. Searches the files themselves, since
    TensorFlow's list of them may be torn.

    Raises:
      CheckpointError: if there are checkpoints but none is whole.
    """
    found = _found(pathlib.Path(folder))
    for number in sorted(found, reverse=True):
        if (flaw := _flaw(found[number])) is None:
            return found[number]
        logging.warning("%s %s, reading the previous checkpoint", found[number], flaw)
    if found:
        raise CheckpointError(f"expected a whole checkpoint in {folder}, got none: {found[min(found)]} {flaw}")
    return None


def tidy(folder: str | pathlib.Path, whole: str | None, max_to_keep: int) -> None:
    """Removes leftovers of killed processes from a checkpoint folder, and rewrites TensorFlow's list of checkpoints.

    A checkpoint being written is `ckpt-N_temp`, then a data file without an index; the list being written is
    `checkpoint.tmp...`. A whole checkpoint may be missing from the list; TensorFlow would then never remove it.

    Args:
      folder: the folder, used by this process alone.
      whole: the newest whole checkpoint in it.
      max_to_keep: number of checkpoints to keep, this one and older ones. Newer, torn ones will be overwritten.
    """
    folder = pathlib.Path(folder)
    if not folder.exists():
        return
    found = dict(sorted(_found(folder).items()))
    all_paths = list(found.values())
    oldest = max(all_paths.index(whole) + 1 - max_to_keep, 0) if whole else 0
    kept = {number: path for number, path in found.items() if path in all_paths[oldest:]}
    for path in folder.iterdir():
        match = re.fullmatch(r"ckpt-(\d+)(\.index|\.data-.*|_temp|.*\.tempstate.*)", path.name)
        is_part = match and (int(match[1]) not in kept or "temp" in match[2])
        if is_part and path.is_dir():
            shutil.rmtree(path)
        elif is_part or path.name.startswith("checkpoint.tmp"):
            path.unlink()
    if not kept:
        (folder / "checkpoint").unlink(missing_ok=True)
    elif _listed(folder) != list(kept.values()):
        # TensorFlow removes only checkpoints that are listed with their time of writing.
        lines = [f'model_checkpoint_path: "ckpt-{max(kept)}"']
        for number, prefix in kept.items():
            lines.append(f'all_model_checkpoint_paths: "ckpt-{number}"')
            lines.append(f"all_model_checkpoint_timestamps: {os.stat(f'{prefix}.index').st_mtime}")
        storage.write(folder / "checkpoint", "\n".join(lines) + "\n")


def best_checkpoint(run_dir: str | pathlib.Path) -> str:
    """The best checkpoint of a run's folder, or the last one if no whole best checkpoint exists.

    Raises:
      CheckpointError: if there is none.
    """
    folder = paths.local(run_dir) / "checkpoints"
    with contextlib.suppress(CheckpointError):
        if path := newest_whole(folder / "best"):
            return path
    if path := newest_whole(folder / "last"):
        return path
    raise CheckpointError(f"expected a run's folder with checkpoints, found none in {run_dir}")


def restore(
    distribution: FlowDistribution, path: str | os.PathLike[str], dequantizer: Dequantizer | None = None
) -> None:
    """Reads a checkpoint's weights into a distribution; averaged weights, if it has them.

    Args:
      distribution: a distribution of the saved architecture.
      path: a checkpoint, as `best_checkpoint` returns.
      dequantizer: the dequantizer of the training, to read its weights, too.

    Raises:
      CheckpointError: if the checkpoint has another architecture.
    """
    path = str(paths.local(path))
    learned = dict(distribution=distribution)
    if dequantizer is not None:
        learned["dequantizer"] = dequantizer
    variables = [variable for part in learned.values() for variable in part.variables]
    for name, part in learned.items():
        if len(_saved_sizes(path, name)) > len(part.variables):  # TensorFlow would ignore the rest.
            raise of_another_architecture(path, learned)
    with paths.plain(path) as plain:
        try:
            status = tf.train.Checkpoint(**learned).restore(plain)
            status.assert_existing_objects_matched().expect_partial()
        except (AssertionError, ValueError) as error:
            raise of_another_architecture(path, learned) from error
        if any(name.startswith("average/") for name in tf.train.load_checkpoint(plain).get_variable_to_shape_map()):
            average = WeightAverage(variables, decay=0.5)
            tf.train.Checkpoint(average=average).restore(plain).assert_existing_objects_matched().expect_partial()
            average.copy_to_variables()


def _found(folder: pathlib.Path) -> dict[int, str]:
    """The checkpoints of a folder, whole or torn, by their numbers."""
    matches = (re.fullmatch(r"ckpt-(\d+)\.index", path.name) for path in folder.glob("ckpt-*.index"))
    return {int(match[1]): str(folder / f"ckpt-{match[1]}") for match in matches if match}


def _listed(folder: pathlib.Path) -> list[str]:
    """The checkpoints in TensorFlow's list; none if the list is torn."""
    try:
        state = tf.train.get_checkpoint_state(str(folder))
    except ValueError:
        return []
    return list(state.all_model_checkpoint_paths) if state else []


def _flaw(path: str) -> str | None:
    """A description of a checkpoint's defect, to follow its name in a message; None if it is whole."""
    try:
        with paths.plain(path) as plain:
            reader = tf.train.load_checkpoint(plain)
            for name in reader.get_variable_to_shape_map():
                value = reader.get_tensor(name)
                # The best loss of a new run is infinite.
                is_weight = name.startswith(_WEIGHTS) and np.issubdtype(value.dtype, np.floating)
                if is_weight and not np.all(np.isfinite(value)):
                    return f"has weights that are not finite ({name.removesuffix(_SUFFIX)})"
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:  # The errors TensorFlow's reader raises.
        return f"is torn ({str(error).splitlines()[0]})"
    return None


def _saved_sizes(path: str, part: str) -> list[int]:
    """The number of entries of each variable in a part of a checkpoint."""
    try:
        with paths.plain(path) as plain:
            saved = tf.train.load_checkpoint(plain).get_variable_to_shape_map()
    except tf.errors.NotFoundError as error:
        raise CheckpointError(f"expected a checkpoint, found none at {path}") from error
    return [math.prod(shape) for name, shape in saved.items() if name.startswith(f"{part}/")]


def of_another_architecture(path: str, learned: Mapping[str, FlowDistribution]) -> CheckpointError:
    """The error that describes how a checkpoint differs from the objects to read it into.

    Args:
      path: the checkpoint.
      learned: the distribution, and the dequantizer if there is one, by these names.
    """
    differences = []
    for name, part in learned.items():
        sizes, ours = _saved_sizes(path, name), [math.prod(variable.shape) for variable in part.variables]
        of_part = "" if name == "distribution" else f" in the {name}"
        differences.append(
            f"expected {len(ours)} variables of {sum(ours):,} numbers{of_part}, got {len(sizes)} of {sum(sizes):,}"
        )
    return CheckpointError(f"{path} has another architecture: {', '.join(differences)}, or other shapes of variables")
