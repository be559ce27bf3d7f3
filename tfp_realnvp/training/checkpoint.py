"""A run's folder: what is in it, and whose it is."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import tensorflow as tf

from tfp_realnvp.flows import FlowDistribution

CONFIG = "config.json"


class CheckpointError(ValueError):
    """A folder or checkpoint that is not this model's."""


def claim(output_dir: str | pathlib.Path, config: dict[str, Any]) -> None:
    """Makes `output_dir` the folder of the run that `config["model"]` describes, or finds that it is already.

    Args:
      output_dir: the folder; created if need be.
      config: what goes into its `config.json`. Its entry "model" is what two runs must share to be one.

    Raises:
      CheckpointError: when the folder is another model's, or holds checkpoints of nobody knows what. Nothing is
        written then.
    """
    output_dir = pathlib.Path(output_dir)
    path = output_dir / CONFIG
    if path.exists():
        theirs, ours = read_config(output_dir)["model"], json.loads(json.dumps(config["model"]))
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
    output_dir.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=2) + "\n")


def read_config(run_dir: str | pathlib.Path) -> dict[str, Any]:
    """The `config.json` of a run's folder.

    Raises:
      CheckpointError: when there is none.
    """
    path = pathlib.Path(run_dir) / CONFIG
    if not path.exists():
        raise CheckpointError(f"expected a run's folder with a {CONFIG}, found none in {run_dir}")
    return json.loads(path.read_text())


def latest(run_dir: str | pathlib.Path) -> str:
    """The best checkpoint of a run's folder, or the last where none was the best yet.

    Raises:
      CheckpointError: when there is none.
    """
    run_dir = pathlib.Path(run_dir)
    for kind in ("best", "last"):
        path = tf.train.latest_checkpoint(str(run_dir / "checkpoints" / kind))
        if path is not None:
            return path
    raise CheckpointError(f"expected a run's folder with checkpoints, found none in {run_dir}")


def restore(distribution: FlowDistribution, path: str) -> None:
    """Reads a checkpoint's weights into a distribution.

    Args:
      distribution: of the architecture that was saved.
      path: a checkpoint, as `latest` gives.

    Raises:
      CheckpointError: when the checkpoint is of another architecture.
    """
    try:
        status = tf.train.Checkpoint(distribution=distribution).restore(path)
        status.assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError) as error:
        saved = tf.train.load_checkpoint(path).get_variable_to_shape_map()
        saved = sum(name.startswith("distribution/") and ".ATTRIBUTES" in name for name in saved)
        raise CheckpointError(
            f"{path} is of another architecture: expected {len(distribution.variables)} variables of this flow, "
            f"got {saved}, or others: {str(error).splitlines()[0]}"
        ) from error
