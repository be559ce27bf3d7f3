"""Training in processes of their own: with several devices, with several workers, or to be killed."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfp_realnvp as nvp
from tests.training import small
from tfp_realnvp import training

# A server imports TensorFlow once, and makes a copy of itself for each process.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.training.processes"])


class Process:
    """A call of a function in a process of its own."""

    def __init__(self, function: Callable[..., Any], *args: Any, **environment: str):
        self._results, connection = _processes.Pipe(duplex=False)
        self._process = _processes.Process(target=_main, args=(connection, environment, function, args))
        self._process.start()
        connection.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def result(self, timeout: float = 240) -> Any:
        """What the function returned; the exception it raised is raised, as a RuntimeError of its text."""
        if not self._results.poll(timeout):
            self.kill()
            raise TimeoutError(f"no result after {timeout} s")
        try:
            value, error = self._results.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"the process died with exit code {self._process.exitcode}") from None
        self._process.join()
        if error is not None:
            raise RuntimeError(error)
        return value


def _main(connection, environment: dict[str, str], function: Callable[..., Any], args: Sequence[Any]) -> None:
    os.environ.update(environment)
    try:
        result = function(*args), None
    except BaseException:
        result = None, traceback.format_exc()
    with contextlib.suppress(BrokenPipeError):
        connection.send(result)


def worker_environments(count: int) -> list[dict[str, str]]:
    """What tells each of some workers on this machine who and where all are."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind(("localhost", 0))
        addresses = [f"localhost:{free.getsockname()[1]}" for free in sockets]
    cluster = {"worker": addresses}
    tasks = [{"type": "worker", "index": i} for i in range(count)]
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]


def set_cpus(count: int) -> None:
    """Makes that many logical devices of the CPU, before TensorFlow begins."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)


def train(
    strategy: tf.distribute.Strategy,
    *,
    epochs: int = 1,
    batch_size: int = 8,
    flow: Callable[..., nvp.FlowDistribution] = small.two_couplings,
    learns_noise: bool = False,
    has_weights: bool = False,
    settings: dict[str, Any] | None = None,
    model_settings: dict[str, Any] | None = None,
    optimizer: Callable[[], keras.optimizers.Optimizer] = lambda: training.Adam(0.01),
    **kwargs: Any,
) -> dict[str, np.ndarray]:
    """Trains on 40 small images, in batches whose order is a function of the epoch; returns every variable,
    the densities of the images, and the logs."""
    images = small.images(40)
    accumulation_steps = kwargs.get("accumulation_steps", 1)

    def batches(epoch: int, skip: int) -> tf.data.Dataset:
        order = np.random.default_rng(epoch).permutation(len(images))
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        events = (images[order], None, order / 20) if has_weights else images[order]
        data = tf.data.Dataset.from_tensor_slices(events).with_options(options)
        return data.batch(batch_size // accumulation_steps, drop_remainder=True).skip(skip)

    keras.utils.set_random_seed(0)
    with strategy.scope():
        distribution = flow(**{"dtype": "float64", **(settings or {})})
        dequantizer = None
        if learns_noise:
            noise = dict(levels=small.LEVELS, couplings=2, width=2, blocks=0, dtype=distribution.dtype.name)
            dequantizer = nvp.dequantizer(event_shape=distribution.event_shape, **noise)
        model = training.FlowModel(
            distribution, levels=small.LEVELS, dequantizer=dequantizer, seed=3, **(model_settings or {})
        )
        model.compile(optimizer())
    history = training.train(
        model,
        batches,
        epochs=epochs,
        validation_batches=tf.data.Dataset.from_tensor_slices(images[:7]).batch(4),
        **{"verbose": 0, **kwargs},
    )
    variables = [*distribution.variables, *(dequantizer.variables if learns_noise else [])]
    values = {f"{i} {v.name}": v.numpy() for i, v in enumerate(variables)}
    # As callbacks do it: eager, and on no replica.
    values["log_prob"] = distribution.log_prob(tf.cast(images, distribution.dtype)).numpy()
    if model.average is not None:
        values |= {f"average {i}": v.numpy() for i, v in enumerate(model.average.averages)}
    return values | {f"history {name}": np.array(value) for name, value in history.items()}
