"""A record of the machine, versions and code of a run."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any

import tensorflow as tf

import tfp_realnvp as nvp

_FILE = pathlib.Path(__file__).resolve()


def provenance() -> dict[str, Any]:
    """The machine, the versions of the packages, the code and the command."""
    gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    packages = ("tensorflow", "tensorflow-probability", "keras", "tensorflow-datasets")
    commit = _git("rev-parse", "HEAD")
    return {
        "machine": ", ".join([processor(), *(gpu.get("device_name", "a GPU") for gpu in gpus)]),
        "versions": {
            "tfp_realnvp": nvp.__version__,
            **{name: importlib.metadata.version(name) for name in packages},
            "python": sys.version.split()[0],
        },
        "commit": commit,
        "uncommitted_changes": commit and bool(_git("status", "--porcelain", "--untracked-files=no")),
        "command": sys.argv,
    }


def _git(*command: str) -> str | None:
    """The output of a git command in this program's checkout; None without git or in an installed package."""
    try:
        # The path of this file in the repository that tracks it. An environment may lie in another repository.
        tracked = _output("git", "ls-files", "--full-name", _FILE.name)
        return _output("git", *command) or None if tracked == "launch/machine.py" else None
    except OSError:
        return None


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, cwd=_FILE.parent).stdout.strip()


def processor() -> str:
    """The number of cores, the processor and its matrix units."""
    cpu: dict[str, str] = {}
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            key, _, value = line.partition(":")
            cpu.setdefault(key.strip(), value.strip())
    name = cpu.get("model name") or platform.machine()
    if "cpu family" in cpu:
        name += f" (family {cpu['cpu family']}, model {cpu.get('model', '?')})"
    units = [unit for unit in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if unit in cpu.get("flags", "").split()]
    return " ".join([f"{os.cpu_count()} cores, {name},", *units]).rstrip(",")
