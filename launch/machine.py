"""What a run was made on."""

from __future__ import annotations

import contextlib
import os
import platform


def processor() -> str:
    """The number of cores, the processor and its units for matrices."""
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
