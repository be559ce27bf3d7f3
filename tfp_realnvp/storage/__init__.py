"""Atomic writes of files and folders, locks between processes, and errors that name the path."""

from tfp_realnvp.storage.json_text import to_json
from tfp_realnvp.storage.lock import InUseError, locked
from tfp_realnvp.storage.whole import WriteError, failure, reason, replacing, sweep, unfinished, write

__all__ = [
    "InUseError",
    "WriteError",
    "failure",
    "locked",
    "reason",
    "replacing",
    "sweep",
    "to_json",
    "unfinished",
    "write",
]
