"""Coordinates the workers of a run: equal settings, and a common end."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from absl import flags

from launch import run, signals
from tfp_realnvp import data, training

# Settings in which workers may differ; `model` and `versions` are compared entry by entry.
_OTHERWISE = ("command", "machine", "strategy", "model", "versions")


def connected(name: str) -> tf.distribute.Strategy:
    """The strategy of that name; with several workers, waits until all are connected.

    Raises:
      UsageError: if there is no such strategy here, or TF_CONFIG is wrong.
    """
    try:
        with signals.left_to_system():  # While it waits for the other workers.
            return training.strategy(name)
    except ValueError as error:
        raise run.UsageError(str(error)) from error


@contextlib.contextmanager
def one_line_if_lost(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns TensorFlow's error about a dead worker into a `FailedError`."""
    try:
        yield
    except tf.errors.OpError as error:
        if training.number_of_workers(strategy) == 1 or "Collective ops is aborted" not in error.message:
            raise
        resolver = strategy.cluster_resolver
        named = dict.fromkeys(re.findall(r"/job:(\w+)/(?:replica:0/)?task:(\d+)", error.message.partition(" by: ")[2]))
        named.pop((resolver.task_type, str(resolver.task_id)), None)
        lost = " or ".join(f"{job} {index}" for job, index in named) or "another worker"
        raise run.FailedError(
            f"lost {lost}, whose own messages state the reason; start all workers again with the same flags to resume "
            "from the last checkpoint"
        ) from error


@contextlib.contextmanager
def ending_together(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Ends all workers with an error if one of them has an error, so that none waits forever.

    Raises:
      UsageError: on the workers without their own error, with the error of the others.
    """
    if training.number_of_workers(strategy) == 1:
        yield
        return
    try:
        yield
    except (run.UsageError, run.FailedError, training.CheckpointError, data.DataNotFoundError, OSError) as error:
        training.gather(strategy, str(error))
        training.leave_together(strategy)
        raise
    if errors := {worker: error for worker, error in training.gather(strategy, None).items() if error is not None}:
        training.leave_together(strategy)
        raise run.UsageError("; ".join(f"{worker}: {error}" for worker, error in errors.items()))


def check_same(strategy: tf.distribute.Strategy, config: Mapping[str, Any], others: Mapping[str, Any]) -> None:
    """Compares the settings of all workers.

    Args:
      strategy: the strategy whose workers are compared.
      config: config of this run, with a digest of its data.
      others: settings that are not part of the config.

    Raises:
      UsageError: on every worker, if a setting differs; lists each value with its workers.
    """
    if training.number_of_workers(strategy) == 1:
        return
    versions = {f"version of {name}": version for name, version in config["versions"].items()}
    settings = {**config, **config["model"], **versions, **others}
    settings = {name: value for name, value in settings.items() if name not in _OTHERWISE}
    by_worker = training.gather(strategy, settings)
    names = dict.fromkeys(name for of_worker in by_worker.values() for name in of_worker)
    differences = [_values(name, by_worker) for name in names]
    if any(differences):
        training.leave_together(strategy)
        differing = "; ".join(difference for difference in differences if difference)
        raise run.UsageError(f"expected the same settings on all workers, got {differing}")


def _values(name: str, by_worker: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The values of a setting and the workers that have them; None if all are equal."""
    workers: dict[str, list[str]] = {}
    for worker, settings in by_worker.items():
        workers.setdefault(str(settings.get(name)), []).append(worker)
    if len(workers) == 1:
        return None
    shown = f"--{name}" if name in flags.FLAGS else name
    return f"{shown}=" + ", ".join(f"{value} on {' and '.join(on)}" for value, on in workers.items())
