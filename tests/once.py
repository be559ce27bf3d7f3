"""What tests read is made once, also where several processes run them."""

from __future__ import annotations

import atexit
import fcntl
import functools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable

FOLDER = "TFP_REALNVP_TESTS"  # In the environment: the folder that all processes of one run of the tests share.


@functools.cache
def root() -> pathlib.Path:
    """A folder that is gone when the tests are over; that of all processes where pytest began them."""
    if FOLDER in os.environ:
        return pathlib.Path(os.environ[FOLDER])
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return pathlib.Path(folder)


def made(name: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """The path `name`, which `make` fills for the first process that asks; tests must leave it as it is."""
    path, done = root() / name, root() / f"{name}.done"
    with open(root() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # The others wait here.
        if not done.exists():
            shutil.rmtree(path, ignore_errors=True)  # Of a maker that failed.
            make(path)
            done.touch()
    return path
