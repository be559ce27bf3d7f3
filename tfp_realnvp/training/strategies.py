"""Which devices share the work."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable

import tensorflow as tf

NAMES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")


def strategy(name: str = "auto") -> tf.distribute.Strategy:
    """The `tf.distribute` strategy of that name, to be made before TensorFlow runs anything.

    Args:
      name: one of these.
        "one_device": the first GPU, or the CPU.
        "mirrored": all GPUs of this machine, or its logical CPU devices where there is no GPU.
        "multi_worker": all GPUs of all machines that the environment variable TF_CONFIG names.
        "tpu": the TPU that TPU_NAME names, or this machine's own.
        "auto": multi_worker where TF_CONFIG names more than one worker, else mirrored where there is more than one
        GPU, else one_device.

    There is no "parameter_server": its workers would apply gradients whenever they are ready, with batch norm of
    their own part of a batch, so that a run could be neither repeated nor resumed exactly.

    Raises:
      ValueError: for another name, or a "multi_worker" without a TF_CONFIG that names the workers.
    """
    if name not in NAMES:
        raise ValueError(f"expected a strategy among {', '.join(NAMES)}, got {name!r}")
    if name in ("auto", "multi_worker"):
        workers = _workers(tf.distribute.cluster_resolver.TFConfigClusterResolver())
        if name == "multi_worker" and not workers:
            raise ValueError("multi_worker: expected a TF_CONFIG in the environment that names the workers, got none")
        if name == "auto":
            several_gpus = len(tf.config.list_physical_devices("GPU")) > 1
            name = "multi_worker" if workers > 1 else "mirrored" if several_gpus else "one_device"
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy("/gpu:0" if tf.config.list_physical_devices("GPU") else "/cpu:0")
    if name == "mirrored":
        cpus = tf.config.list_logical_devices("CPU")
        gpus = tf.config.list_logical_devices("GPU")
        return tf.distribute.MirroredStrategy([device.name for device in gpus or cpus])
    if name == "multi_worker":
        # By itself TensorFlow 2.21 goes over its own ring, on GPUs too.
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
        kind = tf.distribute.experimental.CommunicationImplementation
        options = tf.distribute.experimental.CommunicationOptions(implementation=kind.NCCL if has_gpu else kind.AUTO)
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(os.environ.get("TPU_NAME", "local"))
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def number_of_workers(strategy: tf.distribute.Strategy) -> int:
    """How many processes share the work."""
    return _workers(strategy.cluster_resolver) if _has_workers(strategy) else 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one of several workers that writes; true where there is one process."""
    if not _has_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    has_chief = "chief" in resolver.cluster_spec().as_dict()
    return resolver.task_type == "chief" or (resolver.task_type == "worker" and resolver.task_id == 0 and not has_chief)


def mean_over_workers(strategy: tf.distribute.Strategy, value: float) -> float:
    """The mean of a number over all workers, each of which waits here for the others."""
    if number_of_workers(strategy) == 1:
        return value
    means = _mean_function(strategy)(tf.constant(value, tf.float64))
    return float(strategy.experimental_local_results(means)[0])


def leave_together(strategy: tf.distribute.Strategy) -> None:
    """Waits for all workers to come here, or to be gone.

    A worker that leaves takes with it what others are still to hear of an earlier meeting.
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
    """Whether the cluster is one of processes like this; that of a TPU is driven by one."""
    resolver = strategy.cluster_resolver
    is_of_tpu = isinstance(resolver, tf.distribute.cluster_resolver.TPUClusterResolver)
    return resolver is not None and not is_of_tpu and bool(resolver.task_type)


def _workers(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> int:
    """The workers of a cluster, the chief included; 0 where there is no cluster."""
    jobs = resolver.cluster_spec().as_dict()
    return sum(len(jobs.get(job, ())) for job in ("chief", "worker"))
