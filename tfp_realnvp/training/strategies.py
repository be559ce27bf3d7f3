"""Distribution strategies by name."""

import contextlib
import functools
import json
import os
import socket
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_realnvp.training.cluster import Cluster, read_cluster

NAMES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")


def strategy(name: str = "auto") -> tf.distribute.Strategy:
    """The `tf.distribute` strategy of that name; must be created before TensorFlow runs any operation.

    Args:
      name: one of these.
        "one_device": the first GPU, or the CPU.
        "mirrored": all GPUs of this machine, or its logical CPU devices if it has no GPU. "multi_worker": all GPUs of
        all machines listed in the environment variable TF_CONFIG. "tpu": the TPU named by TPU_NAME, or this machine's
        own. "auto": multi_worker if TF_CONFIG lists more than one worker, else mirrored if there is more than one GPU,
        else one_device.

    There is no "parameter_server": its workers would apply gradients asynchronously, with batch norm over their own
    part of a batch, so that a run could be neither repeated nor resumed exactly.

    Raises:
      ValueError: for another name, for "multi_worker" without a TF_CONFIG that lists the workers, for a malformed
        TF_CONFIG, or if the workers could not connect.
      RuntimeError: if TensorFlow has run an operation before several workers are connected.
    """
    if name not in NAMES:
        raise ValueError(f"expected a strategy among {', '.join(NAMES)}, got {name!r}")
    if name in ("auto", "multi_worker"):
        cluster = read_cluster()
        if cluster and (name == "multi_worker" or len(cluster.addresses) > 1):
            return _multi_worker(cluster)
        if name == "multi_worker":
            raise ValueError("multi_worker: expected a TF_CONFIG in the environment that lists the workers, got none")
        name = "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy("/gpu:0" if tf.config.list_physical_devices("GPU") else "/cpu:0")
    if name == "mirrored":
        cpus = tf.config.list_logical_devices("CPU")
        gpus = tf.config.list_logical_devices("GPU")
        return tf.distribute.MirroredStrategy([device.name for device in gpus or cpus])
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(os.environ.get("TPU_NAME", "local"))
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def _multi_worker(cluster: Cluster) -> tf.distribute.Strategy:
    # By default TensorFlow 2.21 uses its own ring, even on GPUs.
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    kind = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(implementation=kind.NCCL if has_gpu else kind.AUTO)
    others = [address for address in cluster.addresses if address != cluster.address]
    if others:  # TensorFlow waits silently.
        print(f"{cluster.task} at {cluster.address} waits for {', '.join(others)}", flush=True)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except RuntimeError as error:
        raise RuntimeError("expected several workers to be connected before TensorFlow runs any operation") from error
    except tf.errors.OpError as error:
        raise ValueError(f"{cluster.task}: {_port_problem(cluster) or _cannot_connect(error)}") from error


def _port_problem(cluster: Cluster) -> str | None:
    """The reason why this process cannot listen at its address, which TensorFlow only logs."""
    port = int(cluster.address.rpartition(":")[2])
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As in gRPC.
        try:
            listener.bind(("", port))
        except OSError as error:
            return f"expected a port to listen on, got {port}: {error.strerror}"
    return None


def _cannot_connect(error: tf.errors.OpError) -> str:
    return f"expected all workers of TF_CONFIG to connect, got: {error.message.splitlines()[0]}"


def number_of_workers(strategy: tf.distribute.Strategy) -> int:
    """The number of processes that share the work."""
    return _workers(strategy.cluster_resolver) if _has_workers(strategy) else 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the worker that writes files; true for a single process."""
    if not _has_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    has_chief = "chief" in resolver.cluster_spec().as_dict()
    return resolver.task_type == "chief" or (resolver.task_type == "worker" and resolver.task_id == 0 and not has_chief)


def mean_over_workers(strategy: tf.distribute.Strategy, value: float) -> float:
    """The mean of a number over all workers, which wait for each other here."""
    if number_of_workers(strategy) == 1:
        return value
    means = _mean_function(strategy)(tf.constant(value, tf.float64))
    return float(strategy.experimental_local_results(means)[0])


def gather(strategy: tf.distribute.Strategy, value: Any) -> dict[str, Any]:
    """Each worker's value by its name, for example `worker 1`; the workers wait for each other here.

    Args:
      strategy: a strategy with several workers.
      value: a JSON-serialisable value.
    """
    resolver = strategy.cluster_resolver
    line = json.dumps([f"{resolver.task_type} {resolver.task_id}", value]) + "\n"

    def gathered(text: tf.Tensor) -> tf.Tensor:
        text = tf.identity(text)  # On the replica's device, which an argument is not.
        return tf.distribute.get_replica_context().all_gather(text, axis=0)

    letters = tf.constant(list(line.encode()), tf.int32)  # A type that every collective supports.
    of_replicas = tf.function(lambda text: strategy.run(gathered, args=(text,)), autograph=False)(letters)
    lines = bytes(strategy.experimental_local_results(of_replicas)[0].numpy().tolist()).decode()
    return dict(json.loads(line) for line in lines.splitlines())


def leave_together(strategy: tf.distribute.Strategy) -> None:
    """Waits until all workers arrive here or have exited.

    A worker that exits early would lose messages of an earlier collective that others still await.
    """
    with contextlib.suppress(tf.errors.OpError):
        mean_over_workers(strategy, 0.0)


@functools.cache
def _mean_function(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    def mean(value: tf.Tensor) -> tf.Tensor:
        value = tf.identity(value)  # On the replica's device, which an argument is not.
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, value)

    return tf.function(lambda value: strategy.run(mean, args=(value,)), autograph=False)


def _has_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether the cluster consists of processes like this one; a single process drives a TPU's cluster."""
    resolver = strategy.cluster_resolver
    is_of_tpu = isinstance(resolver, tf.distribute.cluster_resolver.TPUClusterResolver)
    return resolver is not None and not is_of_tpu and bool(resolver.task_type)


def _workers(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> int:
    """The number of workers of a cluster, including the chief; 0 without a cluster."""
    jobs = resolver.cluster_spec().as_dict()
    return sum(len(jobs.get(job, ())) for job in ("chief", "worker"))
