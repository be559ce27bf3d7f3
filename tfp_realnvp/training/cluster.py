"""Reads the workers listed in the environment variable TF_CONFIG."""

import dataclasses
import itertools
import json
import os
import re
from typing import Any


@dataclasses.dataclass(frozen=True)
class Cluster:
    """All workers, and this process's place among them."""

    addresses: tuple[str, ...]
    """`host:port` of each worker, the chief first."""
    task: str
    """The job and index of this process, for example `worker 1`."""
    address: str
    """`host:port` of this process."""


def read_cluster() -> Cluster | None:
    """Reads TF_CONFIG; returns None if it is not set or lists no cluster.

    TensorFlow's own reader mistakes some malformed values for no cluster, so that each worker would train alone; for
    others it ends in a traceback or waits forever.

    Raises:
      ValueError: if TF_CONFIG does not have this form:

    ```json
    {"cluster": {"worker": ["host-a:12345", "host-b:12345"]}, "task": {"type": "worker", "index": 0}}
    ```

    with at most one address under "chief" in addition to "worker".
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if text in ("", "{}"):
        return None
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"TF_CONFIG: expected JSON, got {text!r} ({error})") from error
    if not isinstance(config, dict):
        raise _wrong('an object with "cluster" and "task"', config)
    jobs = _jobs(config.get("cluster"))
    job, index = _task(config.get("task"), jobs)
    addresses = tuple(address for name in ("chief", "worker") for address in jobs.get(name, ()))
    return Cluster(addresses, f"{job} {index}", jobs[job][index])


def _jobs(cluster: Any) -> dict[str, list[str]]:
    if not isinstance(cluster, dict) or not all(isinstance(hosts, list) for hosts in cluster.values()):
        raise _wrong('"cluster" to be an object such as {"worker": ["host-a:12345", "host-b:12345"]}', cluster)
    jobs = {job: hosts for job, hosts in cluster.items() if hosts}
    if not jobs or not jobs.keys() <= {"chief", "worker"}:
        raise _wrong('addresses under "worker", or "worker" and "chief", in "cluster"', cluster)
    if len(jobs.get("chief", ())) > 1:
        raise _wrong("at most one chief", jobs["chief"])
    addresses = list(itertools.chain.from_iterable(jobs.values()))
    for address in addresses:
        if not _is_address(address):
            raise _wrong("addresses of the form host:port, with a port from 1 to 65535", address)
        if addresses.count(address) > 1:
            raise _wrong("a different address for each worker", f"{address} twice")
    return jobs


def _is_address(address: Any) -> bool:
    match = re.fullmatch(r"[^\s/]+:(\d{1,5})", address) if isinstance(address, str) else None
    return match is not None and 1 <= int(match[1]) <= 65535


def _task(task: Any, jobs: dict[str, list[str]]) -> tuple[str, int]:
    if not isinstance(task, dict) or not task.keys() >= {"type", "index"}:
        raise _wrong('"task" to be an object such as {"type": "worker", "index": 0}', task)
    job, index = task["type"], task["index"]
    if not isinstance(job, str) or job not in jobs:
        raise _wrong(f"a task type among {', '.join(jobs)}", job)
    try:
        index = int(index)
    except (TypeError, ValueError):
        index = -1
    if not 0 <= index < len(jobs[job]):
        raise _wrong(f"a task index from 0 to {len(jobs[job]) - 1} for {job}", task["index"])
    return job, index


def _wrong(expected: str, got: Any) -> ValueError:
    return ValueError(f"TF_CONFIG: expected {expected}, got {got if isinstance(got, str) else json.dumps(got)}")
